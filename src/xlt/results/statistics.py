"""Intervals and tests behind verdicts and claims; docs/verification.md says which is used where, and why.

All scores are percentages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

LEAST_LANGUAGES = 5
"""Languages below which no interval is given: resamples of fewer repeat each other."""
CORRELATION_RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval and the two-sided probability of one as far from 0 by chance."""

    estimate: float
    low: float
    high: float
    p: float


def prediction_scale(
    seeds: int, std: float | None, reported_seeds: int | None, reported_std: float | None, proportion: float, n: int
) -> tuple[float, float]:
    """Standard error and degrees of freedom of the difference between our mean and a reported one of the same method.

    Both are means of runs that differ by their seed, so the error is ``s * sqrt(1/k + 1/m)``, with ``s`` pooled over the
    samples that have a standard deviation (a prediction interval: Hahn & Meeker 1991, Statistical Intervals, section
    4.8). A report without its number of runs counts as one run. Where no seed variance is known at all, the error of a
    proportion on ``n`` test examples stands in, with infinitely many degrees of freedom.

    Args:
        seeds: k, how many runs our mean is of; std: their standard deviation (None with one).
        reported_seeds, reported_std: the same of the report, where given.
        proportion: our score as a number from 0 to 1; n: test examples behind it.
    """
    others = reported_seeds or 1
    parts = [(seeds - 1, std), (others - 1, reported_std)]
    known = [(freedom, float(value)) for freedom, value in parts if value is not None and freedom > 0]
    freedom = sum(weight for weight, _ in known)
    if freedom == 0:
        return 100 * math.sqrt(max(proportion * (1 - proportion), 1e-12) / n), math.inf
    pooled = math.sqrt(sum(weight * value**2 for weight, value in known) / freedom)
    return pooled * math.sqrt(1 / seeds + 1 / others), float(freedom)


@dataclass(frozen=True, slots=True)
class Spread:
    """What the standard deviations of many cells say about each: the moderated ones, and the degrees of freedom of all.

    ``common``: the variance that cells have in common, relative to their scale; ``prior``: its degrees of freedom.
    """

    std: list[float]
    freedom: float
    common: float
    prior: float


def moderated(std: Sequence[float], scale: Sequence[float], freedom: int, independent: int) -> Spread:
    """Standard deviations of a few runs each, drawn towards what cells like them have (few runs alone say little).

    The random variance model (Wright & Simon 2003, Bioinformatics 19, 2448-2455; Smyth 2004, section 3): the true
    variances, each relative to its scale, follow an inverse gamma distribution. The ratios of the measured ones then follow
    ``r * F(d, d0)``, which gives ``r`` and ``d0`` by maximum likelihood, and a moderated variance
    ``(d * s**2 + d0 * r * scale**2) / (d + d0)`` has ``d + d0`` degrees of freedom. ``d0`` is at most what the independent
    ones among the cells have together: they say no more than that about their common variance.

    Args:
        std: sample standard deviations of the cells, each with ``freedom`` (d) degrees of freedom.
        scale: the standard deviation each would have if it were in proportion, such as that of its test set; above 0.
        freedom: d, the number of runs of each cell less one.
        independent: how many of the cells vary independently; languages of the same runs do not.
    """
    unit = np.asarray(scale, dtype=np.float64) ** 2
    ratios = np.asarray(std, dtype=np.float64) ** 2 / unit
    if not ratios.any():
        raise ValueError("expected at least one standard deviation above 0: runs that never differ are one run, copied")
    most = float(freedom * independent)
    floor = ratios[ratios > 0].min() / 2  # equal scores by chance: with more than 3 runs F has no density at 0

    drawn = np.log(np.maximum(ratios, floor))

    def unlikelihood(logs: NDArray[np.float64]) -> float:
        # the density of F(d, d0), written out: scipy's takes ten times as long, and expectations are fitted at each start
        half, prior = freedom / 2, math.exp(logs[1]) / 2
        constant = math.lgamma(half + prior) - math.lgamma(half) - math.lgamma(prior)
        odds = drawn - logs[0] + math.log(half / prior)
        return -float(np.sum(constant + half * odds - (half + prior) * np.log1p(np.exp(odds)) - drawn))

    bounds = [(math.log(floor), math.log(2 * ratios.max())), (0.0, max(math.log(most), 1e-9))]
    start = np.array([math.log(ratios.mean()), min(math.log(4.0), bounds[1][1])])
    best = optimize.minimize(unlikelihood, start, method="Nelder-Mead", bounds=bounds)
    common, prior = np.exp(best.x)
    variance = (freedom * ratios + prior * common) / (freedom + prior) * unit
    std_of_all = [float(value) for value in np.sqrt(variance)]
    return Spread(std_of_all, float(freedom + prior), float(common), float(prior))


