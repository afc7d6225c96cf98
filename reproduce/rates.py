"""Which learning rate a recipe gets in a regime on a model."""

from __future__ import annotations

from typing import Any

from xlt.config import ForRecipe, Model, Recipe
from xlt.errors import InputError
from xlt.regimes import Regime, learning_rate_key


def learning_rate(recipe: Recipe, regime: Regime, model: Model) -> float:
    """The rate that training starts from: the model's for this recipe, the model's own, or the published one.

    AdapterFusion has a rate of its own: the model's entry ``fusion``, the regime's, or else that of adapters.

    Raises:
        InputError: no rate is configured for this way of tuning.
    """
    own = model.recipes.get(recipe.name, ForRecipe())
    of_model: dict[Any, float] = {**(model.learning_rate or {}), **own.learning_rate}
    before = regime.intermediate
    if before is not None and before.transfer == "fuse":
        fusion = of_model.get("fusion", before.learning_rate)
        if fusion is not None:
            return fusion
    key = learning_rate_key(regime.tuning)
    rates: dict[Any, float] = {**recipe.learning_rate, **of_model}
    if key not in rates:
        raise InputError(
            f"recipe {recipe.name}: no learning_rate for {key}; add one to configs/recipes/{recipe.name}.yaml"
        )
    return rates[key]
