"""What ways of robust training have in common: random numbers and a unit of length of their own."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from xlt.config.robustness import Adversarial, RandomPerturbation
from xlt.modeling.model import TransferModel
from xlt.modeling.perturbation import embedding_scale, special_token_ids

Values = TypeVar("Values", Adversarial, RandomPerturbation)


class SeededPerturbation(Generic[Values]):
    """Draws come from a generator of its own on the CPU, so that they depend on the seed alone and not on the device.

    ``unit``: the length that radii are relative to; ``markers``: the special tokens, which stay as they are.
    """

    def __init__(self, values: Values, tokenizer: Any, seed: int) -> None:
        self.values: Values = values
        self.markers = special_token_ids(tokenizer)
        self.generator = torch.Generator().manual_seed(seed)
        self.unit: float | None = None

    def unit_of(self, model: TransferModel) -> float:
        """The unit, measured in the encoder as it starts: its embeddings may be trained."""
        if self.unit is None:
            self.unit = embedding_scale(model, self.values.norm)
        return self.unit

    def state(self) -> tuple[Tensor, float | None]:
        """What the next step depends on: the generator's state, and the unit once it is measured."""
        return self.generator.get_state(), self.unit

    def restore(self, generator: Tensor, measured: float | None) -> None:
        """Go on from what ``state`` gave."""
        self.generator.set_state(generator)
        self.unit = measured
