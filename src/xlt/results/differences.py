"""The difference between two regimes with its confidence interval, from the scores of single examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xlt.config import Task
from xlt.errors import InputError
from xlt.results.aggregate import headline_metrics
from xlt.results.runs import Regime
from xlt.results.statistics import Examples, Interval, bootstrap_difference

EXAMPLES = "examples.npz"


def examples_of(root: Path, regime: Regime, task: Task, language: str) -> Examples | None:
    """Scores of single examples of a task in one language over the finished seeds, or None when a run kept none.

    Question answering: the mean of F1 and exact match of each question, as in the task's score.

    Raises:
        InputError: two seeds were scored on different numbers of examples.
    """
    rows = []
    folders = sorted((run.planned.seed, run.planned.dir) for run in regime.finished if task.name in run.planned.tasks)
    for _, folder in folders:
        path = root / folder / EXAMPLES
        if not path.exists():
            return None
        with np.load(path) as kept:
            names = [f"{task.name}/{metric}/{language}" for metric in headline_metrics(task)]
            if any(name not in kept for name in names):
                return None
            rows.append(np.mean([kept[name] for name in names], axis=0))
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
