"""Answers of many windows at a time are those of the definition, window by window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt.data.features import Feature
from xlt.data.records import Question
from xlt.evaluation.qa_decoding import MAX_ANSWER_TOKENS, N_BEST, TOGETHER, _highest, best_answers, best_spans

# few values, so that there are ties; both zeros; values that differ in the last bit
VALUES = np.array([-math.inf, -2.5, -0.0, 0.0, 1.0, np.nextafter(np.float32(1), np.float32(2)), 3.0], dtype=np.float32)


def by_definition(scores: Any, offsets: Any) -> tuple[float, tuple[int, int] | None]:
    """All pairs of the best tokens of the context in order; the first of the highest sum."""
    inside = [i for i, offset in enumerate(offsets) if offset is not None]
    starts = sorted(inside, key=lambda i: -scores[i, 0])[:N_BEST]
    ends = sorted(inside, key=lambda i: -scores[i, 1])[:N_BEST]
    best, span = -math.inf, None
    for first in starts:
        for last in ends:
            value = float(scores[first, 0] + scores[last, 1])
            if 0 <= last - first < MAX_ANSWER_TOKENS and value > best:
                best, span = value, (offsets[first][0], offsets[last][1])
    return best, span


def drawn(seed: int) -> tuple[Any, Any]:
    """A window of 1 to 60 tokens, some of them outside the context."""
    draw = np.random.default_rng(seed)
    length = int(draw.integers(1, 61))
    inside = draw.random(length) < draw.random()
    return draw.choice(VALUES, (length, 2)), [(10 * i, 10 * i + 5) if keep else None for i, keep in enumerate(inside)]


@given(st.lists(st.integers(0, 10**6), max_size=8))
def test_spans_are_those_of_the_definition(seeds: list[int]) -> None:
    windows = [drawn(seed) for seed in seeds]
    found = best_spans([window[0] for window in windows], [window[1] for window in windows])
    assert found == [by_definition(*window) for window in windows]


def test_windows_of_several_passes_come_in_order() -> None:
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 90, 2 * TOGETHER + 3)
    scores = [draw.standard_normal((length, 2), dtype=np.float32) for length in lengths]
    offsets = [[(i, i + 1) if i % 7 else None for i in range(length)] for length in lengths]
    found = best_spans(scores, offsets)
    assert found == [by_definition(*window) for window in zip(scores, offsets, strict=True)]
    assert len(set(found)) > TOGETHER


@pytest.mark.parametrize("count", [1, 3, 9])
def test_the_highest_by_hand(count: int) -> None:
    # best first; 0 and -0 are equal, so the lower column goes first
    values = np.array([[0.0, 5.0, -0.0, -1.0, 5.0, -math.inf]], dtype=np.float32)
    assert _highest(values, count).tolist() == [[1, 4, 0, 2, 3, 5][:count]]


def test_an_answer_starts_where_a_window_has_the_most_context() -> None:
    records = [Question("1", "who", "red cat", ())]
    offsets: Any = [(0, 3), (4, 7)]
    features = [Feature(0, [[7, 8]], [[0, 0]], offsets=offsets, starts=own) for own in ([True, False], [False, True])]
    scores = np.array([[0, 0], [9, 9]], dtype=np.float32), np.array([[5, 5], [1, 1]], dtype=np.float32)
    # the best span, "cat" with 18, starts where the first window shows less; left are "red cat" 9 and "cat" 2
    assert best_answers(records, features, scores) == ["red cat"]


def test_the_first_of_equally_good_windows_wins() -> None:
    records = [Question("1", "who", "red cat", ()), Question("2", "who", "dog", ())]
    offsets: Any = [[(0, 3), (4, 7)], [(0, 3), (4, 7)]]
    features = [Feature(0, [[7, 8]], [[0, 0]], offsets=own) for own in offsets]
    first = np.array([[1, 1], [0, 0]], dtype=np.float32)
    assert best_answers(records, features, [first, first[::-1]]) == ["red", ""]
    assert best_answers(records, features, [first[::-1], first]) == ["cat", ""]
