"""Figures of the recorded runs of the generated world: scores by regime, task and run, and differences between regimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xlt.config.benchmark import Task
from xlt.results.aggregate import headline_metrics
from xlt.results.recording import Recording
from xlt.results.statistics import Interval, holm, mean_interval

FULL, ADAPTER = "full", "adapter"
"""The two regimes that the project's question is about."""
SOURCE = "en"

Array = NDArray[np.float64]
Scores = dict[tuple[str, str], dict[str, Array]]
"""By (regime, task) and language: [runs] the score in percent."""


def task_scores(recording: Recording, tasks: Mapping[str, Task]) -> Scores:
    """The score of each regime on each task, the mean of the task's headline metrics, by language and run."""
    rows = {(row.regime, row.task, row.metric): row.scores for row in recording.rows}
    found: Scores = {}
    for regime, task in dict.fromkeys((regime, task) for regime, task, _ in rows):
        parts = [rows[regime, task, metric] for metric in headline_metrics(tasks[task])]
        found[regime, task] = {code: np.mean([part[code] for part in parts], axis=0) for code in parts[0]}
    return found


def average(by_language: Mapping[str, Array], languages: Sequence[str] | None = None) -> Array:
    """[runs] mean over languages, all or those given."""
    return np.asarray(np.mean([by_language[code] for code in languages or by_language], axis=0))


def averages(scores: Scores) -> dict[str, dict[str, Array]]:
    """By regime and task: [runs] the task's score over its languages."""
    found: dict[str, dict[str, Array]] = {}
    for (regime, task), by_language in scores.items():
        found.setdefault(regime, {})[task] = average(by_language)
    return found


def over_tasks(by_task: Mapping[str, Array]) -> Array:
    """[runs] mean of the tasks' scores."""
    return np.asarray(np.mean(list(by_task.values()), axis=0))


def against_full(found: Mapping[str, Mapping[str, Array]]) -> dict[str, Interval]:
    """For every other regime, the difference of the mean over tasks to full fine-tuning, over the runs, paired by run."""
    full = over_tasks(found[FULL])
    return {
        name: mean_interval((over_tasks(by_task) - full).tolist()) for name, by_task in found.items() if name != FULL
    }


def beyond_chance(found: Mapping[str, Mapping[str, Array]]) -> dict[tuple[str, str], float]:
    """The differences to full fine-tuning by (regime, task) whose p, adjusted for all of them (Holm 1979), is below 5 %."""
    cells = {
        (regime, task): mean_interval((values - found[FULL][task]).tolist())
        for regime, by_task in found.items()
        for task, values in by_task.items()
        if regime != FULL
    }
    adjusted = holm([cell.p for cell in cells.values()])
    return {key: cell.estimate for (key, cell), p in zip(cells.items(), adjusted, strict=True) if p < 0.05}


def language_groups(families: Mapping[str, str]) -> dict[str, list[str]]:
    """The languages of each group: English, and the others by the first word of their family ("Near Isles": near)."""
    groups: dict[str, list[str]] = {}
    for code, family in families.items():
        groups.setdefault("English" if code == SOURCE else family.split()[0].lower(), []).append(code)
    return groups
