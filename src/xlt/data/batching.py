"""Which examples go together: random batches for training, token-budget batches for speed.

An optimizer step always sees a uniformly random batch, as the papers do; *inside* the step examples are sorted by
length and cut into micro-batches, and at prediction everything is sorted. Neither changes what is computed, only how
much padding is. ``XLT_FAST=0`` (``make FAST=0``) is the reference path: everything in the order given.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

FAST = os.environ.get("XLT_FAST", "1") != "0"
"""Whether inputs are sorted by length inside a batch; without, batches are plain padded ones, for comparison."""


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """A seeded shuffle of ``range(count)`` cut into batches; the last one may be smaller.

    The order depends on ``seed`` and ``epoch`` only, so a run that is resumed at an epoch goes on identically.
    """
    order = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]


def by_token_budget(
    indices: Sequence[int], costs: Sequence[int], widths: Sequence[int], budget: int
) -> list[list[int]]:
    """Cut ``indices``, longest first, into groups whose padded size stays within ``budget`` tokens.

    Args:
        indices: the examples to group.
        costs: rows (sequences) of each example of the whole set.
        widths: tokens of the longest row of each example of the whole set.
        budget: largest padded size, rows x longest row, of a group; an example larger than it is a group of its own.

    Returns:
        Groups that hold every index exactly once. Ties keep the order given, so grouping is deterministic.
    """
    groups: list[list[int]] = []
    rows = width = 0
    for index in sorted(indices, key=lambda i: -widths[i]) if FAST else indices:
        wider = max(width, widths[index])
        if groups and (rows + costs[index]) * wider <= budget:
            groups[-1].append(index)
            rows, width = rows + costs[index], wider
        else:
            groups.append([index])
            rows, width = costs[index], widths[index]
    return groups
