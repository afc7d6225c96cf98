"""Spearman's rho against its definition and scipy, and its bootstrap interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xlt.results.statistics import Correlation, correlate, rank_correlation


def test_by_hand() -> None:
    # ranks differ by 1 four times: 1 - 6 * 4 / (5 * (25 - 1)) = 0.8
    found = correlate([0.1, 0.2, 0.3, 0.4, 0.5], [2.0, 1.0, 4.0, 3.0, 5.0])
    assert found is not None
    assert found.rho == pytest.approx(0.8)
    assert found.n == 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=12))
def test_agrees_with_scipy_ties_included(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, np.float64).T
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert correlate(list(x), list(y)) is None
        assert float(rank_correlation(x, y)) == 0.0
    else:
        assert float(rank_correlation(x, y)) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_interval_is_reproducible_and_holds_the_estimate() -> None:
    generator = np.random.default_rng(7)
    x = generator.normal(size=15)
    y = x + generator.normal(size=15)
    first, again = correlate(list(x), list(y)), correlate(list(x), list(y))
    assert first == again
    assert first is not None
    assert first.low is not None
    assert first.high is not None
    assert -1 <= first.low < first.rho < first.high <= 1
    assert correlate(list(x), list(y), seed=1) != first


def test_a_perfect_order_has_a_narrow_interval() -> None:
    found = correlate(list(range(12)), [-float(i) for i in range(12)])
    assert found is not None
    assert found.rho == pytest.approx(-1)
    assert found.high == pytest.approx(-1)


def test_few_languages() -> None:
    assert correlate([1.0, 2.0], [1.0, 2.0]) is None
    found = correlate([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0])
    assert found == Correlation(pytest.approx(1.0), None, None, 4)
