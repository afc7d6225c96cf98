"""The difference between two regimes with its confidence interval, from the scores of single examples."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlt.config import Task
from xlt.errors import InputError
from xlt.results.aggregate import headline_metrics
from xlt.results.runs import Regime
from xlt.results.statistics import Examples, Interval, bootstrap_difference, holm

EXAMPLES = "examples.npz"


def examples_of(root: Path, regime: Regime, task: Task, language: str) -> Examples | None:
    """Scores of single examples of a task in one language over the finished seeds, or None when a run kept none.

    Question answering: the mean of F1 and exact match of each question, as in the task's score.

    Raises:
        InputError: two seeds were scored on different numbers of examples, or a file is damaged.
    """
    rows = []
    folders = sorted((run.planned.seed, run.planned.dir) for run in regime.finished if task.name in run.planned.tasks)
    for _, folder in folders:
        path = root / folder / EXAMPLES
        if not path.exists():
            return None
        names = [f"{task.name}/{metric}/{language}" for metric in headline_metrics(task)]
        try:
            with np.load(path, allow_pickle=False) as kept:
                if any(name not in kept for name in names):
                    return None
                rows.append(np.mean([kept[name] for name in names], axis=0))
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
    if len({len(row) for row in rows}) > 1:
        raise InputError(
            f"{regime.name}: expected as many examples of {task.name}, {language} in every seed; run make plan again"
        )
    return np.stack(rows) if rows else None


def difference(
    root: Path, first: Regime, second: Regime, tasks: Sequence[tuple[Task, Sequence[str]]]
) -> Interval | None:
    """Mean difference in points over tasks and, within each, over its languages, with a 95 % interval.

    Args:
        root: folder of the profile and model.
        first, second: the regimes, with their runs.
        tasks: tasks with the languages to average over.

    Returns:
        None when one of the regimes has no scores of single examples for one of the test sets.
    """
    pairs, weights = [], []
    for task, languages in tasks:
        for language in languages:
            sides = [examples_of(root, regime, task, language) for regime in (first, second)]
            if sides[0] is None or sides[1] is None or sides[0].shape[1] != sides[1].shape[1]:
                return None
            pairs.append((sides[0], sides[1]))
            weights.append(1 / (len(tasks) * len(languages)))
    return bootstrap_difference(pairs, weights) if pairs else None


@dataclass(frozen=True, slots=True)
class Tested:
    """A difference in one language; ``adjusted``: its p-value by Holm's method, for all languages tested together."""

    interval: Interval
    adjusted: float


def by_language(root: Path, first: Regime, second: Regime, task: Task, languages: Sequence[str]) -> dict[str, Tested]:
    """The difference of two regimes in each language of a task, tested with Holm's correction over the languages.

    Languages without scores of single examples in one of the regimes are left out.
    """
    found = {code: difference(root, first, second, [(task, [code])]) for code in languages}
    intervals = {code: interval for code, interval in found.items() if interval is not None}
    adjusted = holm([interval.p for interval in intervals.values()])
    return {code: Tested(intervals[code], p) for code, p in zip(intervals, adjusted, strict=True)}
