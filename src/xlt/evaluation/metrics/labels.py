"""Accuracy of one label per example: XNLI, PAWS-X, XCOPA, and Tatoeba (the label is the index of the translation)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def correct(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> list[float]:
    """1.0 for each example whose prediction equals its gold label, else 0.0; both sequences are equally long."""
    return [float(right == given) for right, given in zip(gold, predicted, strict=True)]


def accuracy(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Share of right predictions, in per cent, over at least one example."""
    return sum(correct(gold, predicted)) / len(gold) * 100
