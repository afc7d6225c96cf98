"""How much a score moves from run to run: the spread of each recorded cell, and of averages of cells.

A few runs say little about their own standard deviation, so it is drawn towards that of what is alike
(``statistics.moderated``): the languages and regimes of a task's metric, relative to the error of their test sets; averages
of one sort, relative to the spread they would have if their cells varied independently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlt.errors import InputError
from xlt.results.recording import Key, RecordedRow, Recording
from xlt.results.statistics import moderated

Array = NDArray[np.float64]
TAILS = 8.0
"""Degrees of freedom are at most this: a run that learns less well than its like is commoner than a normal distribution has
it, and no number of recorded runs makes its tails lighter (Lange, Little & Taylor 1989, Robust Statistical Modeling Using the
t Distribution). docs/verification.md shows what honest pages do under lighter and heavier tails."""


@dataclass(frozen=True)
class Spreads:
    """By cell (or average): the moderated standard deviation between runs, in points, and its degrees of freedom.

    ``common``: the variance it was drawn towards, ``prior``: with how many degrees of freedom.
    """

    std: Array
    freedom: Array
    common: Array
    prior: Array

    def of(self, numbers: Sequence[int]) -> Spreads:
        """Those of some cells."""
        chosen = list(numbers)
        return Spreads(self.std[chosen], self.freedom[chosen], self.common[chosen], self.prior[chosen])


@dataclass(frozen=True)
class Expected:
    """What is derived of a recorded cell, or of the average over the languages of its row (``language`` None), in percent."""

    row: RecordedRow
    language: str | None
    mean: float
    std: float
    spread: float
    freedom: float


def scores_of(recording: Recording) -> Array:
    """[runs, cells] in percent, cells in the order of the recording's keys."""
    return np.array([values for row in recording.rows for values in row.scores.values()], dtype=np.float64).T


def errors_of(recording: Recording) -> Array:
    """[cells] standard error of each cell's mean score on its test set, in points."""
    counts = np.array([recording.examples[task][code] for _, task, _, code in recording.keys], dtype=np.float64)
    return proportion_error(scores_of(recording).mean(axis=0), counts)


def proportion_error(score: Array, count: Array) -> Array:
    """Standard error, in points, of percentages on ``count`` examples; half an example keeps it above 0 at 100 %."""
    share = (score / 100 * count + 0.5) / (count + 1)
    return np.asarray(100 * np.sqrt(share * (1 - share) / count))


def expected(recording: Recording) -> list[Expected]:
    """Every cell of a recording, and the average of every row after its cells.

    Raises:
        InputError: as ``cell_spreads``.
    """
    scores = scores_of(recording)
    cells = cell_spreads(recording.keys, scores, errors_of(recording))
    weights = np.zeros((len(recording.rows), len(recording.keys)))
    start = 0
    for weight, row in zip(weights, recording.rows, strict=True):
        weight[start : start + len(row.scores)] = 1 / len(row.scores)
        start += len(row.scores)
    averages = average_spreads(scores, weights, cells.std)
    found, position = [], 0
    for number, row in enumerate(recording.rows):
        for code in row.scores:
            found.append(_expected(row, code, scores[:, position], cells, position))
            position += 1
        found.append(_expected(row, None, scores @ weights[number], averages, number))
    return found


def _expected(row: RecordedRow, language: str | None, values: Array, spreads: Spreads, at: int) -> Expected:
    mean, std = float(values.mean()), float(values.std(ddof=1))
    return Expected(row, language, mean, std, float(spreads.std[at]), float(spreads.freedom[at]))


def cell_spreads(keys: Sequence[Key], scores: Array, errors: Array) -> Spreads:
    """The spreads of cells.

    Args:
        keys: the cells.
        scores: [runs, cells] in percent.
        errors: [cells] standard errors on their test sets, in points.

    Raises:
        InputError: no two runs differ anywhere in a task's metric.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for number, (_, task, metric, _) in enumerate(keys):
        groups.setdefault((task, metric), []).append(number)
    found = Spreads(*np.empty((4, len(keys))))
    for (task, metric), numbers in groups.items():
        sources = {keys[number][0] for number in numbers}  # languages of one run do not vary independently
        part = _spreads(scores[:, numbers], errors[numbers], len(sources), f"{task} {metric}")
        for name in ("std", "freedom", "common", "prior"):
            getattr(found, name)[numbers] = getattr(part, name)
    return found


def average_spreads(scores: Array, weights: Array, std: Array) -> Spreads:
    """The spreads of averages of one sort.

    Args:
        scores: [runs, cells] in percent.
        weights: [averages, cells].
        std: [cells] the cells' own spreads.

    Raises:
        InputError: no two runs differ in any of them.
    """
    return _spreads(scores @ weights.T, np.sqrt(weights**2 @ std**2), len(weights), "averages")


def _spreads(values: Array, scale: Array, independent: int, what: str) -> Spreads:
    std = values.std(axis=0, ddof=1)
    if not (std > 1e-9).any():
        raise InputError(f"{what}: expected runs that differ; the same run is there twice")
    found = moderated(list(np.where(std > 1e-9, std, 0.0)), list(scale), len(values) - 1, independent)
    same = np.ones(len(std))
    return Spreads(np.array(found.std), min(found.freedom, TAILS) * same, found.common * scale**2, found.prior * same)
