"""The difference between two regimes with its confidence interval, from the scores of single examples."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlt.config.benchmark import Task
from xlt.errors import InputError
from xlt.layout import EXAMPLES
from xlt.results.aggregate import headline_metrics
from xlt.results.effects import Cell, Effect, Examples, Items, Scored, effect, item_error
from xlt.results.run_folders import Regime
from xlt.results.statistics import holm


def examples_of(
    root: Path, regime: Regime, task: Task, language: str, metrics: Sequence[str] | None = None
) -> Scored | None:
    """Scores of single examples of a task in one language over the finished seeds, or None when a run kept none.

    ``metrics``: whose mean each example's score is; None for the task's own, which for question answering are F1 and exact
    match.

    Raises:
        InputError: two seeds were scored on different examples, a file is damaged, or is from before runs kept items.
    """
    found = {}
    for run in regime.finished:
        if task.name in run.planned.tasks:
            read = _examples(root / run.planned.dir / EXAMPLES, task.name, language, metrics or headline_metrics(task))
            if read is None:
                return None
            found[run.planned.seed] = read
    if not found:
        return None
    seeds = tuple(sorted(found))
    items = found[seeds[0]][1]
    if not all(np.array_equal(items, other) for _, other in found.values()):
        message = f"{regime.name}: expected the same examples of {task.name}, {language} in every seed"
        raise InputError(f"{message}; run make plan and the older runs again")
    return Scored(seeds, np.stack([found[seed][0] for seed in seeds]), items)


def _examples(path: Path, task: str, language: str, metrics: Sequence[str]) -> tuple[Examples, Items] | None:
    """What one run kept of a task in one language: the mean over metrics of each example, and its item."""
    if not path.exists():
        return None
    names, items = [f"{task}/{metric}/{language}" for metric in metrics], f"{task}/item/{language}"
    try:
        with np.load(path, allow_pickle=False) as kept:
            if any(name not in kept for name in names):
                return None
            if items not in kept:
                raise InputError(f"expected the array {items}; delete scores.json and run again", path)
            values, which = np.mean([kept[name] for name in names], axis=0), kept[items]
            if which.ndim != 1 or which.dtype != np.uint64 or len(which) != len(values):
                raise ValueError(f"{items}: expected {len(values)} numbers of items")
            return values, which
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        TypeError,
        NotImplementedError,  # a zip of a later version
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        message = f"expected arrays of single examples' scores: {error}; delete scores.json and run again"
        raise InputError(message, path) from None


def average_error(
    root: Path, regime: Regime, task: Task, languages: Sequence[str], metrics: Sequence[str] | None
) -> float | None:
    """Standard error, in points, that the choice of items gives a regime's average over languages.

    The models are taken as they are. ``metrics``: see ``examples_of``. None without scores of single examples.
    """
    scored = [examples_of(root, regime, task, language, metrics) for language in languages]
    cells = [Cell(regime.name, 1 / len(languages), each) for each in scored if each is not None]
    return item_error(cells) if cells and len(cells) == len(languages) else None


def difference(root: Path, first: Regime, second: Regime, tasks: Sequence[tuple[Task, Sequence[str]]]) -> Effect | None:
    """Mean difference in points over tasks and, within each, over its languages, with a 95 % interval.

    Args:
        root: folder of the profile and model.
        first, second: the regimes, with their runs.
        tasks: tasks with the languages to average over.

    Returns:
        None when one of the regimes has no scores of single examples for one of the test sets, when they are of other
        examples, or when it has no seed for all tasks.
    """
    cells = []
    for task, languages in tasks:
        for language in languages:
            pair = compared(root, first, second, task, language, 1 / (len(tasks) * len(languages)))
            if pair is None:
                return None
            cells += pair
    return effect(cells)


def compared(root: Path, first: Regime, second: Regime, task: Task, language: str, weight: float) -> list[Cell] | None:
    """The cells of ``first - second`` on one test set; None when one has no scores of single examples, or of others."""
    ours, theirs = (examples_of(root, regime, task, language) for regime in (first, second))
    if ours is None or theirs is None or not np.array_equal(ours.items, theirs.items):
        return None
    return [Cell(first.name, weight, ours), Cell(second.name, -weight, theirs)]


@dataclass(frozen=True, slots=True)
class Tested:
    """A difference in one language; ``adjusted``: its p-value by Holm's method, for all languages tested together."""

    interval: Effect
    adjusted: float


def by_language(root: Path, first: Regime, second: Regime, task: Task, languages: Sequence[str]) -> dict[str, Tested]:
    """The difference of two regimes in each language of a task, tested with Holm's correction over the languages.

    Languages without scores of single examples in one of the regimes are left out.
    """
    found = {code: difference(root, first, second, [(task, [code])]) for code in languages}
    intervals = {code: interval for code, interval in found.items() if interval is not None}
    adjusted = holm([interval.p for interval in intervals.values()])
    return {code: Tested(intervals[code], p) for code, p in zip(intervals, adjusted, strict=True)}
