"""Means over seeds, languages and tasks.

Two conventions of the benchmark hold throughout. A task's score in a language is its metric, or the mean of F1 and
exact match for question answering (XTREME's ``evaluate.py``: ``avg_metric``). A task's score is the mean over its
languages.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xlt.config.benchmark import Task
from xlt.errors import InputError
from xlt.results.run_folders import FinishedRun, RegimeRuns, TaskScores

SCORE = "score"
SOURCE = "en"
"""The language of the training data, which averages over the others leave out."""
BySeed = dict[int, float]
"""A figure of each seed."""


@dataclass(frozen=True, slots=True)
class MeanStd:
    """Mean and sample standard deviation (n - 1) over seeds; ``std`` is None with a single seed."""

    mean: float
    std: float | None
    seeds: tuple[int, ...]


def summarize(by_seed: Mapping[int, float]) -> MeanStd | None:
    """Mean and standard deviation over seeds; None when there is no value."""
    if not by_seed:
        return None
    values = [by_seed[seed] for seed in sorted(by_seed)]
    std = statistics.stdev(values) if len(values) > 1 else None
    return MeanStd(statistics.fmean(values), std, tuple(sorted(by_seed)))


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> BySeed:
    """First minus second, seed by seed, for the seeds that both have."""
    return {seed: first[seed] - second[seed] for seed in first if seed in second}


def headline_metrics(task: Task) -> list[str]:
    """The metrics whose mean is the task's score: F1 and exact match for question answering, else the first listed."""
    return list(task.metrics) if task.family == "span" else task.metrics[:1]


def headline(values: Mapping[str, Mapping[str, BySeed]], task: Task) -> dict[str, BySeed]:
    """The task's score by language and seed, from its values by metric, language and seed."""
    first, *others = (values[metric] for metric in headline_metrics(task))
    return {
        code: {seed: statistics.fmean([value, *(each[code][seed] for each in others)]) for seed, value in own.items()}
        for code, own in first.items()
    }


@dataclass(frozen=True)
class TaskResult:
    """All seeds of one task in one regime.

    ``values[metric][language][seed]`` is a percentage; the metric ``score`` is the task's headline. ``languages`` are
    those with data in every finished seed, in the order of the configuration; ``uneven`` those with data in some seeds
    only; ``withheld`` those whose files have no gold labels.
    """

    task: str
    regime_planned: bool
    planned_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    split: str | None
    languages: tuple[str, ...]
    expected: tuple[str, ...]
    uneven: tuple[str, ...]
    withheld: tuple[str, ...]
    values: dict[str, dict[str, BySeed]]
    n: dict[str, int]

    @property
    def status(self) -> str:
        """``ok``, ``not run`` (no seed finished) or ``no data`` (no language has files).

        The planner plans no run for a task without files to train and test on, so a planned regime without a run for
        the task is ``no data`` too.
        """
        if not self.planned_seeds:
            return "no data" if self.regime_planned else "not run"
        if not self.seeds:
            return "not run"
        return "ok" if self.languages else "no data"

    @property
    def missing(self) -> tuple[str, ...]:
        """Expected languages without a score: no file, a file without gold labels, or not in every seed."""
        return tuple(code for code in self.expected if code not in self.languages)

    def average(self, metric: str, languages: Sequence[str] | None = None) -> BySeed:
        """Mean over languages (all with data, or those given) for each seed; empty when there is nothing to average."""
        chosen = self.languages if languages is None else languages
        per_language = self.values.get(metric, {})
        if not chosen or any(code not in per_language for code in chosen):
            return {}
        return {seed: statistics.fmean(per_language[code][seed] for code in chosen) for seed in self.seeds}


def _metric_values(scores: Mapping[int, TaskScores], metric: str, languages: Iterable[str]) -> dict[str, BySeed]:
    return {code: {seed: found.metrics[metric][code] for seed, found in scores.items()} for code in languages}


def task_result(regime: RegimeRuns, task: Task) -> TaskResult:
    """Collect one task of a regime over its seeds.

    Raises:
        InputError: a finished run has scores for the task but lacks one of its metrics, or its seeds differ in split.
    """
    planned = [run for run in regime.runs if task.name in run.planned.tasks]
    scores = {run.planned.seed: run.scores.tasks[task.name] for run in planned if isinstance(run, FinishedRun)}
    expected = list(dict.fromkeys(code for run in planned for code in run.config.languages.get(task.name, [])))
    seen = {code for found in scores.values() for code in found.languages}
    expected += sorted(seen - set(expected))
    everywhere = [code for code in expected if scores and all(code in found.languages for found in scores.values())]
    for seed, found in scores.items():
        if found.languages and (absent := set(task.metrics) - set(found.metrics)):
            message = (
                f"{regime.name}, seed {seed}: expected {', '.join(sorted(absent))} of {task.name}; score the run again"
            )
            raise InputError(message)
    splits = sorted({found.split for found in scores.values()})
    if len(splits) > 1:
        raise InputError(
            f"{regime.name}: expected one split of {task.name}, got {' and '.join(splits)}; run make plan again"
        )
    values = {metric: _metric_values(scores, metric, everywhere) for metric in task.metrics}
    values[SCORE] = headline(values, task)
    return TaskResult(
        task=task.name,
        regime_planned=bool(regime.runs),
        planned_seeds=tuple(sorted(run.planned.seed for run in planned)),
        seeds=tuple(sorted(scores)),
        split=splits[0] if splits else None,
        languages=tuple(everywhere),
        expected=tuple(expected),
        uneven=tuple(sorted(seen - set(everywhere))),
        withheld=tuple(sorted({code for found in scores.values() for code in found.withheld})),
        values=values,
        n={code: max(found.n[code] for found in scores.values()) for code in everywhere},
    )


def common_tasks(results: Mapping[str, Mapping[str, TaskResult]], tasks: Sequence[str]) -> list[str]:
    """The tasks with values in every regime that has a value at all: what regimes are averaged over and compared on."""
    started = [by_task for by_task in results.values() if any(by_task[task].status == "ok" for task in tasks)]
    return [task for task in tasks if started and all(by_task[task].status == "ok" for by_task in started)]


def mean_over_tasks(by_task: Mapping[str, TaskResult], tasks: Sequence[str]) -> BySeed:
    """Mean over ``tasks`` of their scores, for each seed that has them all."""
    averages = [by_task[task].average(SCORE) for task in tasks]
    seeds = set.intersection(*(set(average) for average in averages)) if averages else set()
    return {seed: statistics.fmean(average[seed] for average in averages) for seed in sorted(seeds)}


def average_over_tasks(by_task: Mapping[str, TaskResult], tasks: Sequence[str]) -> MeanStd | None:
    """The same over seeds; None without one."""
    return summarize(mean_over_tasks(by_task, tasks))
