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

from xlt.config.benchmark import QUERY_TOKENS, MiningRule
from xlt.data.features import Feature, text_rows
from xlt.data.readers.sentences import sentence_breaks
from xlt.data.records import CandidateEntity, Mention, Mining, ParallelText, Passage
from xlt.evaluation.gold import lareqa_gold
from xlt.evaluation.nearest_neighbors import (
    best_threshold,
    distinct_sentences,
    keep,
    mine,
    nearest,
    ranks,
    scored_pairs,
)

DEPTH = 20
"""Candidates kept per query: XTREME-R scores mAP@20."""

Text = str | tuple[str, str]
Embed = Callable[[Sequence[Text], int, str, Sequence[str]], NDArray[np.float32]]
"""(texts or text pairs, longest input in tokens, title of the progress bar, language of each text) -> [texts, width].

Rows are of unit length. The languages matter to MAD-X only, which reads each text with its own language's adapter."""


def lareqa_candidates(passages: Sequence[Passage]) -> dict[str, tuple[str, str]]:
    """Candidate id "<passage>_<sentence>" -> (sentence, its passage)."""
    return {f"{p.id}_{i}": (sentence, p.context) for p in passages for i, sentence in enumerate(p.sentences)}


def lareqa_pairs(passages: Sequence[Passage]) -> list[tuple[str, tuple[str, str]]]:
    """Training pairs: question, and (answer sentence, passage)."""
    return [(text, (p.sentences[index], p.context)) for p in passages for _, text, index in p.questions]


def retrieve_lareqa(
    embed: Embed, passages: Mapping[str, Sequence[Passage]], max_length: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """LAReQA in the pool of all languages' sentences, by folder of the submission layout, language and question.

    ``lareqa``: the ``DEPTH`` best candidates. ``lareqa_ranks``: the rank of every right candidate in the whole pool.
    """
    candidates = lareqa_candidates([passage for own in passages.values() for passage in own])
    names = list(candidates)
    place = {name: index for index, name in enumerate(names)}
    spoken = [language for language, own in passages.items() for _ in lareqa_candidates(own)]
    pool = embed(list(candidates.values()), max_length - QUERY_TOKENS, "LAReQA candidates", spoken)
    gold = lareqa_gold(passages)
    rankings, placed = {}, {}
    for language, own in passages.items():
        texts = {f"{name}_{language}": text for p in own for name, text, _ in p.questions}
        vectors = embed(list(texts.values()), QUERY_TOKENS, f"LAReQA {language}", [language] * len(texts))
        found, _ = nearest(vectors, pool, DEPTH)
        rankings[language] = {name: [names[i] for i in row] for name, row in zip(texts, found, strict=True)}
        right = [gold[language][name] for name in texts]
        rows = ranks(vectors, pool, [[place[name] for name in row] for row in right])
        placed[language] = {
            name: dict(zip(row, row_ranks, strict=True))
            for name, row, row_ranks in zip(texts, right, rows, strict=True)
        }
    return {"lareqa": rankings, "lareqa_ranks": placed}


def rank_lareqa(
    embed: Embed, passages: Mapping[str, Sequence[Passage]], max_length: int
) -> dict[str, dict[str, list[str]]]:
    """For each language and question the ``DEPTH`` best candidates of the pool of all languages' sentences."""
    return retrieve_lareqa(embed, passages, max_length)["lareqa"]


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


def split_pairs(records: Sequence[Mention | CandidateEntity]) -> tuple[list[Mention], dict[str, CandidateEntity]]:
    """Mewsli-X pairs as read (mentions, then their entities) as a list and a mapping by entity id."""
    mentions = [record for record in records if isinstance(record, Mention)]
    return mentions, {record.id: record for record in records if isinstance(record, CandidateEntity)}


def mewslix_pairs(records: Sequence[Mention | CandidateEntity], language: str = "en") -> list[tuple[str, str]]:
    """Training pairs: mention in context, and description of its entity."""
    mentions, entities = split_pairs(records)
    return [(mention_text(m, language), entity_text(entities[m.entity])) for m in mentions if m.entity is not None]


def rank_mewslix(
    embed: Embed, mentions: Mapping[str, Sequence[Mention]], entities: Sequence[CandidateEntity], max_length: int
) -> dict[str, dict[str, list[str]]]:
    """For each language and mention the ``DEPTH`` best entities of the one candidate set."""
    described = [entity.language for entity in entities]
    pool = embed([entity_text(entity) for entity in entities], max_length, "Mewsli-X candidates", described)
    rankings = {}
    for language, own in mentions.items():
        texts = [mention_text(m, language) for m in own]
        found, _ = nearest(embed(texts, max_length, f"Mewsli-X {language}", [language] * len(own)), pool, DEPTH)
        rankings[language] = {m.id: [entities[i].id for i in row] for m, row in zip(own, found, strict=True)}
    return rankings


def match_tatoeba(
    embed: Embed, bitexts: Mapping[str, ParallelText], max_length: int
) -> dict[str, dict[str, list[int]]]:
    """The nearest sentence of the other side of the same file, by folder of the submission layout and language.

    ``tatoeba``: for each English sentence the index of the nearest foreign one, the direction XTREME scores
    (``evaluate_retrieval.py``: the foreign sentences are the index, the English ones are looked up).
    ``tatoeba_into_english``: for each foreign sentence the index of the nearest English one (LASER, MTEB).
    """
    sides = [(code, text) for code, b in bitexts.items() for text in b.source]
    sides = list(dict.fromkeys([*sides, *(("en", text) for b in bitexts.values() for text in b.target)]))
    found = embed([text for _, text in sides], max_length, "Tatoeba", [language for language, _ in sides])
    vectors = dict(zip(sides, found, strict=True))
    official, into_english = {}, {}
    for language, bitext in bitexts.items():
        source = np.stack([vectors[language, text] for text in bitext.source])
        target = np.stack([vectors["en", text] for text in bitext.target])
        official[language] = nearest(target, source, 1)[0][:, 0].tolist()
        into_english[language] = nearest(source, target, 1)[0][:, 0].tolist()
    return {"tatoeba": official, "tatoeba_into_english": into_english}


def mine_bucc(
    embed: Embed, test: Mining, tuning: Mining | None, max_length: int, language: str, rule: MiningRule
) -> set[tuple[str, str]]:
    """The pairs of one BUCC collection above the threshold that is best on the training split (or on itself).

    ``language`` is that of the foreign side; the other one is English.
    """
    chosen = tuning if tuning is not None else test
    if chosen.gold is None:
        raise ValueError("the threshold needs a split with gold pairs")
    scored = _scored(embed, test, max_length, language, rule)
    tuned = scored if chosen is test else _scored(embed, chosen, max_length, language, rule)
    return keep(scored, best_threshold(tuned, chosen.gold)) if tuned else set()


def _scored(
    embed: Embed, collection: Mining, max_length: int, language: str, rule: MiningRule
) -> dict[tuple[str, str], float]:
    source, source_ids = distinct_sentences(collection.source)
    target, target_ids = distinct_sentences(collection.target)
    foreign = embed(source, max_length, f"BUCC {language}", [language] * len(source))
    english = embed(target, max_length, f"BUCC {language}, English side", ["en"] * len(target))
    mined = mine(foreign, english, rule.score, rule.neighbours)
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
