"""From the start and end scores of passage windows to answer texts, many windows at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xlt.data.features import Feature
from xlt.data.records import Question

N_BEST = 20
"""Start and end positions considered per window (transformers' and XTREME's ``run_squad.py``)."""
MAX_ANSWER_TOKENS = 30
"""Longest answer, in sub-words (ibid.)."""
TOGETHER = 32
"""Windows of one pass: few enough for their scores and pairs to stay in the processor's cache."""

Floats = NDArray[np.float32]
Span = tuple[int, int]
Offsets = Sequence[Span | None]


def best_answers(records: Sequence[Question], features: Sequence[Feature], scores: Sequence[Floats]) -> list[str]:
    """The answer of each question: the best span over all windows of its passage, the first of equally good ones.

    Args:
        records: the questions.
        features: windows of their passages, ``record``, ``offsets`` and ``starts`` set.
        scores: [tokens, 2] start and end scores of each window.
    """
    best: list[tuple[float, str]] = [(-np.inf, "") for _ in records]
    spans = best_spans(scores, [feature.offsets for feature in features], [feature.starts for feature in features])
    for feature, (score, span) in zip(features, spans, strict=True):
        if span is not None and score > best[feature.record][0]:
            text = records[feature.record].context[span[0] : span[1]].strip()  # a sub-word may begin with its space
            best[feature.record] = (score, text)
    return [text for _, text in best]


def best_spans(
    scores: Sequence[Floats], offsets: Sequence[Offsets], allowed: Sequence[Sequence[bool]] | None = None
) -> list[tuple[float, Span | None]]:
    """The character span with the highest sum of start and end score, of each window.

    Both ends are among the ``N_BEST`` best tokens of the context, the end is not before the start, and the span is at
    most ``MAX_ANSWER_TOKENS`` long (Devlin et al. 2019, section 4.2, with the limits of the SQuAD scripts).

    Args:
        scores: [tokens, 2] start and end scores of each window.
        offsets: [tokens] character span of each token in the context, None outside it, of each window.
        allowed: [tokens] whether a span may start there, of each window; None or empty: anywhere in the context. The
            ``N_BEST`` are drawn before, as in the reference (``compute_predictions_logits`` of transformers).

    Returns:
        For each window the score and the span, or (-inf, None) when no pair of tokens will do.
    """
    order = sorted(range(len(scores)), key=lambda i: len(scores[i]))  # windows of like length go together
    found: list[tuple[float, Span | None]] = [(-np.inf, None)] * len(scores)
    for start in range(0, len(order), TOGETHER):
        chosen = order[start : start + TOGETHER]
        own = [[] if allowed is None else allowed[i] for i in chosen]
        pairs = _best_pairs([scores[i] for i in chosen], [offsets[i] for i in chosen], own)
        for index, value, first, last in zip(chosen, *(row.tolist() for row in pairs), strict=True):
            begin, finish = offsets[index][first], offsets[index][last]
            if np.isfinite(value) and begin is not None and finish is not None:
                found[index] = value, (begin[0], finish[1])
    return found


def _best_pairs(
    scores: Sequence[Floats], offsets: Sequence[Offsets], allowed: Sequence[Sequence[bool]]
) -> tuple[Floats, NDArray, NDArray]:
    """Score, first and last token of the best span of each window; the score is not finite where there is none."""
    width = max(len(own) for own in scores)
    padded = np.full((2, len(scores), width), -np.inf, dtype=np.float32)
    for row, (own, places) in enumerate(zip(scores, offsets, strict=True)):
        first, last = _context(places)
        padded[:, row, first:last] = own[first:last].T
        if not all(places[first:last]):  # a span is never empty, so it is true; None is a sub-word without text
            padded[:, row, [place is None for place in places] + [False] * (width - len(places))] = -np.inf
    starts, ends = _highest(padded[0], N_BEST), _highest(padded[1], N_BEST)
    sums = (
        np.take_along_axis(padded[0], starts, axis=1)[:, :, None]
        + np.take_along_axis(padded[1], ends, axis=1)[:, None, :]
    )
    length = ends[:, None, :] - starts[:, :, None]
    sums[(length < 0) | (length >= MAX_ANSWER_TOKENS)] = -np.inf
    for row, may in enumerate(allowed):
        if may:
            sums[row, ~np.append(may, np.zeros(width - len(may), bool))[starts[row]]] = -np.inf
    flat = sums.reshape(len(scores), -1)
    best = flat.argmax(axis=1)
    rows = np.arange(len(scores))
    return flat[rows, best], starts[rows, best // ends.shape[1]], ends[rows, best % ends.shape[1]]


def _context(places: Offsets) -> tuple[int, int]:
    """The first token of the passage in a window, and the one after its last; both 0 without any."""
    first = next((index for index, place in enumerate(places) if place is not None), None)
    if first is None:
        return 0, 0
    return first, next(index for index in range(len(places), 0, -1) if places[index - 1] is not None)


def _highest(values: Floats, count: int) -> NDArray[np.int64]:
    """The columns [n, count] of the highest of each row [n, m], best first, of equal ones the lowest column.

    A float's bits, the sign bit flipped (of a negative one all bits), are in the order of its value. With the column in
    the lower half of a 64-bit key no two keys are equal, so selecting the least of them is exact and need not sort a row.
    """
    bits = (values + np.float32(0)).view(np.uint32)  # -0 becomes 0, its equal
    falling = np.where(bits >> 31 == 0, ~(bits | np.uint32(1 << 31)), bits)
    keys = (falling.astype(np.uint64) << np.uint64(32)) | np.arange(values.shape[1], dtype=np.uint64)
    count = min(count, values.shape[1])
    least = np.sort(np.partition(keys, count - 1, axis=1)[:, :count], axis=1)
    return (least & np.uint64(0xFFFFFFFF)).astype(np.int64)
