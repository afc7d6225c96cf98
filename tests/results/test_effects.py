"""Intervals of effects: by hand where two or three numbers decide, in simulation where coverage is promised."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.intervals import HEADERS, SETTINGS, Setting, apart, coverage, draw, holds

from xlt.results.effects import Cell, Scored, effect, item_error, scores_and_influences


def cell(method: str, weight: float, examples: Any, items: Any = None, seeds: Any = None) -> Cell:
    values = np.asarray(examples, dtype=np.float64)
    numbers = range(values.shape[1]) if items is None else items
    own = tuple(seeds) if seeds is not None else tuple(range(1, len(values) + 1))
    return Cell(method, weight, Scored(own, values, np.array(numbers, dtype=np.uint64)))


def test_one_seed_by_hand() -> None:
    # differences by item 1, 0, 0, 0: mean 0.25, sample variance 0.25, standard error 0.25; t(3) at 95 % 3.182
    found = effect([cell("a", 1, [[1, 1, 0, 0]]), cell("b", -1, [[0, 1, 0, 0]])])
    assert found is not None
    assert (found.estimate, found.seeds) == (25, 1)
    assert found.high - found.estimate == pytest.approx(3.182 * 25, abs=0.05)
    assert found.p == pytest.approx(2 * stats.t.sf(1, 3))


def test_what_both_find_hard_cancels_out() -> None:
    right = (np.random.default_rng(2).random(500) < 0.5).astype(np.float64)
    better = right.copy()
    better[np.flatnonzero(right == 0)[:10]] = 1  # better on ten examples, worse on none
    paired = effect([cell("a", 1, [better]), cell("b", -1, [right])])
    unpaired = effect([cell("a", 1, [better]), cell("b", -1, [right], range(500, 1000))])
    assert paired is not None and unpaired is not None
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 3
    assert paired.low > 0 > unpaired.low


def test_translations_are_drawn_together() -> None:
    # the same answers in four languages are one test set; with items of their own they are four
    right, other = [[1, 1, 0, 1, 0, 0, 1, 1]], [[0, 1, 0, 1, 1, 0, 0, 1]]
    single = effect([cell("a", 1, right), cell("b", -1, other)])
    same = effect([cell(m, w / 4, v) for _ in range(4) for m, w, v in (("a", 1, right), ("b", -1, other))])
    assert same == single
    items = [range(8 * n, 8 * n + 8) for n in range(4)]
    cells = [cell(m, w / 4, v, own) for own in items for m, w, v in (("a", 1, right), ("b", -1, other))]
    # the variance is a quarter, but for the divisor: 32 / 31 in place of 8 / 7
    assert item_error(cells) == pytest.approx(item_error(cells[:2]) * 4 * math.sqrt((32 / 31) / (8 / 7) / 4))


def test_languages_may_share_some_items_only() -> None:
    # items 1 and 2 in German, 2 and 3 in French; by hand: influences (x - mean) / 2 / 2 languages
    #   German 1, 0: 0.125, -0.125; French 1, 0: 0.125, -0.125. Item 1: 0.125, item 2: -0.125 + 0.125 = 0, item 3: -0.125
    cells = [cell("a", 0.5, [[1, 0]], [1, 2]), cell("a", 0.5, [[1, 0]], [2, 3])]
    assert item_error(cells) == pytest.approx(100 * math.sqrt(2 * 0.125**2 * 3 / 2))


def test_seeds_by_hand() -> None:
    # every item alike, so only training varies: scores 60, 70, 80 (variance 100) and 50, 50, 50 (0)
    first = np.array([[0.6], [0.7], [0.8]]).repeat(10, axis=1)
    found = effect([cell("a", 1, first), cell("b", -1, np.full((3, 10), 0.5))])
    assert found is not None
    # standard error sqrt(100 / 3), two degrees of freedom
    assert (found.estimate, found.seeds) == (pytest.approx(20), 3)
    assert found.high - found.estimate == pytest.approx(4.3027 * math.sqrt(100 / 3), abs=0.01)


def test_training_and_items_by_hand() -> None:
    # two models each: a has (1, 1, 0, 0) and (1, 1, 1, 0): 50 and 75, b has (0, 0, 0, 0) twice
    found = effect([cell("a", 1, [[1, 1, 0, 0], [1, 1, 1, 0]]), cell("b", -1, np.zeros((2, 4)))])
    # training: variance 312.5 of the scores, over 2: 156.25
    # items: means 1, 1, 0.5, 0 less 0.625: squares 0.140625 * 2 + 0.015625 + 0.390625 = 0.6875; / 16 * 4 / 3: 572.9
    # interaction: influences (x - mean) / 4 of the two models differ by -1/16, -1/16, 3/16, -1/16; their squares add up to
    # 12 / 256, those of the residuals to half of that, over k (k - 1) = 2: 117.2
    assert found is not None
    training, items = 312.5 / 2, 1e4 * 0.6875 / 16 * 4 / 3 - 1e4 * 12 / 256 / 2 / 2
    freedom = (training + items) ** 2 / (training**2 / 1 + items**2 / 3)
    assert found.high - found.estimate == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(training + items))


def test_only_seeds_with_every_test_set_count() -> None:
    cells = [
        cell("a", 0.5, [[1, 0], [1, 1]], seeds=(1, 2)),
        cell("a", 0.5, [[0, 0], [1, 1]], [5, 6], seeds=(2, 3)),
        cell("b", -1, [[0, 0]], seeds=(4,)),
    ]
    found = effect(cells)
    assert found is not None and found.seeds == 1
    assert found.estimate == pytest.approx(100 * (0.5 * 1 + 0.5 * 0))  # of seed 2 alone
    assert effect([*cells, cell("a", 1, [[1, 0]], seeds=(9,))]) is None
    assert effect([]) is None


def test_span_counts_give_f1_and_its_delta_method() -> None:
    # right 1 of predicted 2 and gold 1, right 1 of 1 and 2: 2 * 2 / (3 + 3) = 66.7
    scores, influences = scores_and_influences(np.array([[[1, 2, 1], [1, 1, 2]]]))
    assert scores[0] == pytest.approx(200 / 3) and influences.sum() == pytest.approx(0)
    generator = np.random.default_rng(5)
    gold, given = generator.integers(0, 4, (2, 400))
    counts = np.stack([np.minimum(gold, given) * (generator.random(400) < 0.7), given, gold], axis=1)[None]
    without = [scores_and_influences(np.delete(counts, i, axis=1))[0][0] for i in range(400)]
    jackknife = math.sqrt(399 / 400 * ((np.array(without) - np.mean(without)) ** 2).sum())
    own = scores_and_influences(counts)[1]
    assert math.sqrt((own**2).sum()) == pytest.approx(jackknife, rel=0.01)
    assert scores_and_influences(np.zeros((1, 3, 3)))[0].tolist() == [0]  # no span anywhere


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_the_interval_covers_what_it_says(seeds: int) -> None:
    """Of one seed the difference of these models over all items, of more that of the methods (docs/verification.md)."""
    shares = [coverage(setting, 160) for setting in SETTINGS if setting.seeds == seeds]
    # a share of 160 has a standard error of 1.7 points, the mean of seven and more one of 0.6 and less
    assert min(shares) >= 0.90
    assert 0.93 <= np.mean(shares) <= 0.98


def test_the_documents_table_is_of_these_settings_and_all_cover() -> None:
    text = (Path(__file__).parents[2] / "docs" / "verification.md").read_text(encoding="utf-8")
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    start = lines.index(HEADERS) + 2
    shown = lines[start : start + len(SETTINGS)]
    for cells, setting in zip(shown, SETTINGS, strict=True):
        assert cells[1:4] == [str(setting.seeds), str(setting.languages), f"{100 * setting.shared:.0f} %"]
        assert float(cells[0]) == pytest.approx(setting.correlation, abs=0.015)
        assert 93 <= float(cells[5].removesuffix(" %")) <= 99


def test_languages_taken_for_independent_would_not_cover() -> None:
    generator = np.random.default_rng(1)
    drawn = [draw(Setting(0.5, 1, 15), generator) for _ in range(200)]
    assert np.mean([holds(effect(apart(each.cells)), each.truth) for each in drawn]) < 0.7