def two_sided(difference: float, error: float, freedom: float) -> float:
    """Probability of a difference at least this large by chance (Student's t; normal for infinite freedom)."""
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference) / error, freedom))


def half_width(error: float, freedom: float, level: float) -> float:
    """Half of the interval that contains the difference with probability ``level``."""
    return float(stats.t.ppf((1 + level) / 2, freedom) * error)


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of some runs with Student's interval, and the probability of one as far from 0."""
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = half_width(error, len(values) - 1, level)
    return Interval(mean, mean - half, mean + half, two_sided(mean, error, len(values) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for testing them all (Holm 1979): sorted, times the number still untested, never falling."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def probability_of_improvement(first: Sequence[float], second: Sequence[float]) -> float:
    """Chance that a run of ``first`` scores above a run of ``second``, ties counted half (Agarwal et al. 2021, section 4)."""
    result = stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic")
    return float(result.statistic) / (len(first) * len(second))


def stochastic_order(first: Sequence[float], second: Sequence[float]) -> float:
    """Violation ratio of "``first`` is stochastically larger than ``second``": 0 holds fully, 1 the reverse does.

    (Almost stochastic order: del Barrio et al. 2018; Dror et al. 2019, Deep Dominance, section 4.) The squared
    difference of the quantile functions, integrated where the order is violated, over its integral everywhere.
    Undefined without any difference: then 0.5.
    """
    # both quantile functions are steps; on this grid of mid-points each is exact
    steps = math.lcm(len(first), len(second))
    at = (np.arange(steps) + 0.5) / steps
    upper = np.sort(first)[np.floor(at * len(first)).astype(int)]
    lower = np.sort(second)[np.floor(at * len(second)).astype(int)]
    gaps = (upper - lower) ** 2
    total = float(gaps.sum())
    return 0.5 if total == 0 else float(gaps[upper < lower].sum()) / total


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rho of ``n`` languages with its confidence interval; both ends None with too few of them."""

    rho: float
    low: float | None
    high: float | None
    n: int


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64], axis: int = -1) -> Any:
    """Spearman's rho along an axis: Pearson's of the ranks, ties ranked by their mean; 0 where a side does not vary.

    (A resample may draw one language only; it shows no association.)
    """
    ranks = [stats.rankdata(side, axis=axis) for side in (x, y)]
    one, other = (rank - rank.mean(axis=axis, keepdims=True) for rank in ranks)
    size = np.sqrt((one**2).sum(axis=axis) * (other**2).sum(axis=axis))
    return np.divide((one * other).sum(axis=axis), size, out=np.zeros_like(size), where=size > 0)


def correlate(x: Sequence[float], y: Sequence[float], seed: int = 0) -> Correlation | None:
    """Spearman's rho and its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13), languages resampled.

    Languages of one family are not independent, so the interval is rather too narrow than too wide.

    Returns:
        None with fewer than three languages, or when one side does not vary.
    """
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    sides = (np.asarray(x, np.float64), np.asarray(y, np.float64))
    rho = float(rank_correlation(*sides))
    if len(x) < LEAST_LANGUAGES:
        return Correlation(rho, None, None, len(x))
    found = stats.bootstrap(
        sides,
        rank_correlation,
        paired=True,
        vectorized=True,
        n_resamples=CORRELATION_RESAMPLES,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return Correlation(rho, float(interval.low), float(interval.high), len(x))
