"""The retrieval families: what is embedded as query and candidate, for training pairs and for ranking.

Sources: LAReQA as XTREME-R trains it (Ruder et al. 2021, section 3.1, and ``processors/lareqa.py``: question against
sentence in its context), Mewsli-X with the baseline texts of ``utils_mewslix.py``, Tatoeba and BUCC by cosine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlt.data.features import Feature, text_rows
from xlt.data.readers.sentences import sentence_breaks
from xlt.data.records import Bitext, Entity, Mention, Mining, Passage
from xlt.evaluation.retrieval import best_threshold, distinct_sentences, keep, mine, nearest, scored_pairs

DEPTH = 20
"""Candidates kept per query: XTREME-R scores mAP@20."""
QUERY_TOKENS = 96
"""Longest LAReQA question in sub-words (XTREME's ``train_lareqa.sh``); the rest of ``max_length`` is for the answer."""

Text = str | tuple[str, str]
Embed = Callable[[Sequence[Text], int, str], NDArray[np.float32]]
"""(texts or text pairs, longest input in tokens, title of the progress bar) -> [texts, width], rows of unit length."""


def lareqa_candidates(passages: Sequence[Passage]) -> dict[str, tuple[str, str]]:
    """Candidate id "<passage>_<sentence>" -> (sentence, its passage)."""
    return {f"{p.id}_{i}": (sentence, p.context) for p in passages for i, sentence in enumerate(p.sentences)}


def lareqa_pairs(passages: Sequence[Passage]) -> list[tuple[str, tuple[str, str]]]:
    """Training pairs: question, and (answer sentence, passage)."""
    return [(text, (p.sentences[index], p.context)) for p in passages for _, text, index in p.questions]


def rank_lareqa(
    embed: Embed, passages: Mapping[str, Sequence[Passage]], max_length: int
) -> dict[str, dict[str, list[str]]]:
    """For each language and question the ``DEPTH`` best candidates of the pool of all languages' sentences."""
    candidates = lareqa_candidates([passage for own in passages.values() for passage in own])
    names = list(candidates)
    pool = embed(list(candidates.values()), max_length - QUERY_TOKENS, "LAReQA candidates")
    rankings = {}
    for language, own in passages.items():
        questions = {f"{name}_{language}": text for p in own for name, text, _ in p.questions}
        found, _ = nearest(embed(list(questions.values()), QUERY_TOKENS, f"LAReQA {language}"), pool, DEPTH)
        rankings[language] = {name: [names[i] for i in row] for name, row in zip(questions, found, strict=True)}
    return rankings


def mention_text(mention: Mention) -> str:
    """The mention, a colon, and its sentence with the mention between braces (``preprocess_mention`` of XTREME).

    The file's sentence spans are not part of a record; the sentence is found by the project's splitter, and braces in
    the text become parentheses.
    """
    name = mention.text[mention.start : mention.end]
    begin, end = 0, len(mention.text)
    for first, last in sentence_breaks(mention.text):
        if first <= mention.start and mention.end <= last:
            begin, end = first, last
    left = _unbraced(mention.text[begin : mention.start])
    right = _unbraced(mention.text[mention.end : end])
    return re.sub(r"\s+", " ", f"{name}: {left} {{ {name} }} {right}").strip()


def _unbraced(text: str) -> str:
    return re.sub(r"\{(.*?)\}", r"(\1)", text)


def entity_text(entity: Entity) -> str:
    """The description of an entity on one line (``preprocess_entity_description`` of XTREME)."""
    return re.sub(r"\s+", " ", entity.description).strip()


def split_pairs(records: Sequence[Mention | Entity]) -> tuple[list[Mention], dict[str, Entity]]:
    """Mewsli-X pairs as read (mentions, then their entities) as a list and a mapping by entity id."""
    mentions = [record for record in records if isinstance(record, Mention)]
    return mentions, {record.id: record for record in records if isinstance(record, Entity)}


def mewslix_pairs(records: Sequence[Mention | Entity]) -> list[tuple[str, str]]:
    """Training pairs: mention in context, and description of its entity."""
    mentions, entities = split_pairs(records)
    return [(mention_text(m), entity_text(entities[m.entity])) for m in mentions if m.entity is not None]


def rank_mewslix(
    embed: Embed, mentions: Mapping[str, Sequence[Mention]], entities: Sequence[Entity], max_length: int
) -> dict[str, dict[str, list[str]]]:
    """For each language and mention the ``DEPTH`` best entities of the one candidate set."""
    pool = embed([entity_text(entity) for entity in entities], max_length, "Mewsli-X candidates")
    rankings = {}
    for language, own in mentions.items():
        found, _ = nearest(embed([mention_text(m) for m in own], max_length, f"Mewsli-X {language}"), pool, DEPTH)
        rankings[language] = {m.id: [entities[i].id for i in row] for m, row in zip(own, found, strict=True)}
    return rankings


def match_tatoeba(embed: Embed, bitexts: Mapping[str, Bitext], max_length: int) -> dict[str, list[int]]:
    """For each language and sentence the index of the nearest English sentence of that language's file."""
    texts = list(dict.fromkeys(text for b in bitexts.values() for text in (*b.source, *b.target)))
    vectors = dict(zip(texts, embed(texts, max_length, "Tatoeba"), strict=True))
    matches = {}
    for language, bitext in bitexts.items():
        source = np.stack([vectors[text] for text in bitext.source])
        target = np.stack([vectors[text] for text in bitext.target])
        matches[language] = [int(i) for i in nearest(source, target, 1)[0][:, 0]]
    return matches


def mine_bucc(embed: Embed, test: Mining, tuning: Mining | None, max_length: int, title: str) -> set[tuple[str, str]]:
    """The pairs of one BUCC collection above the threshold that is best on the training split (or on itself)."""
    chosen = tuning if tuning is not None else test
    if chosen.gold is None:
        raise ValueError("the threshold needs a split with gold pairs")
    scored = _scored(embed, test, max_length, title)
    tuned = scored if chosen is test else _scored(embed, chosen, max_length, f"{title} training split")
    return keep(scored, best_threshold(tuned, chosen.gold)) if tuned else set()


def _scored(embed: Embed, collection: Mining, max_length: int, title: str) -> dict[tuple[str, str], float]:
    source, source_ids = distinct_sentences(collection.source)
    target, target_ids = distinct_sentences(collection.target)
    mined = mine(embed(source, max_length, title), embed(target, max_length, title))
    return scored_pairs(mined, source_ids, target_ids)


def contrastive_features(
    pairs: Sequence[tuple[str, Text]], tokenizer: Any, *, query_length: int, answer_length: int, prefix: str
) -> list[Feature]:
    """Training features of a dual encoder: row 0 the query, row 1 its answer."""
    queries, query_types = text_rows([prefix + query for query, _ in pairs], tokenizer, query_length)
    answers, answer_types = text_rows([with_prefix(answer, prefix) for _, answer in pairs], tokenizer, answer_length)
    return [
        Feature(number, [query, answer], [query_types[number], answer_types[number]])
        for number, (query, answer) in enumerate(zip(queries, answers, strict=True))
    ]


def with_prefix(text: Any, prefix: str) -> Any:
    """``prefix`` in front of a text, or of the first text of a pair."""
    return prefix + text if isinstance(text, str) else (prefix + text[0], text[1])
