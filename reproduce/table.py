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

from xlt import languages
from xlt.config.benchmark import Table, load, load_all
from xlt.errors import InputError, exit_status
from xlt.files import write_atomic
from xlt.layout import PLAN

# In place of this script's own folder, where its name would hide the package tabulate; that follows at the end.
from xlt.planning.table_inputs import row_names, sizes_found, task_configs
from xlt.results.render import Document, standalone, to_latex, to_markdown
from xlt.results.reported import load_reported
from xlt.results.run_folders import Plan, Regime, load_plan, load_regime


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
    parser.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    parser.add_argument("--output", type=Path, help="folder to write to; default: <root>/tables")
    parser.add_argument("--data", type=Path, help="folder of official files; read for a table of sizes only")
    parser.add_argument("--languages", type=Path, help="languages.yaml of the embedded world, for its languages' names")
    return parser.parse_args()


def _write(
    folder: Path, name: str, document: Document, csv: str, json: str, files: Mapping[str, bytes] | None = None
) -> None:
    _replace(folder / name, files or {})
    for suffix, text in {
        ".csv": csv,
        ".json": json,
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


def _rows(root: Path, plan: Plan, config: Table) -> dict[str, Regime]:
    """The regimes a table shows, with their runs, in its order."""
    names = row_names(root, plan, config)
    return {name: load_regime(root, plan, name) if name in plan.regimes else Regime(name, name, []) for name in names}


def main() -> None:
    """Read the plan and the runs, and write one table."""
    arguments = _arguments()
    if arguments.side_by_side:
        if arguments.table is None:
            raise InputError("--side-by-side: expected --table")
        from xlt.results.side_by_side import side_by_side

        print(side_by_side(arguments.side_by_side, arguments.table, arguments.configs))
        return
    from xlt.results import export, regime_table
    from xlt.results.tables import KINDS, Inputs

    root, configs = arguments.root, arguments.configs
    output = arguments.output or root / "tables"
    world = list(languages.register(arguments.languages)) if arguments.languages else None
    plan = load_plan(root)
    reported = load_reported(configs / "reported")
    if arguments.table:
        config = load(Table, configs / "tables" / f"{arguments.table}.yaml")
        tasks = task_configs(configs, config.tasks)
        written = KINDS[config.kind](
            Inputs(
                config=config,
                plan=plan,
                root=root,
                tasks=tasks,
                regimes=_rows(root, plan, config),
                left_out=plan.tables[config.name].left_out if config.name in plan.tables else [],
                reported=reported,
                configs=configs,
                sizes=sizes_found(arguments.data, configs, tasks, world) if config.kind == "sizes" else None,
                world=world is not None,
            )
        )
        _write(output, config.name, written.document, written.csv, written.json, written.files)
    else:
        regimes = {name: load_regime(root, plan, name) for name in plan.regimes}
        if arguments.regime not in regimes:
            known = ", ".join(regimes) or "none"
            raise InputError(f"expected a planned regime, got {arguments.regime}; planned are {known}", root / PLAN)
        regime = regimes[arguments.regime]
        explanations = regime_table.load_explanations(configs / "tables" / "notes" / "differences.yaml")
        tasks = task_configs(configs, _in_table_order(configs, regime.tasks))
        tasks = {name: task for name, task in tasks.items() if not task.separate}
        regime = regime.serving(tasks)
        own = regime_table.build(plan, regime, regimes, tasks, reported, explanations)
        page = regime_table.document(own)
        _write(output, f"regime-{regime.name}", page, export.regime_csv(own), export.regime_json(own, page))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
