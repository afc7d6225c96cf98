"""Mewsli-X: mentions of entities against the entities' descriptions, with the baseline texts of ``utils_mewslix.py``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Recipe
from xlt.config.run_config import Evaluation
from xlt.data.dataset import load_entities
from xlt.data.readers.sentences import sentence_breaks
from xlt.data.records import CandidateEntity, Mention
from xlt.families.base import present
from xlt.families.retrieval import DualEncoder, Embed, Predictions, Rankings, Text, best_of, mean_map20


class Mewslix(DualEncoder):
    """Mentions of entities against entities' descriptions."""

    name = "mewslix"
    expected = "one right entity"

    def may_be_right(self, right: Sequence[str]) -> bool:
        """A mention is of one entity."""
        return len(right) == 1

    def capped(self, records: Sequence[Any], take: Callable[[Sequence[Any]], list[Any]]) -> list[Any]:
        """The mentions that ``take`` chooses; all entities stay as candidates."""
        mentions = [record for record in records if isinstance(record, Mention)]
        return [*take(mentions), *(record for record in records if isinstance(record, CandidateEntity))]

    def pairs(
        self, records: Sequence[Mention | CandidateEntity], recipe: Recipe
    ) -> tuple[list[tuple[str, Text]], int, int]:
        """Mention in context, and description of its entity."""
        mentions, entities = split_pairs(records)
        pairs: list[tuple[str, Text]] = [
            (mention_text(mention, recipe.language), entity_text(entities[mention.entity]))
            for mention in mentions
            if mention.entity is not None
        ]
        return pairs, recipe.max_length, recipe.max_length

    def development_score(self, records: Sequence[Mention | CandidateEntity], embed: Embed, max_length: int) -> float:
        """mAP@20 of English mentions over the entities of the development pairs."""
        mentions, entities = split_pairs(records)
        gold = {mention.id: [str(mention.entity)] for mention in mentions}
        return mean_map20(gold, rank_entities(embed, {"en": mentions}, list(entities.values()), max_length)["en"])

    def retrieve(self, evaluation: Evaluation, records: Mapping[str, Any], embed: Embed, data: Path) -> Predictions:
        """Rankings of the one candidate set, which lies beside the mentions."""
        entities = load_entities(data, next(iter(evaluation.files.values())))
        return {evaluation.task.name: rank_entities(embed, records, entities, evaluation.task.max_length)}

    def gold(self, records: Sequence[Mention]) -> Rankings:
        """The entity of each mention."""
        return {record.id: [present(record.entity, record.id)] for record in records}

    def notes(self, records: Mapping[str, Sequence[Mention]]) -> list[str]:
        """Where this artifact's own splitter cuts the mentions' sentences."""
        cut = [language for language, own in records.items() if any(mention.sentence is None for mention in own)]
        what = "mentions are cut by this artifact's own splitter there"
        return [f"no sentence spans in the files of {', '.join(cut)}; {what}"] if cut else []


def split_pairs(records: Sequence[Mention | CandidateEntity]) -> tuple[list[Mention], dict[str, CandidateEntity]]:
    """Mewsli-X pairs as read (mentions, then their entities) as a list and a mapping by entity id."""
    mentions = [record for record in records if isinstance(record, Mention)]
    return mentions, {record.id: record for record in records if isinstance(record, CandidateEntity)}


def mention_text(mention: Mention, language: str) -> str:
    """The mention, a colon, and its sentence with the mention between braces (``preprocess_mention`` of XTREME).

    Where the file has no sentences, a splitter for the ``language`` finds it; braces in the text become parentheses.
    """
    name = mention.text[mention.start : mention.end]
    begin, end = mention.sentence or _sentence_around(mention, language)
    left = _unbraced(mention.text[begin : mention.start])
    right = _unbraced(mention.text[mention.end : end])
    return re.sub(r"\s+", " ", f"{name}: {left} {{ {name} }} {right}").strip()


def _sentence_around(mention: Mention, language: str) -> tuple[int, int]:
    """From the start of the first sentence that a mention touches to the end of the last."""
    spans = sentence_breaks(mention.text, language)
    touched = [(start, end) for start, end in spans if start < mention.end and mention.start < end]
    return (touched[0][0], touched[-1][1]) if touched else (mention.start, mention.end)


def _unbraced(text: str) -> str:
    return re.sub(r"\{(.*?)\}", r"(\1)", text)


def entity_text(entity: CandidateEntity) -> str:
    """The description of an entity on one line (``preprocess_entity_description`` of XTREME)."""
    return re.sub(r"\s+", " ", entity.description).strip()


def rank_entities(
    embed: Embed, mentions: Mapping[str, Sequence[Mention]], entities: Sequence[CandidateEntity], max_length: int
) -> dict[str, Rankings]:
    """For each language and mention the ``DEPTH`` best entities of the one candidate set."""
    described = [entity.language for entity in entities]
    pool = embed([entity_text(entity) for entity in entities], max_length, "Mewsli-X candidates", described)
    names = [entity.id for entity in entities]
    rankings = {}
    for language, own in mentions.items():
        vectors = embed(
            [mention_text(m, language) for m in own], max_length, f"Mewsli-X {language}", [language] * len(own)
        )
        rankings[language] = best_of([m.id for m in own], vectors, names, pool)
    return rankings
