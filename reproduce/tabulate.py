"""Write a table from the runs below a root folder: Markdown, LaTeX, CSV and JSON.

    python reproduce/tabulate.py --table table2 --root out/pilot/e5-small
    python reproduce/tabulate.py --regime adapter-itt --root out/pilot/e5-small

Runs that are not there are shown as "not run", tasks and languages without files as "no data".
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# In place of this script's own folder, where its name would hide the package tabulate.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "src")

from xlt import languages
from xlt.artifacts import write_atomic
from xlt.config import Table, Task, load, load_all
from xlt.errors import InputError, exit_status
from xlt.results import export, regime_table
from xlt.results.render import Document, standalone, to_latex, to_markdown
from xlt.results.reported import load_reported
from xlt.results.runs import Plan, Regime, load_plan, load_regime
from xlt.results.tables import KINDS, Inputs


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", help="a table of configs/tables, such as table2")
    what.add_argument("--regime", help="a planned regime: its own table, with a column for the reported numbers")
    parser.add_argument("--root", type=Path, required=True, help="folder of one profile and model, with plan.json")
    parser.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    parser.add_argument("--output", type=Path, help="folder to write to; default: <root>/tables")
    parser.add_argument("--languages", type=Path, help="languages.yaml of the embedded world, for its languages' names")
    return parser.parse_args()


def _write(folder: Path, name: str, document: Document, csv: str, json: str) -> None:
    for suffix, text in {
        ".csv": csv,
        ".json": json,
        ".tex": to_latex(document),
        "-standalone.tex": standalone(document, f"{name}.tex"),
        ".md": to_markdown(document),
    }.items():
        write_atomic(folder / f"{name}{suffix}", text)
    print(f"wrote {folder / name}.{{md,tex,csv,json}}")


def _tasks(configs: Path, names: list[str]) -> dict[str, Task]:
    return {name: load(Task, configs / "tasks" / f"{name}.yaml") for name in names}


def _in_table_order(configs: Path, names: list[str]) -> list[str]:
    """Tasks in the order of the tables' columns, then those that no table has."""
    columns = [task for table in load_all(Table, configs / "tables").values() for task in table.tasks]
    return sorted(names, key=lambda name: columns.index(name) if name in columns else len(columns))


def _rows(root: Path, plan: Plan, config: Table) -> dict[str, Regime]:
    """The regimes a table shows, with their runs, in its order."""
    names = plan.tables[config.name].regimes if config.name in plan.tables else config.regimes
    if names and not set(names) & set(plan.regimes):
        known = ", ".join(plan.regimes) or "none"
        raise InputError(f"expected a regime of {config.name} in the plan, got {known}", root / "plan.json")
    return {name: load_regime(root, plan, name) if name in plan.regimes else Regime(name, name, []) for name in names}


def main() -> None:
    """Read the plan and the runs, and write one table."""
    arguments = _arguments()
    root, configs = arguments.root, arguments.configs
    output = arguments.output or root / "tables"
    if arguments.languages:
        languages.register(arguments.languages)
    plan = load_plan(root)
    reported = load_reported(configs / "reported")
    if arguments.table:
        config = load(Table, configs / "tables" / f"{arguments.table}.yaml")
        written = KINDS[config.kind](
            Inputs(
                config=config,
                plan=plan,
                root=root,
                tasks=_tasks(configs, config.tasks),
                regimes=_rows(root, plan, config),
                left_out=plan.tables[config.name].left_out if config.name in plan.tables else [],
                reported=reported,
            )
        )
        _write(output, config.name, written.document, written.csv, written.json)
    else:
        regimes = {name: load_regime(root, plan, name) for name in plan.regimes}
        if arguments.regime not in regimes:
            known = ", ".join(regimes) or "none"
            raise InputError(
                f"expected a planned regime, got {arguments.regime}; planned are {known}", root / "plan.json"
            )
        regime = regimes[arguments.regime]
        explanations = regime_table.load_explanations(configs / "tables" / "notes" / "differences.yaml")
        tasks = _tasks(configs, _in_table_order(configs, regime.tasks))
        own = regime_table.build(plan, regime, regimes, tasks, reported, explanations)
        page = regime_table.document(own)
        _write(output, f"regime-{regime.name}", page, export.regime_csv(own), export.regime_json(own, page))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
