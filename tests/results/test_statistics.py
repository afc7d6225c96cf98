from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from xlt.results.statistics import (
    half_width,
    holm,
    moderated,
    prediction_scale,
    probability_of_improvement,
    stochastic_order,
    two_sided,
)


def test_the_error_of_a_difference_pools_both_samples() -> None:
    # ours: 3 runs, std 1 (2 degrees); theirs: 5 runs, std 2 (4 degrees): (2*1 + 4*4) / 6 = 3; 3 * (1/3 + 1/5) = 1.6
    error, freedom = prediction_scale(3, 1.0, 5, 2.0, 0.7, 100)
    assert (error, freedom) == (pytest.approx(math.sqrt(1.6)), 6)


def test_a_report_without_its_runs_counts_as_one() -> None:
    assert prediction_scale(4, 2.0, None, None, 0.7, 100) == (pytest.approx(2 * math.sqrt(1 / 4 + 1)), 3)


def test_without_any_seed_variance_the_test_set_s_error_stands_in() -> None:
    # 80 % of 400: 100 * sqrt(0.8 * 0.2 / 400) = 2
    error, freedom = prediction_scale(1, None, None, None, 0.8, 400)
    assert (error, freedom) == (pytest.approx(2.0), math.inf)
    assert half_width(error, freedom, 0.95) == pytest.approx(1.959964 * 2, abs=1e-4)


def test_two_sided_is_students_t() -> None:
    # t = 2.0 with 6 degrees of freedom: tabulated two-sided p 0.0924
    assert two_sided(-4.0, 2.0, 6) == pytest.approx(0.0924, abs=1e-4)
    assert (two_sided(0.0, 0.0, 2), two_sided(0.1, 0.0, 2)) == (1.0, 0.0)


def test_prediction_intervals_cover_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        ours, theirs = generator.normal(70, 1.5, 3), generator.normal(70, 1.5, 4)
        error, freedom = prediction_scale(3, float(ours.std(ddof=1)), 4, float(theirs.std(ddof=1)), 0.7, 100)
        inside += abs(ours.mean() - theirs.mean()) <= half_width(error, freedom, 0.95)
    assert 930 <= inside <= 970  # three standard errors of 1000 draws at 0.95 are 21


def test_a_moderated_spread_lies_between_the_cell_s_own_and_the_common_one() -> None:
    std = [0.0, 1.0, 1.5, 2.0, 6.0, 1.2, 1.8, 2.2]
    found = moderated(std, [1.0] * 8, 2, 8)
    assert 2 < found.freedom <= 2 + 16
    pairs = sorted(zip(std, found.std, strict=True))
    assert [after for _, after in pairs] == sorted(after for _, after in pairs)
    assert found.std[0] > 0.5  # three equal scores by chance do not mean that no run ever differs
    assert found.std[4] < 5.5  # nor is the widest so wide
    # the formula: the weights of the cell and of the others add up to one
    prior = found.freedom - 2
    common = (found.std[0] ** 2 * found.freedom) / prior
    assert found.std[4] ** 2 == pytest.approx((2 * 36 + prior * common) / found.freedom)


def test_moderation_is_relative_to_the_scale_and_knows_no_more_than_its_cells() -> None:
    std = [1.0, 1.5, 2.0, 1.2]
    small = moderated(std, [1.0] * 4, 2, 4)
    large = moderated([10 * value for value in std], [10.0] * 4, 2, 4)
    assert large.freedom == pytest.approx(small.freedom, rel=1e-3)
    assert large.std == pytest.approx([10 * value for value in small.std], rel=1e-3)
    assert moderated([1.0] * 40, [1.0] * 40, 2, 5).freedom == pytest.approx(2 + 10, rel=1e-3)
    with pytest.raises(ValueError, match="never differ"):
        moderated([0.0, 0.0], [1.0, 1.0], 2, 2)


@pytest.mark.parametrize("prior", [4.0, 1000.0])
def test_many_cells_judged_together_are_rarely_wrong_by_chance(prior: float) -> None:
    # 50 pages of 60 honest cells with 3 recorded runs, Holm at 10 %: 15 % of 1,000 such pages were flagged, because the
    # spread among cells is estimated too; here about 8 then, at most 3 standard errors more
    generator = np.random.default_rng(3)
    flagged = 0
    for _ in range(50):
        true = 2.0 * np.sqrt(prior / generator.chisquare(prior, 60))
        runs, new = generator.normal(70, true, (3, 60)), generator.normal(70, true)
        found = moderated(list(runs.std(axis=0, ddof=1)), [1.0] * 60, 2, 60)
        gaps = np.abs(new - runs.mean(axis=0))
        errors = [std * math.sqrt(1 + 1 / 3) for std in found.std]
        p = [two_sided(gap, error, found.freedom) for gap, error in zip(gaps, errors, strict=True)]
        flagged += min(holm(p)) < 0.1
    assert flagged <= 15


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.06 (never falling)
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_and_keeps_the_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(after >= before for before, after in zip(values, adjusted, strict=True))
    ranked = [after for _, after in sorted(zip(values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_probability_of_improvement_by_hand() -> None:
    # of the nine pairs (1,2,4) x (1,3,3): above in 2>1, 4>1, 4>3, 4>3; tie 1=1 counts half: 4.5 / 9
    assert probability_of_improvement([1, 2, 4], [1, 3, 3]) == pytest.approx(0.5)
    assert probability_of_improvement([5, 6], [1, 2, 3]) == 1.0


def test_stochastic_order_by_hand() -> None:
    assert stochastic_order([2, 3], [1, 2]) == 0.0
    assert stochastic_order([1, 2], [2, 3]) == 1.0
    # quantile by quantile 1-2 and 5-3: violated 1, kept 4
    assert stochastic_order([1, 5], [2, 3]) == pytest.approx(1 / 5)
    assert stochastic_order([1], [1, 1]) == 0.5


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_stochastic_order_is_the_integral_over_quantiles(first: list[int], second: list[int]) -> None:
    grid = (np.arange(60_060) + 0.5) / 60_060  # a multiple of every length up to six
    upper = np.quantile(first, grid, method="inverted_cdf")
    lower = np.quantile(second, grid, method="inverted_cdf")
    gaps = (upper - lower) ** 2
    expected = 0.5 if gaps.sum() == 0 else gaps[upper < lower].sum() / gaps.sum()
    assert stochastic_order(first, second) == pytest.approx(expected, abs=1e-9)


def test_the_t_interval_agrees_with_scipy() -> None:
    assert half_width(1.0, 5, 0.9) == pytest.approx(stats.t.interval(0.9, 5)[1])
