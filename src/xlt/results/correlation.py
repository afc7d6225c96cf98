"""Rank correlation of two measurements of the same languages, with a bootstrap confidence interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEAST = 5
"""Languages below which no interval is given: resamples of fewer repeat each other."""
RESAMPLES = 4000
LEVEL = 0.95


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
    if len(x) < LEAST:
        return Correlation(rho, None, None, len(x))
    found = stats.bootstrap(
        sides,
        rank_correlation,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return Correlation(rho, float(interval.low), float(interval.high), len(x))
