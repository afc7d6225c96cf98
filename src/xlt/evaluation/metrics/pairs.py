"""F1 over a set of mined sentence pairs (BUCC 2018)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet


def pair_f1(gold: AbstractSet[tuple[str, str]], predicted: AbstractSet[tuple[str, str]]) -> dict[str, float]:
    """``f1``, ``precision`` and ``recall`` of the predicted pairs, in per cent; all 0 when no pair is right."""
    right = len(gold & predicted)
    if right == 0:
        return {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    precision, recall = right / len(predicted), right / len(gold)
    f1 = 2 * precision * recall / (precision + recall)
    return {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}
