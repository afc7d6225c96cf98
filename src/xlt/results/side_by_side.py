"""The scores of the same runs, made in several ways (kernels, threads, encoders), side by side, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from tabulate import tabulate

from xlt.config.benchmark import Table, Task, load
from xlt.errors import InputError
from xlt.results.aggregate import SCORE, TaskResult, task_result
from xlt.results.run_folders import load_plan, load_regime

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


def side_by_side(ways: Sequence[str], name: str, configs: Path) -> str:
    """The scores of a table's rows in several ways, each given as NAME=ROOT, as a Markdown table.

    Raises:
        InputError: fewer than two ways are given, or a run of the table is not finished.
    """
    named = [entry.partition("=") for entry in ways]
    if len(named) < 2 or not all(way and root for way, _, root in named):
        raise InputError("expected at least two of NAME=ROOT, such as avx2=out/kernels/avx2/tiny/babel")
    table = load(Table, configs / "tables" / f"{name}.yaml")
    tasks = {task: load(Task, configs / "tasks" / f"{task}.yaml") for task in table.tasks}
    found = {way: read(Path(root), table, tasks) for way, _, root in named}
    return compared(found, table.tasks, {task.name: task.title for task in tasks.values()})
