"""Which rate, epochs and batch a recipe gets: the model, the regime and the profile before what is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT

from xlt.config.benchmark import Model, Profile, Recipe, load
from xlt.config.regimes import Regime
from xlt.planning.stages import batch_size, epochs, learning_rate

CONFIGS = ROOT / "configs"


def configured(kind: Any, folder: str, name: str) -> Any:
    return load(kind, Path(CONFIGS / folder / f"{name}.yaml"))


def profile(**limits: int) -> Profile:
    return Profile(name="p", title="p", model="m", seeds=[1], data="d", epochs=limits)


@pytest.mark.parametrize(
    ("regime", "recipe", "limits", "expected"),
    [
        ("full", "mnli", {}, 5),
        ("full", "mnli", {"default": 7}, 7),  # a profile's epochs take the place of the recipe's
        ("full-rs-da", "mnli", {}, 1),
        ("full-rs-da", "pawsx", {}, 3),
        ("full-rs-da", "pawsx", {"default": 2}, 2),  # and limit those that a regime asks for
        ("full-rs-da", "mnli", {"default": 3}, 1),
        ("full-rs-da", "udpos", {}, 10),  # nothing published: the recipe's
        ("liu-madx", "mnli", {}, 15),
        ("liu-madx", "mnli", {"default": 3, "mnli": 4}, 4),
    ],
)
def test_epochs(regime: str, recipe: str, limits: dict[str, int], expected: int) -> None:
    found = epochs(configured(Recipe, "recipes", recipe), configured(Regime, "regimes", regime), profile(**limits))
    assert found == expected


def test_a_model_s_own_rate_and_batch_come_before_the_regime_s() -> None:
    squad, regime = configured(Recipe, "recipes", "squad"), configured(Regime, "regimes", "madx-gradual")
    assert learning_rate(squad, regime, configured(Model, "models", "xlmr-base")) == 5e-4
    small = configured(Model, "models", "e5-small")
    assert learning_rate(squad, regime, small) == 1e-3
    mnli, liu = configured(Recipe, "recipes", "mnli"), configured(Regime, "regimes", "liu-lora")
    assert batch_size(mnli, liu, configured(Model, "models", "xlmr-base")) == 128
    assert batch_size(mnli, liu, small) == 16
