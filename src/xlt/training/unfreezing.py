"""Scheduled unfreezing: layers start frozen and join the training one by one (Liu et al. 2024, sections 3 and 4).

``gradual`` goes from the top layer down (Howard & Ruder 2018, section 3.3); ``fisher`` (the paper's FUN) takes, each time,
the layer whose trained parameters have the largest trace of the empirical Fisher information. What the paper leaves open
is decided and explained in docs/unfreezing.md.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.modeling.model import TransferModel
from xlt.modeling.parallel import from_first
from xlt.regimes import Unfreezing
from xlt.training.loop import Unfrozen
from xlt.training.objectives import SUMS, loss_parts

LAYER = re.compile(r"\.layers?\.(\d+)\.")
"""Where the number of the layer stands in a parameter's name (``encoder.encoder.layer.3.output...``)."""
Parts = Mapping[int, Sequence[nn.Parameter]]


def trained_layers(model: TransferModel) -> dict[int, list[nn.Parameter]]:
    """The trained parameters of each layer that has any, by layer number, 0 at the bottom."""
    layers: dict[int, list[nn.Parameter]] = {}
    for name, parameter in model.trained_parameters().items():
        match = LAYER.search(name)
        if match is not None and not name.startswith("head."):
            layers.setdefault(int(match[1]), []).append(parameter)
    return dict(sorted(layers.items()))


def outside_layers(model: TransferModel) -> list[nn.Parameter]:
    """The trained parameters of the encoder that belong to no layer: the embeddings in full fine-tuning."""
    trained = model.trained_parameters().items()
    return [parameter for name, parameter in trained if not name.startswith("head.") and LAYER.search(name) is None]


def require(parameters: Sequence[nn.Parameter], wanted: bool) -> None:
    """Switch the gradients of parameters on or off; off also drops what a last step left."""
    for parameter in parameters:
        parameter.requires_grad_(wanted)
        if not wanted:
            parameter.grad = None


class Scheduled(ABC):
    """What both schedules share: how many layers are due at a step, and what freezing means. One object per training.

    The first layer is unfrozen with the head at step 0, one more after every ``interval`` steps; what lies outside the
    layers comes with the last one. A frozen parameter has no gradient, so AdamW neither moves nor decays it and keeps no
    moments of it, and autograd does not go below the lowest unfrozen layer.
    """

    def __init__(self, settings: Unfreezing) -> None:
        self.settings = settings
        self.unfrozen: list[Unfrozen] = []

    def interval(self, layers: int, total: int) -> float:
        """Steps between two layers: as configured, or less where ``share`` of ``total`` steps would not do for all."""
        if layers < 2:
            return float(self.settings.interval)
        return min(float(self.settings.interval), self.settings.share * total / (layers - 1))

    def before_step(self, model: TransferModel, features: Sequence[Feature], step: int, total: int) -> None:
        """Unfreeze the layers that are due at ``step`` (from 0) of ``total``; the first call freezes all others.

        Raises:
            InputError: no layer has trained parameters.
        """
        layers = trained_layers(model)
        if not layers:
            raise InputError("unfreezing: expected trained parameters in the encoder's layers, got none; remove it")
        if not self.unfrozen:
            for parameters in layers.values():
                require(parameters, False)
            require(outside_layers(model), False)
        due = min(len(layers), 1 + int(step / self.interval(len(layers), total)))
        if len(self.unfrozen) < due:
            self._unfreeze(model, features, step, due, layers)

    def _unfreeze(self, model: TransferModel, features: Sequence[Feature], step: int, due: int, layers: Parts) -> None:
        open_already = {entry.layer for entry in self.unfrozen}
        frozen = {number: parameters for number, parameters in layers.items() if number not in open_already}
        for number, trace in self.ranked(model, features, frozen)[: due - len(open_already)]:
            require(layers[number], True)
            self.unfrozen.append(Unfrozen(step, number, trace))
        if len(self.unfrozen) == len(layers):
            require(outside_layers(model), True)

    @abstractmethod
    def ranked(
        self, model: TransferModel, features: Sequence[Feature], frozen: Parts
    ) -> list[tuple[int, float | None]]:
        """The frozen layers, the next one first, each with the figure that decided, if one did."""


class Gradual(Scheduled):
    """From the top layer down (Howard & Ruder 2018, section 3.3)."""

    def ranked(
        self, model: TransferModel, features: Sequence[Feature], frozen: Parts
    ) -> list[tuple[int, float | None]]:
        """The frozen layers from the top down."""
        return [(number, None) for number in sorted(frozen, reverse=True)]


class Fisher(Scheduled):
    """By the trace of the empirical Fisher information on the batch of the step (Liu et al. 2024, section 4)."""

    def ranked(
        self, model: TransferModel, features: Sequence[Feature], frozen: Parts
    ) -> list[tuple[int, float | None]]:
        """The frozen layers by falling trace; of two with the same trace the higher one first."""
        traces = from_first(fisher_traces, model, features, frozen)
        return [(number, traces[number]) for number in sorted(frozen, key=lambda n: (-traces[n], -n))]


def fisher_traces(model: TransferModel, features: Sequence[Feature], layers: Parts) -> dict[int, float]:
    """The trace of the empirical Fisher information of each layer's parameters, estimated on ``features``.

    It is the mean over examples of the squared L2 norm of the gradient of log p(gold label | example), taken without
    dropout and without any perturbation of the input, so that no random number is drawn. The loss of a dual encoder
    couples the examples of a batch; there the batch as a whole counts as one example.
    """
    units: list[Sequence[Feature]] = [[feature] for feature in features] if model.family in SUMS else [features]
    flat = [parameter for parameters in layers.values() for parameter in parameters]
    owners = [number for number, parameters in layers.items() for _ in parameters]
    traces = dict.fromkeys(layers, 0.0)
    was_training = model.training
    model.eval()
    require(flat, True)
    for unit in units:
        gradients = torch.autograd.grad(_negative_log_likelihood(model, unit), flat, allow_unused=True)
        for number, gradient in zip(owners, gradients, strict=True):
            if gradient is not None:  # None: this example does not pass through it
                traces[number] += float(gradient.pow(2).sum()) / len(units)
    require(flat, False)
    model.train(was_training)
    return traces


def _negative_log_likelihood(model: TransferModel, unit: Sequence[Feature]) -> Tensor:
    if model.family in SUMS:
        return SUMS[model.family](model, unit)
    parts: Any = loss_parts(model.family)(model, unit, 0)
    return torch.stack([part() for part in parts]).sum()
