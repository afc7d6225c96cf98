#!/usr/bin/env python3
"""Set the scores of the same runs, made in several ways (kernels, threads, encoders), side by side, task by task.

python reproduce/side_by_side.py --table table2 avx2=out/kernels/avx2/tiny/babel avx512=out/kernels/avx512/tiny/babel
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

# In place of this script's own folder, where a script would hide the package of its name.
from tabulate import tabulate

from xlt.config.benchmark import Table, Task, load
from xlt.errors import InputError, exit_status
from xlt.results.aggregate import SCORE, TaskResult, task_result
from xlt.results.run_folders import load_plan, load_regime

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
Results = dict[tuple[str, str], TaskResult]
"""Scores by (regime, task)."""


def read(root: Path, table: Table, tasks: Mapping[str, Task]) -> Results:
    """The results of every row and task of a table.

    Raises:
        InputError: a run of the table is not finished.
    """
    plan = load_plan(root)
    found = {}
    for name in plan.tables[table.name].regimes:
        regime = load_regime(root, plan, name)
        for task in tasks.values():
            found[name, task.name] = result = task_result(regime, task)
            if result.status != "ok" or result.seeds != result.planned_seeds:
                raise InputError(f"expected finished runs of {name} on {task.name}; make {table.name} first", root)
    return found


def average(result: TaskResult) -> float:
    """The score over languages and seeds, in percent."""
    return fmean(result.average(SCORE).values())


def cells(result: TaskResult) -> dict[str, float]:
    """The score of each language over the seeds, in percent."""
    return {code: fmean(result.values[SCORE][code].values()) for code in result.languages}


def compared(ways: Mapping[str, Results], tasks: Sequence[str], titles: Mapping[str, str]) -> str:
    """A line per task: its mean over the regimes in each way, and the largest differences between two ways."""
    regimes = list(dict.fromkeys(regime for regime, _ in next(iter(ways.values()))))
    lines = []
    for task in tasks:
        means = [fmean(average(found[regime, task]) for regime in regimes) for found in ways.values()]
        spans = {regime: _span([average(found[regime, task]) for found in ways.values()]) for regime in regimes}
        worst = max(spans, key=lambda regime: spans[regime])
        single = {
            (regime, code): _span([cells(found[regime, task])[code] for found in ways.values()])
            for regime in regimes
            for code in next(iter(ways.values()))[regime, task].languages
        }
        cell = max(single, key=lambda key: single[key])
        lines.append(
            [
                titles[task],
                *(f"{mean:.1f}" for mean in means),
                f"{spans[worst]:.1f} ({worst})",
                f"{single[cell]:.1f} ({', '.join(cell)})",
            ]
        )
    headers = ["task", *ways, "largest difference of an average", "of one language"]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _span(values: Sequence[float]) -> float:
    return max(values) - min(values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "roots", nargs="+", metavar="NAME=ROOT", help="what a way is called, and its folder with plan.json"
    )
    parser.add_argument("--table", default="table2", help="whose rows and tasks (default: %(default)s)")
    parser.add_argument("--configs", type=Path, default=CONFIGS, help="default: configs")
    options = parser.parse_args()
    named = [entry.partition("=") for entry in options.roots]
    if len(named) < 2 or not all(name and root for name, _, root in named):
        raise InputError("expected at least two of NAME=ROOT, such as avx2=out/kernels/avx2/tiny/babel")
    table = load(Table, options.configs / "tables" / f"{options.table}.yaml")
    tasks = {name: load(Task, options.configs / "tasks" / f"{name}.yaml") for name in table.tasks}
    ways = {name: read(Path(root), table, tasks) for name, _, root in named}
    print(compared(ways, table.tasks, {name: task.title for name, task in tasks.items()}))


if __name__ == "__main__":
    sys.exit(exit_status(main))
