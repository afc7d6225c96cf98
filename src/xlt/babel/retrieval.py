"""Sentence retrieval (Tatoeba), bitext mining (BUCC) and entity linking (Mewsli-X)."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from xlt.babel.context import Babel
from xlt.babel.grammar import Clause, Phrase, Token, join, text_of
from xlt.babel.language import SOURCE
from xlt.babel.world import NamedEntity, Storyteller, refer


def sentences(babel: Babel, task: str, count: int, split: str = "test") -> list[Clause]:
    """Distinct sentences, some of which differ from another in one part only."""
    teller = babel.teller(task, split)
    last: list[Clause] = []

    def draw() -> Clause:
        clause = teller.clause(optional=0.5)
        if last and teller.chance(0.6):
            clause = replace(last[-1], subject=clause.subject, time=clause.time or last[-1].time)
        last.append(clause)
        return clause

    return babel.fresh(task, count, draw, lambda clause: (clause,))


def bucc(babel: Babel, split: str, language: str, count: int) -> list[list[tuple[str, str]]]:
    """Two comparable collections of ``count`` numbered sentences each, two in five with their translation; the gold pairs."""
    shared = 2 * count // 5
    clauses = sentences(babel, f"bucc-{split}-{language}", 2 * count - shared)
    rng = babel.rng("bucc", split, language)
    ids: list[dict[int, str]] = []
    files = []
    for code, begin in ((language, 0), (SOURCE, count - shared)):
        side = [
            (index, babel.say(clause, code, "bucc", index))
            for index, clause in enumerate(clauses[begin : begin + count], begin)
        ]
        rng.shuffle(side)
        ids.append({index: f"{code}-{position:09d}" for position, (index, _) in enumerate(side, start=1)})
        files.append([(ids[-1][index], text) for index, text in side])
    gold = sorted((ids[0][index], ids[1][index]) for index in ids[0] if index in ids[1])
    return [*files, gold]


def entity_record(babel: Babel, entity: NamedEntity, language: str) -> dict[str, Any]:
    """A candidate of Mewsli-X: title and description of an entity in one language."""
    speaker = babel.speaker(language, "entity", entity.id)
    name = speaker.phrase(refer(entity, random.Random(0), full=1.0), "S")
    role = speaker.phrase(Phrase(entity.trait, article="a"), "C") if entity.kind != "ORG" else []
    home: list[Token] = []
    if entity.home:
        home = speaker.adpositional("from", speaker.phrase(Phrase(name=(entity.home,), kind="LOC"), "P"), "P")
    description = text_of([*name, *role, *home])
    return {
        "entity_id": entity.id,
        "title": text_of(name),
        "description": description,
        "sentence_spans": [{"start": 0, "end": len(description)}],
        "description_language": language,
        "description_url": f"https://babel.invalid/{language}/{entity.id}",
    }


@dataclass(frozen=True, slots=True)
class MentionMeaning:
    """Clauses about an entity; the first names it, the others tell its trait and home."""

    entity: NamedEntity
    clauses: tuple[Clause, ...]


def mention(teller: Storyteller) -> MentionMeaning:
    """A mention that its context makes clear: the short name alone is shared by several entities."""
    rng = teller.rng
    entity = rng.choice(teller.world.entities)
    named = refer(entity, rng, full=0.25)
    if entity.kind == "PER":
        first = teller.clause(named, optional=0.3)
        trait = teller.clause(Phrase(entity.trait), optional=0.3)
    elif entity.kind == "LOC":
        first = replace(teller.clause(teller.person(0.0), optional=0.3), place=named, preposition="in")
        trait = Clause("be", Phrase(entity.trait), state=teller.state(Phrase("home")).state)
    else:
        first = teller.clause(named, optional=0.3, frame="thing")
        trait = teller.clause(named, optional=0.3, frame="thing")
    if entity.home:
        trait = replace(trait, place=Phrase(name=(entity.home,), kind="LOC"), preposition="in")
    return MentionMeaning(entity, (first, trait))


def mention_record(babel: Babel, meaning: MentionMeaning, language: str, key: str) -> dict[str, Any]:
    """A context with its one mention, as Mewsli-X writes it."""
    speaker = babel.speaker(language, "mention", key)
    slot = "P" if meaning.entity.kind == "LOC" else "S"
    first = speaker.sentence(meaning.clauses[0])
    spans = join(first)[1]
    named = [span for token, span in zip(first, spans, strict=True) if token.slot == slot]
    start, end = named[0][0], named[-1][1]
    text = text_of(first)
    breaks = [{"start": 0, "end": len(text)}]
    for clause in meaning.clauses[1:]:
        begin = len(text) + 1
        text += " " + text_of(speaker.sentence(clause))
        breaks.append({"start": begin, "end": len(text)})
    document = f"{language}-{key}"
    context = {
        "document_title": f"Report {key}",
        "document_url": f"https://babel.invalid/{document}",
        "document_id": document,
        "language": language,
        "text": text,
        "sentence_spans": breaks,
    }
    span = {"start": start, "end": end, "text": text[start:end]}
    found = {"example_id": document, "mention_span": span, "entity_id": meaning.entity.id, "metadata": {}}
    return {"context": context, "mentions": [found]}


def pair_record(babel: Babel, meaning: MentionMeaning, key: str) -> dict[str, Any]:
    """A training pair of Mewsli-X: a mention in its context and the entity it means."""
    record = mention_record(babel, meaning, SOURCE, key)
    contextual = {"context": record["context"], "mention": record["mentions"][0]}
    return {"contextual_mention": contextual, "entity": entity_record(babel, meaning.entity, SOURCE)}


def mentions(babel: Babel, split: str, count: int) -> list[MentionMeaning]:
    """Mentions of a split."""
    teller = babel.teller("mewslix", split)
    return babel.fresh("mewslix", count, lambda: mention(teller), lambda made: made.clauses[:1])
