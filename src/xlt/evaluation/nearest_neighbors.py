"""Exact nearest neighbours by inner product, and the mining of sentence pairs from two collections (BUCC)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

BLOCK_BYTES = 256 * 2**20
"""Memory for one block of a score matrix with all candidates (``ranks``)."""
TILE_BYTES = 32 * 2**20
"""Memory for one tile of the score matrix (``nearest``): small enough to be read again from the cache."""
TILE_COLUMNS = 8192


def unit_length(vectors: Floats) -> Floats:
    """The rows of ``vectors`` [n, d], each divided by its Euclidean norm, as float32; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def tile_shape(candidates: int, tile_bytes: int = TILE_BYTES) -> tuple[int, int]:
    """Queries and candidates whose scores are computed together."""
    columns = min(candidates, TILE_COLUMNS)
    return max(1, tile_bytes // (4 * columns)), columns


def nearest(
    queries: Floats, candidates: Floats, k: int, *, tile_bytes: int = TILE_BYTES
) -> tuple[Ints, NDArray[np.float32]]:
    """The ``k`` candidates of highest inner product with each query, best first; of equal ones the lowest index first.

    Exact: every product is computed, tile by tile. Of a tile only the scores above a query's k-th best so far are looked
    at, so beside the product itself little time and no memory is needed, whatever the number of candidates.
    Candidates that are equal bit by bit are compared once and share one score: a matrix product may round the same
    row differently in different columns, and then a tie would fall to chance.

    Args:
        queries: [n, d]; for cosine similarity, rows of unit length (``unit_length``).
        candidates: [m, d], m > 0.
        k: how many to return, at least 1; all m when there are fewer.
        tile_bytes: bound on the memory of a tile of scores, at least one query's.

    Returns:
        Candidate indices [n, min(k, m)] and their scores, float32 of the same shape.

    Raises:
        ValueError: k < 1, no candidates, widths that differ, or a value that is not finite.
    """
    if k < 1 or not len(candidates) or queries.shape[1] != candidates.shape[1]:
        raise ValueError(f"cannot find {k} neighbours of rows {queries.shape} among rows {candidates.shape}")
    if not (_finite(queries) and _finite(candidates)):
        raise ValueError("embeddings hold values that are not finite")
    first, group = _distinct(candidates)
    repeated = len(first) < len(candidates)
    unique = np.ascontiguousarray(candidates[first] if repeated else candidates, dtype=np.float32)
    copies = _members(group, len(first)) if repeated else []
    wanted = min(k, len(candidates))
    rows, _ = tile_shape(len(unique), tile_bytes)
    found = np.empty((len(queries), wanted), dtype=np.int64)
    scores = np.empty((len(queries), wanted), dtype=np.float32)
    for start in range(0, len(queries), rows):
        block = np.ascontiguousarray(queries[start : start + rows], dtype=np.float32)
        columns, values = _nearest_of_block(block, unique, min(k, len(unique)))
        if repeated:
            columns, values = _expand(columns, values, copies, wanted)
        found[start : start + rows], scores[start : start + rows] = columns, values
    return found, scores


def _finite(rows: Floats) -> bool:
    """Whether every value is finite; NaN is passed on by minimum and maximum, and nothing is copied."""
    return not rows.size or bool(np.isfinite(rows.min()) and np.isfinite(rows.max()))


def _distinct(rows: Floats) -> tuple[Ints, Ints]:
    """The index of the first of each distinct row, in order, and for every row the number of its distinct row.

    Only rows that share their first two values with another one are compared as a whole.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    head = np.zeros((len(rows), 2), dtype=np.float32)
    head[:, : rows.shape[1]] = rows[:, :2]
    _, inverse, counts = np.unique(head.view(np.uint64).ravel(), return_inverse=True, return_counts=True)
    earliest = np.arange(len(rows))
    seen: dict[bytes, int] = {}
    for index in np.flatnonzero(counts[inverse] > 1):
        digest = hashlib.blake2b(rows[index].tobytes(), digest_size=16).digest()
        earliest[index] = seen.setdefault(digest, int(index))
    first, group = np.unique(earliest, return_inverse=True)
    return first, group


def _members(group: Ints, groups: int) -> list[list[int]]:
    """The indices of each distinct row."""
    members: list[list[int]] = [[] for _ in range(groups)]
    for index, number in enumerate(group):
        members[number].append(index)
    return members


def _nearest_of_block(
    queries: NDArray[np.float32], candidates: NDArray[np.float32], k: int
) -> tuple[Ints, NDArray[np.float32]]:
    """The ``k`` nearest distinct candidates of some queries, tile by tile."""
    _, width = tile_shape(len(candidates))
    width = max(width, k)
    columns, values = _best(queries @ candidates[:width].T, k)
    for start in range(width, len(candidates), width):
        tile = queries @ candidates[start : start + width].T
        row, column = np.nonzero(tile > values[:, -1:])  # an equal score further on is not among the best
        if len(row):
            columns, values = _merge(columns, values, row, column + start, tile[row, column])
    return columns, values


def _merge(
    columns: Ints, values: NDArray[np.float32], row: Ints, column: Ints, score: NDArray[np.float32]
) -> tuple[Ints, NDArray[np.float32]]:
    """The best of each query after further candidates: ``score`` of candidate ``column`` for query ``row``."""
    k = columns.shape[1]
    changed = np.unique(row)
    rows = np.concatenate([np.repeat(changed, k), row])
    names = np.concatenate([columns[changed].ravel(), column])
    scores = np.concatenate([values[changed].ravel(), score])
    order = np.lexsort((names, -scores, rows))
    first = np.searchsorted(rows[order], changed)
    chosen = order[first[:, None] + np.arange(k)]
    columns[changed], values[changed] = names[chosen], scores[chosen]
    return columns, values


def _best(scores: NDArray[np.float32], k: int) -> tuple[Ints, NDArray[np.float32]]:
    """The columns [n, k] of the ``k`` highest ``scores`` [n, m] of each row, ties by column, and their scores."""
    rows, width = scores.shape
    least = np.partition(scores, width - k, axis=1)[:, width - k, None]
    row, column = np.nonzero(scores >= least)  # at least k per row, more when there are ties
    order = np.lexsort((column, -scores[row, column], row))
    first = np.searchsorted(row, np.arange(rows))
    chosen = order[first[:, None] + np.arange(k)]
    columns = column[chosen]
    return columns, np.take_along_axis(scores, columns, axis=1)


def _expand(
    columns: Ints, values: NDArray[np.float32], copies: list[list[int]], k: int
) -> tuple[Ints, NDArray[np.float32]]:
    """From distinct rows to all candidates: each stands for its copies, and equal scores are ordered by index."""
    found = np.empty((len(columns), k), dtype=np.int64)
    scores = np.empty((len(columns), k), dtype=np.float32)
    for i, (row, row_values) in enumerate(zip(columns, values, strict=True)):
        members = [(-value, index) for column, value in zip(row, row_values, strict=True) for index in copies[column]]
        members = sorted(members)[:k]
        found[i] = [index for _, index in members]
        scores[i] = [-value for value, _ in members]
    return found, scores


def ranks(
    queries: Floats, candidates: Floats, wanted: Sequence[Sequence[int]], *, block_bytes: int = BLOCK_BYTES
) -> list[list[int]]:
    """The rank (from 1) of given candidates among all, for each query; exact, in the order of ``nearest``.

    Args:
        queries: [n, d].
        candidates: [m, d].
        wanted: for each query the indices of candidates.
        block_bytes: bound on the memory of a block of scores, at least one query's.

    Returns:
        For each query the ranks of its ``wanted`` candidates: 1 plus how many have a higher inner product, or an equal
        one and a lower index.
    """
    first, column = _distinct(candidates)
    unique = np.ascontiguousarray(candidates[first], dtype=np.float32)
    every = np.arange(len(candidates))
    rows = max(1, block_bytes // (4 * len(candidates)))
    found: list[list[int]] = []
    for start in range(0, len(queries), rows):
        block = np.ascontiguousarray(queries[start : start + rows], dtype=np.float32) @ unique.T
        for scores, own in zip(block[:, column], wanted[start : start + rows], strict=True):
            above = [(scores > scores[i]) | ((scores == scores[i]) & (every < i)) for i in own]
            found.append([1 + int(np.count_nonzero(mask)) for mask in above])
    return found


Scoring = Literal["ratio", "cosine"]


@dataclass(frozen=True, slots=True)
class Mined:
    """Sentence pairs by index, best first: no source and no target is in two pairs. All arrays have one length."""

    source: Ints
    target: Ints
    score: NDArray[np.float64]


def mine(source: Floats, target: Floats, scoring: Scoring = "ratio", neighbours: int = 4) -> Mined:
    """Mine pairs: each sentence's best partner in either direction, then greedily from the best score down, one-to-one.

    With ``ratio`` the score of a pair is its cosine over the mean cosine of both sentences to their nearest neighbours
    on the other side (Artetxe and Schwenk 2019, equation 2, "max" retrieval); with ``cosine`` the cosine alone. Of
    equal scores, pairs found from the source side come first, then the lower index.

    Args:
        source: [n, d] embeddings of distinct sentences, of any length.
        target: [m, d].
        neighbours: how many on each side are candidates and make the mean (4 in XTREME and LASER).
    """
    source, target = unit_length(source), unit_length(target)
    forward, forward_cosine = nearest(source, target, neighbours)
    backward, backward_cosine = nearest(target, source, neighbours)
    if scoring == "ratio":
        source_mean = forward_cosine.mean(axis=1, dtype=np.float64)
        target_mean = backward_cosine.mean(axis=1, dtype=np.float64)
        forward_score = forward_cosine / ((source_mean[:, None] + target_mean[forward]) / 2)
        backward_score = backward_cosine / ((target_mean[:, None] + source_mean[backward]) / 2)
    else:
        forward_score, backward_score = forward_cosine.astype(np.float64), backward_cosine.astype(np.float64)
    every_source, every_target = np.arange(len(source)), np.arange(len(target))
    forward_best, backward_best = forward_score.argmax(axis=1), backward_score.argmax(axis=1)
    sources = np.concatenate([every_source, backward[every_target, backward_best]])
    targets = np.concatenate([forward[every_source, forward_best], every_target])
    scores = np.concatenate([forward_score.max(axis=1), backward_score.max(axis=1)])
    kept: list[int] = []
    taken_sources, taken_targets = set(), set()
    for place in np.argsort(-scores, kind="stable"):
        if sources[place] not in taken_sources and targets[place] not in taken_targets:
            taken_sources.add(sources[place])
            taken_targets.add(targets[place])
            kept.append(int(place))
    return Mined(sources[kept], targets[kept], scores[kept])


def distinct_sentences(sentences: Mapping[str, str]) -> tuple[list[str], list[str | None]]:
    """The distinct texts of a BUCC side in order, and the id of each, None for a text that several ids share.

    As in XTREME, a repeated sentence is embedded once and takes part in mining, but a pair with it is dropped, because
    nothing tells which of its ids is meant.
    """
    ids: dict[str, str | None] = {}
    for name, sentence in sentences.items():
        text = sentence.strip()
        ids[text] = None if text in ids else name
    return list(ids), list(ids.values())


def scored_pairs(
    mined: Mined, source_ids: list[str | None], target_ids: list[str | None]
) -> dict[tuple[str, str], float]:
    """Mined pairs by sentence id with their score, best first; pairs with a sentence without id are dropped."""
    pairs = {}
    for i, j, score in zip(mined.source, mined.target, mined.score, strict=True):
        source, target = source_ids[i], target_ids[j]
        if source is not None and target is not None:
            pairs[source, target] = float(score)
    return pairs


def best_threshold(pairs: Mapping[tuple[str, str], float], gold: AbstractSet[tuple[str, str]]) -> float:
    """The score threshold with the highest F1 on a split with gold pairs: pairs scored at least that high are kept.

    It lies midway between the last score kept and the next one; at the last score it is that score itself, where
    XTREME's ``bucc_optimize`` reads past the end of its list. A threshold cannot part equal scores, so F1 is compared
    only after all pairs of a score. Of thresholds with equal F1 the highest is taken. If no pair is right, all
    are kept.

    Raises:
        ValueError: there are no pairs.
    """
    if not pairs:
        raise ValueError("no pairs to choose a threshold on")
    ranked = sorted(((score, pair in gold) for pair, score in pairs.items()), key=lambda item: -item[0])
    threshold, best, right = ranked[-1][0], 0.0, 0
    for kept, (score, is_right) in enumerate(ranked, start=1):
        right += is_right
        following = ranked[kept][0] if kept < len(ranked) else None
        f1 = 2 * right / (kept + len(gold))
        if following != score and f1 > best:
            middle = score if following is None else (score + following) / 2
            threshold, best = middle if following is None or middle > following else score, f1
    return threshold


def keep(pairs: Mapping[tuple[str, str], float], threshold: float) -> set[tuple[str, str]]:
    """The pairs scored at or above ``threshold``."""
    return {pair for pair, score in pairs.items() if score >= threshold}
