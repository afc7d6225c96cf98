"""Nearest neighbours against brute force, and mining of sentence pairs on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xlt.evaluation import nearest_neighbors
from xlt.evaluation.nearest_neighbors import (
    best_threshold,
    distinct_sentences,
    keep,
    mine,
    nearest,
    scored_pairs,
    unit_length,
)

# small integers: products are exact in float32, so that ties are ties and brute force has no rounding of its own
small = st.integers(-3, 3).map(np.float32)


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=small),
    arrays(np.float32, st.tuples(st.integers(1, 12), st.just(3)), elements=small),
    st.integers(1, 14),
    st.integers(1, 200),
)
def test_nearest_is_a_stable_sort_of_all_products(
    queries: np.ndarray, candidates: np.ndarray, k: int, block_bytes: int
) -> None:
    products = queries @ candidates.T
    expected = np.argsort(-products, axis=1, kind="stable")[:, :k]
    indices, scores = nearest(queries, candidates, k, tile_bytes=block_bytes)
    assert np.array_equal(indices, expected)
    assert np.array_equal(scores, np.take_along_axis(products, expected, axis=1))


def test_equal_candidates_share_one_score_and_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    rows = unit_length(rng.normal(size=(40, 33)))
    candidates = np.concatenate([rows, rows, rows])  # each row at i, i + 40 and i + 80
    indices, scores = nearest(rows, candidates, 3)
    assert np.array_equal(indices, np.arange(40)[:, None] + [0, 40, 80])
    assert (scores == scores[:, :1]).all()


def test_nearest_returns_all_candidates_when_there_are_fewer_than_k() -> None:
    indices, scores = nearest(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [2.0, 0.0]]), 5)
    assert indices.tolist() == [[1, 0]]
    assert scores.tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize(
    ("queries", "candidates", "k"),
    [
        (np.ones((1, 2)), np.ones((0, 2)), 1),
        (np.ones((1, 2)), np.ones((1, 3)), 1),
        (np.ones((1, 2)), np.ones((1, 2)), 0),
        (np.array([[np.nan, 1.0]]), np.ones((1, 2)), 1),
    ],
)
def test_nearest_refuses_what_it_cannot_rank(queries: np.ndarray, candidates: np.ndarray, k: int) -> None:
    with pytest.raises(ValueError):
        nearest(queries, candidates, k)


def test_unit_length() -> None:
    assert unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))


def test_mining_by_cosine_is_one_to_one_and_greedy() -> None:
    # unit vectors at these angles; the cosine is that of the difference
    source, target = _at(0, 10, 90), _at(4, 80)
    # cosines: source 0: cos 4, cos 80; source 1 (10 degrees): cos 6, cos 70; source 2 (90): cos 86, cos 10.
    # best of each source: 0-0 (4), 1-0 (6), 2-1 (10); of each target: 0-0, 2-1. From the top: 0-0 is kept, 1-0 falls
    # because target 0 is taken, 2-1 is kept
    mined = mine(source, target, "cosine", neighbours=2)
    assert list(zip(mined.source.tolist(), mined.target.tolist(), strict=True)) == [(0, 0), (2, 1)]
    assert mined.score == pytest.approx(np.cos(np.radians([4, 10])))


def test_mining_by_ratio_divides_by_the_mean_cosine_of_the_neighbours() -> None:
    source, target = _at(0, 90), _at(20, 90)
    # cosines: s0: t0 cos 20 = .9397, t1 cos 90 = 0, mean .4698; s1: t0 cos 70 = .3420, t1 1, mean .6710.
    # t0: .9397, .3420, mean .6409; t1: 0, 1, mean .5. s0-t0: .9397 / ((.4698 + .6409) / 2) = 1.6921;
    # s1-t1: 1 / ((.6710 + .5) / 2) = 1.7079
    mined = mine(source, target, "ratio", neighbours=2)
    assert list(zip(mined.source.tolist(), mined.target.tolist(), strict=True)) == [(1, 1), (0, 0)]
    assert mined.score == pytest.approx([1.7079, 1.6921], abs=2e-4)


def _at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_mining_finds_a_noisy_copy() -> None:
    rng = np.random.default_rng(1)
    target = rng.normal(size=(60, 24))
    order = rng.permutation(60)
    mined = mine(target[order] + 0.05 * rng.normal(size=(60, 24)), target)
    assert np.array_equal(mined.target, order[mined.source])
    assert len(mined.source) == 60
    assert (np.diff(mined.score) <= 0).all()


def test_repeated_sentences_have_no_id() -> None:
    texts, ids = distinct_sentences({"de-1": "a", "de-2": "b", "de-3": "a ", "de-4": "c"})
    assert texts == ["a", "b", "c"]
    assert ids == [None, "de-2", "de-4"]
    mined = mine(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), "cosine")
    assert set(scored_pairs(mined, ids, ["en-1", "en-2", None])) == {("de-2", "en-2")}


def pair(name: int) -> tuple[str, str]:
    return f"de-{name}", f"en-{name}"


@pytest.mark.parametrize(
    ("scores", "right", "gold_size", "threshold"),
    [
        # F1 after each pair with 2 gold: 2*1/(1+2) = .67, 2*2/(2+2) = 1, 2*2/(3+2) = .8: midway between 2nd and 3rd
        ([0.9, 0.7, 0.3], {0, 1}, 2, 0.5),
        # the best F1 is after the last pair, where XTREME's function reads past the end: its own score
        ([0.9, 0.7, 0.3], {0, 1, 2}, 3, 0.3),
        # a threshold cannot part the tie: after the 1st F1 would be 2/3, after all three 2*1/(3+2) = .4 is all there is
        ([0.9, 0.9, 0.9], {0}, 2, 0.9),
        # equal F1 after the 1st (2*1/(1+2)) and the 4th (2*2/(4+2)): the higher threshold
        ([0.9, 0.5, 0.4, 0.2, 0.1], {0, 3}, 2, 0.7),
        # no pair right: all are kept
        ([0.9, 0.5], set(), 1, 0.5),
    ],
)
def test_best_threshold(scores: list[float], right: set[int], gold_size: int, threshold: float) -> None:
    pairs = {pair(name): score for name, score in enumerate(scores)}
    gold = {pair(name) for name in right}
    gold |= {pair(100 + name) for name in range(gold_size - len(gold))}
    assert best_threshold(pairs, gold) == pytest.approx(threshold)


def test_best_threshold_keeps_what_was_counted_between_neighbouring_floats() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1))
    pairs = {pair(0): high, pair(1): low}  # their mean rounds to one of the two
    assert keep(pairs, best_threshold(pairs, {pair(0)})) == {pair(0)}


def test_best_threshold_needs_pairs() -> None:
    with pytest.raises(ValueError):
        best_threshold({}, {pair(0)})


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 12).map(pair), st.integers(0, 6).map(float), min_size=1),
    st.sets(st.integers(0, 12).map(pair), min_size=1),
)
def test_no_other_threshold_is_better(pairs: dict[tuple[str, str], float], gold: set[tuple[str, str]]) -> None:
    def f1(threshold: float) -> float:
        kept = keep(pairs, threshold)
        return 2 * len(kept & gold) / (len(kept) + len(gold))

    assert f1(best_threshold(pairs, gold)) == max(f1(score) for score in pairs.values())


@pytest.mark.parametrize("columns", [1, 3, 7, 64])
def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Small whole numbers: products are exact, ties and repeated rows are many, and order by index decides."""
    monkeypatch.setattr(nearest_neighbors, "TILE_COLUMNS", columns)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        candidates = rng.integers(-2, 3, (40, 3)).astype(np.float32)
        queries = rng.integers(-2, 3, (6, 3)).astype(np.float32)
        products = queries @ candidates.T
        expected = np.lexsort((np.broadcast_to(np.arange(40), products.shape), -products), axis=1)
        for k in (1, 5, 40, 50):
            found, scores = nearest(queries, candidates, k, tile_bytes=4 * columns * 2)
            assert found.tolist() == expected[:, :k].tolist()
            assert scores.tolist() == np.take_along_axis(products, expected[:, :k], axis=1).tolist()
        places = nearest_neighbors.ranks(queries, candidates, [list(range(40))] * 6, block_bytes=4 * 40 * 4)
        assert [[row.index(i) + 1 for i in range(40)] for row in expected.tolist()] == places


def test_rows_that_share_their_first_values_are_told_apart() -> None:
    rows = np.array([[1, 2, 3], [1, 2, 4], [1, 2, 3], [0, 0, 0], [1, 2, 4]], dtype=np.float32)
    first, group = nearest_neighbors._distinct(rows)
    assert first.tolist() == [0, 1, 3]
    assert group.tolist() == [0, 1, 0, 2, 1]
    assert nearest_neighbors._distinct(np.array([[1], [2], [1]], dtype=np.float32))[1].tolist() == [0, 1, 0]
