"""Scheduled unfreezing: layers start frozen and join the training one by one (Liu et al. 2024, section 3).

``gradual`` goes from the top layer down (Howard & Ruder 2018, section 3.3); ``fisher`` (the paper's FUN) takes, each time,
the layer whose trained parameters have the largest trace of Fisher information (xlt.training.fisher). Both begin with the top
layer open. What the paper leaves open is decided and explained in docs/methods.md.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import nn

from xlt.config.schedules import FisherUnfreezing, LayerByLayer
from xlt.errors import InputError
from xlt.modeling.distributed import broadcast_from_main
from xlt.modeling.model import TransferModel
from xlt.training.fisher import Parts, fisher_traces
from xlt.training.trainer import Unfrozen, Upcoming

LAYER = re.compile(r"\.layers?\.(\d+)\.")
"""Where the number of the layer stands in a parameter's name (``encoder.encoder.layer.3.output...``)."""


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

    The top layer trains with the head from step 0, one more joins after every ``interval`` steps; what lies outside the
    layers comes with the last one. A frozen parameter has no gradient, so AdamW neither moves nor decays it and keeps no
    moments of it, and autograd does not go below the lowest unfrozen layer.
    """

    def __init__(self, settings: LayerByLayer, interval: int, seed: int) -> None:
        self.settings, self.steps, self.seed = settings, interval, seed
        self.unfrozen: list[Unfrozen] = []

    def interval(self, layers: int, total: int) -> float:
        """Steps between two layers: as configured, or less where ``share`` of ``total`` steps would not do for all."""
        if layers < 2:
            return float(self.steps)
        return min(float(self.steps), self.settings.share * total / (layers - 1))

    def before_step(self, model: TransferModel, upcoming: Upcoming, step: int, total: int) -> None:
        """Unfreeze the layers that are due at ``step`` (from 0) of ``total``; the first call freezes all but the top one.

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
            self._open(layers, step, max(layers), None)
        interval = self.interval(len(layers), total)
        due = min(len(layers), 1 + int(step / interval)) - len(self.unfrozen)
        if due > 0:
            open_already = {entry.layer for entry in self.unfrozen}
            frozen = {number: parameters for number, parameters in layers.items() if number not in open_already}
            for number, trace in self.ranked(model, upcoming, frozen, step, interval)[:due]:
                self._open(layers, step, number, trace)
        if len(self.unfrozen) == len(layers):
            require(outside_layers(model), True)

    def _open(self, layers: Parts, step: int, number: int, trace: float | None) -> None:
        require(layers[number], True)
        self.unfrozen.append(Unfrozen(step, number, trace))

    @abstractmethod
    def ranked(
        self, model: TransferModel, upcoming: Upcoming, frozen: Parts, step: int, interval: float
    ) -> list[tuple[int, float | None]]:
        """The frozen layers, the next one first, each with the figure that decided, if one did."""


class Gradual(Scheduled):
    """From the top layer down (Howard & Ruder 2018, section 3.3)."""

    def ranked(
        self, model: TransferModel, upcoming: Upcoming, frozen: Parts, step: int, interval: float
    ) -> list[tuple[int, float | None]]:
        """The frozen layers from the top down."""
        return [(number, None) for number in sorted(frozen, reverse=True)]


class Fisher(Scheduled):
    """By the trace of the Fisher information on the batches to come (FUN, Liu et al. 2024, section 3.3)."""

    settings: FisherUnfreezing

    def ranked(
        self, model: TransferModel, upcoming: Upcoming, frozen: Parts, step: int, interval: float
    ) -> list[tuple[int, float | None]]:
        """The frozen layers by falling trace; of two with the same trace the higher one first."""
        batches = upcoming(max(1, min(self.settings.batches, int(interval))))
        seed = f"{self.seed}/{step}"
        traces = broadcast_from_main(fisher_traces, model, batches, frozen, self.settings.labels, seed)
        return [(number, traces[number]) for number in sorted(frozen, key=lambda n: (-traces[n], -n))]
