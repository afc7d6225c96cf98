"""Adversarial training on word embeddings (Huang et al. 2021, section 3.1), by projected gradient ascent.

The inner maximisation is that of Madry et al. 2018, section 2.1: start at a random point of the ball, take steps along the
steepest direction in its norm, project back after each. The ball is per token. Dropout masks are the same in every pass
of a step, as in FreeLB (Zhu et al. 2020, section 3.3): the perturbation is then the worst one for the very sub-network
whose weights the step changes, and the random numbers used up are those of a plain step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xlt.config.robustness import Adversarial
from xlt.families.base import MicroBatchLoss
from xlt.modeling.collate import TokenBatch
from xlt.modeling.model import TransferModel
from xlt.modeling.perturbation import (
    ascent_direction,
    project,
    uniform_in_ball,
    words_of,
)
from xlt.training.checkpoint_state import dropout_state, restore_dropout_state
from xlt.training.robustness.seeded import SeededPerturbation


class AdversarialTraining(SeededPerturbation[Adversarial]):
    """Perturbs each micro-batch so that its loss grows; the loss at the last perturbation is what a step follows."""

    def loss(self, model: TransferModel, part: MicroBatchLoss) -> Tensor:
        """The loss at the end of the ascent. The ascent leaves no gradient behind in any parameter."""
        ball = Ball(self.values, self.unit_of(model), self.markers, self.generator)
        state = dropout_state(model.device)
        model.embedding_perturbation = ball.perturb
        try:
            for _ in range(self.values.steps):
                ball.ascend(part())
                restore_dropout_state(model.device, state)
                ball.rewind()
            ball.settle()
            return part()
        finally:
            model.embedding_perturbation = None


class Ball:
    """The perturbations of one micro-batch, one tensor for each pass through the embeddings, in the order of the calls.

    A contrastive loss passes twice, for queries and answers; a second run of the same part passes in the same order.
    """

    def __init__(self, values: Adversarial, scale: float, markers: frozenset[int], generator: torch.Generator) -> None:
        self.norm = values.norm
        self.radius = values.radius * scale
        self.step_size = values.step_size * scale
        self.markers = markers
        self.generator = generator
        self.deltas: list[Tensor] = []
        self.allowed: list[Tensor] = []
        self.calls = 0

    def perturb(self, words: Tensor, rows: TokenBatch) -> Tensor:
        """[rows, tokens, width] word embeddings, each moved by its perturbation."""
        if self.calls == len(self.deltas):
            allowed = words_of(rows, self.markers).to(words)
            start = uniform_in_ball(words.shape, self.norm, self.radius, self.generator).to(words)
            self.allowed.append(allowed)
            self.deltas.append((start * allowed).requires_grad_())
        delta = self.deltas[self.calls]
        self.calls += 1
        return words + delta

    def ascend(self, loss: Tensor) -> None:
        """One step of projected gradient ascent; gradients are taken with respect to the perturbations only."""
        gradients = torch.autograd.grad(loss, self.deltas)
        moved = [
            delta.detach() + self.step_size * ascent_direction(gradient, self.norm)
            for delta, gradient in zip(self.deltas, gradients, strict=True)
        ]
        self.deltas = [
            (project(delta, self.norm, self.radius) * allowed).requires_grad_()
            for delta, allowed in zip(moved, self.allowed, strict=True)
        ]

    def rewind(self) -> None:
        """Start over with the first pass."""
        self.calls = 0

    def settle(self) -> None:
        """The perturbations are constants from here on: nothing below the lowest trained layer needs a gradient."""
        self.deltas = [delta.detach() for delta in self.deltas]
