"""Randomized smoothing by random perturbation, RS-RP (Huang et al. 2021, section 3.2)."""

from __future__ import annotations

from torch import Tensor

from xlt.config.robustness import RandomPerturbation
from xlt.families.base import MicroBatchLoss
from xlt.modeling.collate import TokenBatch
from xlt.modeling.model import TransferModel
from xlt.modeling.perturbation import uniform_in_ball, words_of
from xlt.training.robustness.seeded import SeededPerturbation


class RandomNoise(SeededPerturbation[RandomPerturbation]):
    """Adds to each token's word embedding a uniform draw from a ball; padding and special tokens stay as they are."""

    def loss(self, model: TransferModel, part: MicroBatchLoss) -> Tensor:
        """The loss of one micro-batch under fresh noise."""
        radius = self.values.radius * self.unit_of(model)

        def perturb(words: Tensor, rows: TokenBatch) -> Tensor:
            noise = uniform_in_ball(words.shape, self.values.norm, radius, self.generator)
            return words + noise.to(words) * words_of(rows, self.markers).to(words)

        model.embedding_perturbation = perturb
        try:
            return part()
        finally:
            model.embedding_perturbation = None
