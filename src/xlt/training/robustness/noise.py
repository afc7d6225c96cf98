"""Randomized smoothing by random perturbation, RS-RP (Huang et al. 2021, section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xlt.config.regimes import RandomPerturbation
from xlt.families.base import MicroBatchLoss
from xlt.modeling.collate import TokenBatch
from xlt.modeling.model import TransferModel
from xlt.modeling.perturbation import embedding_scale, special_token_ids, uniform_in_ball, words_of


class RandomNoise:
    """Adds to each token's word embedding a uniform draw from a ball; padding and special tokens stay as they are.

    Draws come from a generator of their own on the CPU, so that they depend on the seed alone and not on the device.
    """

    def __init__(self, values: RandomPerturbation, tokenizer: Any, seed: int) -> None:
        self.values = values
        self.markers = special_token_ids(tokenizer)
        self.generator = torch.Generator().manual_seed(seed)
        self.radius: float | None = None

    def loss(self, model: TransferModel, part: MicroBatchLoss) -> Tensor:
        """The loss of one micro-batch under fresh noise."""
        if self.radius is None:  # of the encoder as it starts; its embeddings may be trained
            self.radius = self.values.radius * embedding_scale(model, self.values.norm)
        model.embedding_perturbation = self.perturb
        try:
            return part()
        finally:
            model.embedding_perturbation = None

    def state(self) -> tuple[Tensor, float | None]:
        """What the next step depends on: the generator's state, and the radius once it is measured."""
        return self.generator.get_state(), self.radius

    def restore(self, generator: Tensor, measured: float | None) -> None:
        """Go on from what ``state`` gave."""
        self.generator.set_state(generator)
        self.radius = measured

    def perturb(self, words: Tensor, rows: TokenBatch) -> Tensor:
        """[rows, tokens, width] word embeddings with noise."""
        assert self.radius is not None
        noise = uniform_in_ball(words.shape, self.values.norm, self.radius, self.generator)
        return words + noise.to(words) * words_of(rows, self.markers).to(words)
