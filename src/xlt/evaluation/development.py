"""The development score that chooses the epoch: the task's own main metric on English development data, in percent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xlt.config.run_config import Stage
from xlt.data.dataset import first, load_split, truly_labelled
from xlt.data.records import CandidateEntity, Mention, Passage
from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.context import Context, embedder
from xlt.evaluation.dual_encoder import Embed, rank_lareqa, rank_mewslix, split_pairs
from xlt.evaluation.gold import lareqa_gold
from xlt.evaluation.predict import PREDICT, Spec
from xlt.modeling.model import TransferModel


def development(stage: Stage, model: TransferModel, tokenizer: Any, context: Context) -> Callable[[], float] | None:
    """A function that scores the model on the stage's English development data, or None when there is none."""
    if stage.dev is None:
        return None
    recipe = stage.recipe
    records = truly_labelled(load_split(context.data, stage.dev, recipe.language, recipe.labels))
    if recipe.family == "mewslix":
        pairs = _cap_pairs(records, stage.caps.dev)
        return lambda: development_mewslix(embedder(model, tokenizer, context, "mewslix"), pairs, recipe.max_length)
    records = first(records, stage.caps.dev)
    if not records:
        raise InputError(f"recipe {recipe.name}: expected development examples after the first {stage.dev.skip}")
    if recipe.family == "lareqa":
        return lambda: development_lareqa(embedder(model, tokenizer, context, "lareqa"), records, recipe.max_length)
    return lambda: development_score(model, tokenizer, records, recipe, budget=context.budget)


def _cap_pairs(records: Sequence[Any], cap: int | None) -> list[Any]:
    """At most ``cap`` mentions; all entities stay as candidates."""
    mentions = [record for record in records if hasattr(record, "entity")]
    return [*mentions[:cap], *(record for record in records if not hasattr(record, "entity"))]


def development_score(
    model: TransferModel, tokenizer: Any, records: Sequence[Any], spec: Spec, *, budget: int
) -> float:
    """Predict ``records`` and score them: accuracy, entity or tag F1, or the mean of exact match and F1."""
    predictions = PREDICT[spec.family](model, tokenizer, records, spec, budget=budget, title="development")
    if spec.family == "tagging":
        return metrics.tag_f1([list(record.tags) for record in records], predictions)["f1"]
    if spec.family == "span":
        gold = {record.id: [answer.text for answer in record.answers] or [""] for record in records}
        given = {record.id: text for record, text in zip(records, predictions, strict=True)}
        exact, overlap = metrics.question_scores(gold, given, metrics.normalize_squad)
        return 100 * (sum(exact) + sum(overlap)) / (2 * len(records))
    return metrics.accuracy([record.label for record in records], predictions)


def development_lareqa(embed: Embed, passages: Sequence[Passage], max_length: int) -> float:
    """mAP@20 of English questions over the sentences of all development passages."""
    gold = lareqa_gold({"en": passages})["en"]
    return _map20(gold, rank_lareqa(embed, {"en": passages}, max_length)["en"])


def development_mewslix(embed: Embed, records: Sequence[Mention | CandidateEntity], max_length: int) -> float:
    """mAP@20 of English mentions over the entities of the development pairs."""
    mentions, entities = split_pairs(records)
    gold = {mention.id: [str(mention.entity)] for mention in mentions}
    return _map20(gold, rank_mewslix(embed, {"en": mentions}, list(entities.values()), max_length)["en"])


def _map20(gold: dict[str, list[str]], rankings: dict[str, list[str]]) -> float:
    return 100 * sum(metrics.average_precision(right, rankings[name]) for name, right in gold.items()) / len(gold)
