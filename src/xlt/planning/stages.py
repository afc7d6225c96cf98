"""One training of a run: a recipe in a regime on a model under a profile, with its files and every value resolved."""

from __future__ import annotations

from typing import Any

from xlt.config.benchmark import DUAL_ENCODERS, ForRecipe, Model, Profile, Recipe
from xlt.config.regimes import Regime, learning_rate_key
from xlt.config.robustness import Copies, Robustness, Synonyms
from xlt.config.run_config import Augmentation, Stage
from xlt.errors import InputError
from xlt.planning.data_files import DataFiles


def make_stage(files: DataFiles, model: Model, recipe: Recipe, regime: Regime, seed: int) -> Stage | None:
    """One training with every value resolved, or None when its training files or its neighbours' file are absent."""
    train, dev = files.train(recipe.name, recipe.sources, recipe.language)
    augmentation = augmentation_of(files, recipe, regime.robustness, seed)
    if train is None or (isinstance(regime.robustness, Copies) and augmentation is None):
        return None
    values = {
        "epochs": epochs(recipe, regime, files.profile),
        "batch_size": batch_size(recipe, regime, model),
        "micro_batch_size": micro_batch_size(recipe, files.profile, model),
        "checkpoint": regime.checkpoint or recipe.checkpoint,
    }
    return Stage(
        recipe=recipe.model_copy(update=values),
        learning_rate=learning_rate(recipe, regime, model) * (regime.rate_factor or 1),
        caps=files.profile.cap(recipe.name),
        train=train,
        dev=dev,
        augmentation=augmentation,
    )


def augmentation_of(files: DataFiles, recipe: Recipe, noise: Robustness | None, seed: int) -> Augmentation | None:
    """The copies of a recipe's training set that a regime asks for; for RS-DA none without the file of neighbours."""
    if not isinstance(noise, Copies):
        return None
    neighbours = files.neighbours(noise.neighbours) if isinstance(noise, Synonyms) else None
    if isinstance(noise, Synonyms) and neighbours is None:
        return None
    return Augmentation(neighbours=neighbours, copies=noise.copies_of(recipe.name), seed=seed)


def learning_rate(recipe: Recipe, regime: Regime, model: Model) -> float:
    """The rate that training starts from: the model's for this recipe, the model's own, the regime's, or the recipe's.

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
    otherwise = regime.training_of(recipe.name).learning_rate
    if otherwise is not None and key not in of_model:
        return otherwise
    rates: dict[Any, float] = {**recipe.learning_rate, **of_model}
    if key not in rates:
        raise InputError(
            f"recipe {recipe.name}: no learning_rate for {key}; add one to configs/recipes/{recipe.name}.yaml"
        )
    return rates[key]


def epochs(recipe: Recipe, regime: Regime, profile: Profile) -> int:
    """Epochs of a recipe: those that the regime asks for, or the recipe's own; a profile's limit both.

    A profile's epochs take the place of the recipe's; of those that a regime asks for they are the most.
    """
    by_profile = profile.epochs.get(recipe.name, profile.epochs.get("default"))
    own = regime.robustness.epochs.get(recipe.name) if isinstance(regime.robustness, Copies) else None
    own = own or regime.training_of(recipe.name).epochs
    if own is None:
        return by_profile or recipe.epochs
    return own if by_profile is None else min(own, by_profile)


def batch_size(recipe: Recipe, regime: Regime, model: Model) -> int:
    """Examples of an optimizer step: the model's for this recipe, the model's own, the regime's, or the recipe's."""
    own = model.recipes.get(recipe.name, ForRecipe()).batch_size or model.batch_size
    return own or regime.training_of(recipe.name).batch_size or recipe.batch_size


def micro_batch_size(recipe: Recipe, profile: Profile, model: Model) -> int | None:
    """Examples whose mean loss a step adds up: the model's for this recipe, or the recipe's; None for the whole batch.

    A dual encoder that learns from all negatives of the batch takes it whole.
    """
    if recipe.family in DUAL_ENCODERS and profile.dual_encoder == "mean-in-batch":
        return None
    return model.recipes.get(recipe.name, ForRecipe()).micro_batch_size or recipe.micro_batch_size
