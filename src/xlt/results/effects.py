"""The interval of an effect: a weighted sum of scores of several methods on test sets that may share their items.

Two things vary, crossed with each other: which models training gives (seeds), and which items are in the test sets. The
variance is estimated from the scores themselves, without resampling: docs/verification.md has its coverage in simulations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlt.results.statistics import Interval, half_width, two_sided

Examples = NDArray[np.floating]
"""Scores of single examples, row s those of the model of seed s on the same examples as every other row.

[seeds, examples] from 0 to 1, whose mean is the score; or [seeds, examples, 3] counts of right, predicted and gold spans,
whose F1 is the score.
"""
Values = NDArray[np.float64]
ENOUGH = 3
"""Seeds of a method that a conclusion about it takes: fewer hardly show how much they differ."""
Items = NDArray[np.uint64]
"""[examples]: which item each example is; translations of each other are one item, whatever test set they are in."""


@dataclass(frozen=True)
class Scored:
    """The examples of a test set as the models of one method scored them: ``examples[s]`` by the model of ``seeds[s]``."""

    seeds: tuple[int, ...]
    examples: Examples
    items: Items


@dataclass(frozen=True)
class Cell:
    """A method (such as a regime) on one test set, and the weight of its score in the effect."""

    method: str
    weight: float
    scored: Scored


@dataclass(frozen=True, slots=True)
class Effect(Interval):
    """``seeds``: the fewest models of a method behind it. With one, the interval is about these models and no others."""

    seeds: int


def scores_and_influences(examples: Examples) -> tuple[Values, Values]:
    """The score of each model in percent, [seeds], and how far each example moves it, [seeds, examples].

    The influences of a model add up to 0, and their sum of squares is the variance of its score over samples of independent
    examples: ``(x - mean) / n`` for a mean, the delta method for an F1.
    """
    values = np.asarray(examples, dtype=np.float64)
    if values.ndim == 2:
        scores = values.mean(axis=1)
        return 100 * scores, 100 * (values - scores[:, None]) / values.shape[1]
    right, spans = values[..., 0], values[..., 1] + values[..., 2]
    total = np.maximum(spans.sum(axis=1), 1)
    scores = 2 * right.sum(axis=1) / total
    return 100 * scores, 100 * (2 * right - scores[:, None] * spans) / total[:, None]


def effect(cells: Sequence[Cell], level: float = 0.95) -> Effect | None:
    """The weighted sum of the cells' scores (each the mean over its method's seeds) with its interval.

    With k models of each method, the variance is that of two crossed random factors, models and items,

        sum over methods of s**2 / k  +  variance over items  -  variance of their interaction

    where ``s**2`` is the sample variance of the models' own sums (divisor k - 1: few seeds are corrected for), the variance
    over items is clustered, so that an item drawn is drawn in every test set that has it (Liang and Zeger 1986; Cameron,
    Gelbach and Miller 2011, Robust Inference with Multiway Clustering, section 2.1, whose third term the interaction is,
    for both factors contain it). The quantile is Student's with the degrees of freedom of Satterthwaite 1946. Readers and
    cases of diagnostic studies are the same design: Hillis 2014, A marginal-mean ANOVA approach for analyzing multireader
    multicase radiological imaging data. Models of different methods count as independent, whatever their seeds.

    A method with a single model says nothing about the variance of training. Then the models are taken as they are, and
    only items vary.

    Args:
        cells: of any number of methods; a difference has weights of both signs. Of each method, only the seeds count that
            all its cells have.

    Returns:
        None where there is no cell, or a method has no seed in all its cells.
    """
    seeds = _common_seeds(cells)
    if not seeds or not all(seeds.values()):
        return None
    sums, moves = _by_method(cells, seeds)
    fewest = min(len(own) for own in seeds.values())
    estimate = float(sum(own.mean() for own in sums))
    error, freedom = _error(sums, moves, fewest)
    half = half_width(error, freedom, level)
    return Effect(estimate, estimate - half, estimate + half, two_sided(estimate, error, freedom), fewest)


def item_error(cells: Sequence[Cell]) -> float:
    """Standard error of the weighted sum of scores over samples of items, for the models there are."""
    _, moves = _by_method(cells, _common_seeds(cells))
    return math.sqrt(_item_variance(moves))


def _common_seeds(cells: Sequence[Cell]) -> dict[str, list[int]]:
    """By method, the seeds that all its cells have."""
    found: dict[str, set[int]] = {}
    for cell in cells:
        own = set(cell.scored.seeds)
        found[cell.method] = found.get(cell.method, own) & own
    return {name: sorted(own) for name, own in found.items()}


def _by_method(cells: Sequence[Cell], seeds: Mapping[str, Sequence[int]]) -> tuple[list[Values], list[Values]]:
    """For each method its models' weighted sums of scores, [seeds], and how far each item moves them, [seeds, items]."""
    _, places = np.unique(np.concatenate([cell.scored.items for cell in cells]), return_inverse=True)
    own_places = np.split(places, np.cumsum([len(cell.scored.items) for cell in cells])[:-1])
    count = int(places.max()) + 1
    sums = {name: np.zeros(len(own)) for name, own in seeds.items()}
    moves = {name: np.zeros((len(own), count)) for name, own in seeds.items()}
    for cell, where in zip(cells, own_places, strict=True):
        rows = [cell.scored.seeds.index(seed) for seed in seeds[cell.method]]
        scores, influences = scores_and_influences(cell.scored.examples[rows])
        sums[cell.method] += cell.weight * scores
        for row, values in enumerate(influences):
            moves[cell.method][row] += np.bincount(where, cell.weight * values, minlength=count)
    return list(sums.values()), list(moves.values())


def _item_variance(moves: Sequence[Values]) -> float:
    """Variance of the sum over methods of the mean over seeds, over samples of items."""
    mean, count = np.sum([own.mean(axis=0) for own in moves], axis=0), moves[0].shape[1]
    return float(mean @ mean) * count / max(count - 1, 1)


def _error(sums: Sequence[Values], moves: Sequence[Values], fewest: int) -> tuple[float, float]:
    """Standard error and degrees of freedom from each method's sums, [seeds], and influences, [seeds, items]."""
    items, freedom = _item_variance(moves), max(moves[0].shape[1] - 1, 1)
    if fewest == 1:
        return math.sqrt(items), freedom
    training = [float(own.var(ddof=1)) / len(own) for own in sums]
    interaction = sum(float(((own - own.mean(axis=0)) ** 2).sum()) / (len(own) * (len(own) - 1)) for own in moves)
    items = max(items - interaction, 0.0)
    variance = sum(training) + items
    if variance == 0:
        return 0.0, freedom
    parts = [*((each, len(own) - 1) for each, own in zip(training, sums, strict=True)), (items, freedom)]
    return math.sqrt(variance), variance**2 / sum(part**2 / degrees for part, degrees in parts)
