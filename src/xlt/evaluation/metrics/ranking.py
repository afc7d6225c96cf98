"""Average precision: mAP@20 of LAReQA and Mewsli-X, mAP and the language bias of LAReQA."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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


def full_average_precision(ranks: Collection[int]) -> float:
    """Average precision (0 to 1) of a ranking of everything, from the ranks (1 is best) of all right items.

    The mean over the right items of the precision at the rank of each; LAReQA's own metric (Roy et al. 2020).
    """
    return sum(place / rank for place, rank in enumerate(sorted(ranks), start=1)) / len(ranks)


def language_bias(
    language: str, ranked: Mapping[str, Sequence[str]], ranks: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """How far questions in ``language`` prefer candidates in it, in per cent; ids begin with their language and "_".

    LAReQA asks for strong alignment: an answer in another language before what is no answer in the question's own (Roy
    et al. 2020, figure 1). An encoder without bias has the question's language first in one of n cases with n languages.

    Args:
        language: of the questions.
        ranked: question id to candidates, best first.
        ranks: question id to the rank of each right candidate among all; each question has one in its own language.

    Returns:
        ``own_language_first``: questions whose first candidate, right or wrong, is in their language.
        ``own_answer_first``: questions whose best placed right candidate is the one in their language.
        ``map_own``: mAP when only the answer in the question's language counts as right: its mean reciprocal rank.
        ``map_other``: mAP when only the answers in other languages count, the own one taken out of the ranking; left
        out when there are none.
    """

    def own(candidate: str) -> bool:
        return candidate.split("_")[0] == language

    first = [bool(ranked.get(question)) and own(ranked[question][0]) for question in ranks]
    mine = [min(rank for name, rank in places.items() if own(name)) for places in ranks.values()]
    others = [
        [rank - (rank > at) for name, rank in places.items() if not own(name)]
        for at, places in zip(mine, ranks.values(), strict=True)
    ]
    found = {
        "own_language_first": sum(first) / len(first) * 100,
        "own_answer_first": sum(at == min(p.values()) for at, p in zip(mine, ranks.values(), strict=True))
        / len(mine)
        * 100,
        "map_own": sum(1 / at for at in mine) / len(mine) * 100,
    }
    if all(others):
        found["map_other"] = sum(map(full_average_precision, others)) / len(others) * 100
    return found
