"""Write a table from the runs below a root folder: Markdown, LaTeX, CSV and JSON.

    python reproduce/table.py --table table2 --root out/pilot/e5-small
    python reproduce/table.py --regime adapter-itt --root out/pilot/e5-small
    python reproduce/table.py --table table1 --root out/pilot/e5-small --data data
    python reproduce/table.py --table table2 --side-by-side avx2=out/kernels/avx2/tiny/babel avx512=out/...

Runs that are not there are shown as "not run", tasks and languages without files as "no data".
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from xlt.config.benchmark import Table, load
from xlt.errors import InputError, exit_status
from xlt.files import write_atomic
from xlt.layout import PLAN
from xlt.names import one_of
from xlt.planning.result_reader import ResultReader
from xlt.results.render import rendered

if TYPE_CHECKING:
    from xlt.results.score_table import ResultTable


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", help="a table of configs/tables, such as table2")
    what.add_argument("--regime", help="a planned regime: its own table, with a column for the reported numbers")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--root", type=Path, help="folder of one profile and model, with plan.json")
    where.add_argument(
        "--side-by-side",
        nargs="+",
        metavar="NAME=ROOT",
        help="print the table's scores of several such folders instead",
    )
    parser.add_argument("--cite", action="store_true", help="print the BibTeX of what the table uses instead")
    parser.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    parser.add_argument("--output", type=Path, help="folder to write to; default: <root>/tables")
    parser.add_argument("--data", type=Path, help="folder of official files; read for a table of sizes only")
    parser.add_argument("--languages", type=Path, help="languages.yaml of the embedded world, for its languages' names")
    return parser.parse_args()


def _write(folder: Path, table: ResultTable) -> None:
    name, document = table.name, table.document
    _replace(folder / name, table.files)
    for suffix, text in {
        ".csv": table.csv,
        ".json": table.json,
        **rendered(document, name),
    }.items():
        write_atomic(folder / f"{name}{suffix}", text)
    print(f"wrote {folder / name}.{{md,tex,csv,json}}")


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the further files of a table into its own folder; those that an earlier table left there go."""
    for name, content in files.items():
        write_atomic(folder / name, content)
    for path in folder.glob("*.*"):
        if path.name not in files and path.suffix in (".csv", ".svg", ".pdf"):
            path.unlink()


def _in_table_order(tables: Mapping[str, Table], names: list[str]) -> list[str]:
    """Tasks in the order of the tables' columns, then those that no table has."""
    columns = [task for table in tables.values() for task in table.tasks]
    return sorted(names, key=lambda name: columns.index(name) if name in columns else len(columns))


def _table(name: str, reader: ResultReader) -> ResultTable:
    from xlt.results.tables import KINDS

    config = load(Table, reader.configs / "tables" / f"{name}.yaml")
    return KINDS[config.kind](reader.inputs(config))


def _regime(name: str, reader: ResultReader) -> ResultTable:
    from xlt.results.citations import to_cite
    from xlt.results.regime_table import RegimeTable, load_explanations

    regimes = reader.regimes()
    if name not in regimes:
        raise InputError(f"--regime: {one_of(regimes, name)}", reader.root / PLAN)
    explanations = load_explanations(reader.configs / "tables" / "notes" / "differences.yaml")
    tasks = reader.tasks(_in_table_order(reader.tables, regimes[name].tasks))
    tasks = {each: task for each, task in tasks.items() if not task.separate}
    own = regimes[name].serving(tasks)
    cited = to_cite(reader.plan, tasks, {name: own}, reader.configs, reader.world_languages is not None)
    return RegimeTable(reader.plan, own, regimes, tasks, reader.reported, explanations, cited)


def main() -> None:
    """Read the plan and the runs, and write one table."""
    arguments = _arguments()
    if arguments.side_by_side:
        if arguments.table is None:
            raise InputError("--side-by-side: expected --table")
        from xlt.results.side_by_side import side_by_side

        print(side_by_side(arguments.side_by_side, arguments.table, arguments.configs))
        return
    given = {"data": arguments.data, "languages_file": arguments.languages}
    reader = ResultReader(arguments.root, arguments.configs, **given)
    made = _table(arguments.table, reader) if arguments.table else _regime(arguments.regime, reader)
    if arguments.cite:
        from xlt.results.citations import bibtex

        print(bibtex(made.cited or {}), end="")
        return
    _write(arguments.output or arguments.root / "tables", made)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
