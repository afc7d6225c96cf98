"""The development score that chooses the epoch: the task's own main metric on English development data, in percent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from xlt.config.run_config import Stage
from xlt.data.dataset import first, load_split, usable
from xlt.errors import InputError
from xlt.families import DUAL_ENCODERS, FAMILIES, SUPERVISED
from xlt.modeling.model import TransferModel
from xlt.pipeline.context import Context, embedder


def development(stage: Stage, model: TransferModel, tokenizer: Any, context: Context) -> Callable[[], float] | None:
    """A function that scores the model on the stage's English development data, or None when there is none."""
    if stage.dev is None:
        return None
    recipe = stage.recipe
    loaded = usable(load_split(context.data, stage.dev, recipe.language, recipe.known_labels))
    records = FAMILIES[recipe.family].capped(loaded, partial(first, cap=stage.caps.dev))
    if not records:
        raise InputError(f"recipe {recipe.name}: expected development examples after the first {stage.dev.skip}")
    if recipe.family in DUAL_ENCODERS:
        retrieval = DUAL_ENCODERS[recipe.family]
        embed = embedder(model, tokenizer, context, retrieval)
        return lambda: retrieval.development_score(records, embed, recipe.max_length)
    family = SUPERVISED[recipe.family]

    def score() -> float:
        given = family.predict(model, tokenizer, records, recipe, budget=context.budget, title="development")
        return family.development_score(records, given)

    return score
