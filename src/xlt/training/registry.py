"""The axis values that plug into the training loop: robust training, and the schedule of unfreezing.

A new value of either axis is a config class in ``xlt.config.regimes`` and an entry here (docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xlt.config.regimes import Regime
from xlt.config.robustness import Adversarial, RandomPerturbation
from xlt.training.optimizer_step import Perturbation
from xlt.training.robustness.adversarial import AdversarialTraining
from xlt.training.robustness.noise import RandomNoise
from xlt.training.trainer import Schedule
from xlt.training.unfreezing import Fisher, Gradual

PERTURBATIONS: dict[type, Callable[[Any, Any, int], Perturbation]] = {
    Adversarial: AdversarialTraining,
    RandomPerturbation: RandomNoise,
}
"""Config class -> (its values, tokenizer, seed) -> what perturbs a training step."""
SCHEDULES: dict[str, Callable[[Any, int, int], Schedule]] = {"gradual": Gradual, "fisher": Fisher}
"""Kind -> (its values, interval, seed) -> when layers are unfrozen."""


def make_perturbation(regime: Regime, tokenizer: Any, seed: int) -> Perturbation | None:
    """What perturbs the input of each step, or None: data augmentation happens before, on the examples."""
    make = PERTURBATIONS.get(type(regime.robustness))
    return None if make is None else make(regime.robustness, tokenizer, seed)


def make_schedule(regime: Regime, training_set: str, seed: int) -> Schedule | None:
    """When layers are unfrozen in the training on a set, or None for all at once."""
    settings = regime.unfreezing
    return None if settings is None else SCHEDULES[settings.kind](settings, settings.interval_of(training_set), seed)
