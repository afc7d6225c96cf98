"""Average precision of a ranked list: mAP@20 of LAReQA and Mewsli-X."""

from __future__ import annotations

from collections.abc import Collection, Sequence

DEPTH = 20


def average_precision(right: Collection[str], ranked: Sequence[str], depth: int = DEPTH) -> float:
    """Average precision (0 to 1) of the first ``depth`` items.

    The precision at the rank of each right item, summed, and divided by the smaller of the number of right items and
    ``depth``.

    A right item counts the first time it is listed; a repeated item still takes up a rank. With one right item
    (Mewsli-X) this is the reciprocal rank, which is what XTREME's scorer computes there. XTREME has no scorer for
    LAReQA; XTREME-R (Ruder et al. 2021) scores it by mAP@20, and dividing by at most ``depth`` lets a perfect list of
    20 reach 1 where more than 20 are right.

    Args:
        right: the ids of all right items, at least one.
        ranked: item ids, best first; those past ``depth`` are ignored.
    """
    right = set(right)
    found: set[str] = set()
    total = 0.0
    for rank, item in enumerate(ranked[:depth], start=1):
        if item in right and item not in found:
            found.add(item)
            total += len(found) / rank
    return total / min(len(right), depth)
