"""When things happen in a regime's trainings: the axis unfreezing, and what a regime trains otherwise than a recipe says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from xlt.config.benchmark import Strict

Steps = Annotated[int, Field(ge=1)]


class LayerByLayer(Strict):
    """Layers whose trained parts start frozen, but the top one, and join the training one by one (Liu et al. 2024).

    ``interval``: optimizer steps between one layer and the next; by training set, with ``default`` for the others, or one
    number for all. A training too short for that unfreezes its layers evenly, so that all are unfrozen after ``share`` of
    its steps.
    """

    interval: Steps | dict[str, Steps] = 800
    share: float = Field(default=0.2, gt=0, lt=1)

    @field_validator("interval")
    @classmethod
    def _has_default(cls, interval: int | dict[str, int]) -> int | dict[str, int]:
        if isinstance(interval, dict) and "default" not in interval:
            raise ValueError("expected an entry default")
        return interval

    def interval_of(self, training_set: str) -> int:
        """Optimizer steps between two layers in the training on a set."""
        if isinstance(self.interval, int):
            return self.interval
        return self.interval.get(training_set, self.interval["default"])


class GradualUnfreezing(LayerByLayer):
    """From the top layer down (Howard & Ruder 2018, section 3.3; Liu et al. 2024 for adapters)."""

    kind: Literal["gradual"]


class FisherUnfreezing(LayerByLayer):
    """Each time the layer with the largest trace of Fisher information: FUN (Liu et al. 2024, section 3.3).

    ``labels``: whose labels the gradients are of: ``sampled`` from the model's own distribution (the paper's definition), its
    ``mode`` (the released code), or the ``gold`` ones (the empirical Fisher information). ``batches``: how many a measurement
    reads, at most as many as there are steps between two layers.
    """

    kind: Literal["fisher"]
    labels: Literal["sampled", "mode", "gold"] = "sampled"
    batches: int = Field(default=41, ge=1)


Unfreezing = GradualUnfreezing | FisherUnfreezing


class Training(Strict):
    """What a regime does otherwise in one recipe than the recipe says; a model's own rates and batch come before it."""

    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
