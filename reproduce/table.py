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

from xlt import languages
from xlt.config.benchmark import Table, load, load_all
from xlt.errors import InputError, exit_status
from xlt.files import write_atomic
from xlt.layout import PLAN
from xlt.names import one_of
from xlt.planning.table_inputs import row_names, table_inputs, task_configs
from xlt.results.render import standalone, to_latex, to_markdown
from xlt.results.reported import load_reported
from xlt.results.run_folders import load_plan, load_regime

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
        ".tex": to_latex(document),
        "-standalone.tex": standalone(document, f"{name}.tex"),
        ".md": to_markdown(document),
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


def _in_table_order(configs: Path, names: list[str]) -> list[str]:
    """Tasks in the order of the tables' columns, then those that no table has."""
    columns = [task for table in load_all(Table, configs / "tables").values() for task in table.tasks]
    return sorted(names, key=lambda name: columns.index(name) if name in columns else len(columns))


def _table(name: str, arguments: argparse.Namespace) -> ResultTable:
    from xlt.results.tables import KINDS

    root, configs, plan = arguments.root, arguments.configs, load_plan(arguments.root)
    config = load(Table, configs / "tables" / f"{name}.yaml")
    world = list(languages.register(arguments.languages)) if arguments.languages else None
    rows = {row: load_regime(root, plan, row) for row in row_names(root, plan, config) if row in plan.regimes}
    reported = load_reported(configs / "reported")
    return KINDS[config.kind](table_inputs(config, (root, configs, arguments.data), plan, rows, reported, world))


def _regime(name: str, arguments: argparse.Namespace) -> ResultTable:
    from xlt.results.citations import to_cite
    from xlt.results.regime_table import RegimeTable, load_explanations

    root, configs, plan = arguments.root, arguments.configs, load_plan(arguments.root)
    if arguments.languages:
        languages.register(arguments.languages)
    reported = load_reported(configs / "reported")
    regimes = {each: load_regime(root, plan, each) for each in plan.regimes}
    if name not in regimes:
        raise InputError(f"--regime: {one_of(regimes, name)}", root / PLAN)
    explanations = load_explanations(configs / "tables" / "notes" / "differences.yaml")
    tasks = task_configs(configs, _in_table_order(configs, regimes[name].tasks))
    tasks = {each: task for each, task in tasks.items() if not task.separate}
    found = to_cite(plan, tasks, {name: regimes[name]}, configs, arguments.languages is not None)
    own = regimes[name].serving(tasks)
    return RegimeTable(plan, own, regimes, tasks, reported, explanations, found)


def main() -> None:
    """Read the plan and the runs, and write one table."""
    arguments = _arguments()
    if arguments.side_by_side:
        if arguments.table is None:
            raise InputError("--side-by-side: expected --table")
        from xlt.results.side_by_side import side_by_side

        print(side_by_side(arguments.side_by_side, arguments.table, arguments.configs))
        return
    made = _table(arguments.table, arguments) if arguments.table else _regime(arguments.regime, arguments)
    if arguments.cite:
        from xlt.results.citations import bibtex

        print(bibtex(made.cited or {}), end="")
        return
    _write(arguments.output or arguments.root / "tables", made)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
