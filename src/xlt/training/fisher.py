"""The trace of the Fisher information of parts of a model: what decides the next layer of FUN (Liu et al. 2024, section 3.3).

For labels drawn from the model's own distribution p(y | x) it is the mean over examples of E |d log p(y | x)|^2. Such
gradients have the mean zero and are independent of each other, so the expected squared norm of their sum over a batch is the
sum of the expected squared norms: one backward pass a batch measures all of its examples. Gold labels (the empirical Fisher
information) have no such mean, so each example has a pass of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xlt.data.batching import by_token_budget
from xlt.data.features import Feature
from xlt.modeling.model import TransferModel

Parts = Mapping[int, Sequence[nn.Parameter]]
"""The parameters of each layer, by its number."""
Labels = Literal["sampled", "mode", "gold"]
Draw = Callable[[Tensor], Tensor]
"""Scores of labels [..., labels] -> one label of each row [...], on the CPU."""
TOKENS = 4096
"""Padded tokens of a pass; they bound memory and change nothing else."""


def fisher_traces(
    model: TransferModel, batches: Sequence[Sequence[Feature]], layers: Parts, labels: Labels, seed: str
) -> dict[int, float]:
    """The trace of the Fisher information of each layer's parameters, per example of ``batches``.

    It is measured without dropout and on unperturbed input; labels are drawn from a generator of their own, seeded by
    ``seed``, so no random number of the training is drawn. A dual encoder has no labels to draw and its loss couples the
    examples of a batch: there the right answers count, and a batch is one example.
    """
    coupled = not model.family.supervised
    units = [[each] for batch in batches for each in batch] if labels == "gold" and not coupled else batches
    examples = len(units) if coupled else sum(len(unit) for unit in units)
    draw = None if labels == "gold" or coupled else drawing(labels, seed)
    flat = [parameter for parameters in layers.values() for parameter in parameters]
    owners = [number for number, parameters in layers.items() for _ in parameters]
    before = [parameter.requires_grad for parameter in flat]
    was_training = model.training
    traces = dict.fromkeys(layers, 0.0)
    model.eval()
    for parameter in flat:
        parameter.requires_grad_(True)
    for unit in units:
        for number, gradient in zip(owners, _gradients(model, unit, flat, draw), strict=True):
            if gradient is not None:  # None: no example of this batch passes through it
                traces[number] += float(gradient.pow(2).sum()) / examples
    for parameter, wanted in zip(flat, before, strict=True):
        parameter.requires_grad_(wanted)
    model.train(was_training)
    return traces


def drawing(labels: Labels, seed: str) -> Draw:
    """How labels are chosen: drawn from the softmax of their scores, or those with the highest score."""
    if labels == "mode":
        return lambda scores: scores.detach().argmax(-1).cpu()
    generator = torch.Generator().manual_seed(int.from_bytes(seed.encode(), "big") % 2**63)

    def sampled(scores: Tensor) -> Tensor:
        shares = scores.detach().float().cpu().softmax(-1)
        return torch.multinomial(shares.flatten(0, -2), 1, generator=generator).view(scores.shape[:-1])

    return sampled


def _gradients(
    model: TransferModel, unit: Sequence[Feature], flat: Sequence[nn.Parameter], draw: Draw | None
) -> list[Tensor | None]:
    """Gradients of the summed -log p of a batch, in passes of bounded size."""
    if not model.family.supervised:
        parts: Any = model.family.losses(model, unit, 0)
    else:
        widths = [feature.length for feature in unit]
        groups = by_token_budget(range(len(unit)), [len(feature.rows) for feature in unit], widths, TOKENS)
        parts = (partial(_loss, model, [unit[i] for i in group], draw) for group in groups)
    total: list[Tensor | None] = [None] * len(flat)
    for part in parts:
        found = torch.autograd.grad(part(), list(flat), allow_unused=True)
        total = [b if a is None else a if b is None else a + b for a, b in zip(total, found, strict=True)]
    return total


def _loss(model: TransferModel, features: Sequence[Feature], draw: Draw | None) -> Tensor:
    chosen = features if draw is None else relabelled(model, features, draw)
    total: Tensor = model.family.loss_sum(model, chosen)
    return total


def relabelled(model: TransferModel, features: Sequence[Feature], draw: Draw) -> list[Feature]:
    """The examples with labels from the model's own scores; what has no label (padding, inner sub-words) gets none."""
    with torch.no_grad():
        drawn = draw(model.family.label_scores(model, features)).tolist()
    return [
        replace(feature, target=model.family.drawn_target(feature, labels))
        for feature, labels in zip(features, drawn, strict=True)
    ]
