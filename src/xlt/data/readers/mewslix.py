"""Mewsli-X: mentions in documents, candidate entities, and mention-entity pairs for training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xlt.data.readers.answers import true_match
from xlt.data.readers.faults import Faulty, examples, mended
from xlt.data.readers.files import field, json_lines
from xlt.data.records import CandidateEntity, Mention
from xlt.errors import InputError

CANDIDATES = "candidate_set_entities.jsonl"


def _mention(
    context: dict[str, Any], row: dict[str, Any], path: Path, line: int, name: str, entity: str | None
) -> Mention:
    """A mention whose span must hold the text that the file says it holds."""
    text = field(context, "text", str, path, line)
    span = field(row, "mention_span", dict, path, line)
    start, end = field(span, "start", int, path, line), field(span, "end", int, path, line)
    given = field(span, "text", str, path, line)
    if not 0 <= start < end or text[start:end] != given:
        got = text[start:end] if start >= 0 else ""
        true = true_match(text, given, start)
        message = f"mention {name}: expected {given[:60]!r} at characters {start} to {end}, got {got[:60]!r}"
        error = Faulty(
            true.kind.replace("answers", "mentions"), f"{message}; {true.explanation}", path, line, f"mention {name}"
        )
        span = mended(error, true.span)
        start, end = span.start, span.start + len(span.text)
    touched = [(a, b) for a, b in _sentences(context, text, path, line) if a < end and start < b]
    return Mention(name, text, start, end, entity, (touched[0][0], touched[-1][1]) if touched else None)


def _sentences(owner: dict[str, Any], text: str, path: Path, line: int) -> list[tuple[int, int]]:
    """The ``sentence_spans`` of a context or an entity, in characters of ``text``; none where the file has none."""
    spans = []
    given_spans = owner.get("sentence_spans") or []
    if not isinstance(given_spans, list):
        raise InputError(f"expected 'sentence_spans' to be list, got {type(given_spans).__name__}", path, line)
    for given in given_spans:
        start, end = (given.get(key) if isinstance(given, dict) else None for key in ("start", "end"))
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
            message = f"sentence_spans: expected start and end below {len(text)}, got {str(given)[:60]}"
            raise InputError(message, path, line)
        spans.append((start, end))
    return spans


def mewslix_mentions(path: Path, language: str) -> list[Mention]:
    """The mentions of one language in a file with all of them, one document a line.

    Raises:
        InputError: no document in this language; a mention that does not stand at its offsets.
    """
    mentions: list[Mention] = []
    seen = set()
    for number, row in json_lines(path):
        context = field(row, "context", dict, path, number)
        seen.add(field(context, "language", str, path, number))
        if context["language"] != language:
            continue

        def mention(given: dict[str, Any], context: dict[str, Any] = context, number: int = number) -> Mention:
            name = field(given, "example_id", str, path, number)
            entity = field(given, "entity_id", str, path, number) if "entity_id" in given else None
            return _mention(context, given, path, number, name, entity)

        mentions += examples(field(row, "mentions", list, path, number), mention)
    if not mentions:
        raise InputError(f"expected mentions in language {language}, got {', '.join(sorted(seen))}", path)
    return mentions


def _entity(row: dict[str, Any], path: Path, line: int) -> CandidateEntity:
    name, title, description, language = (
        field(row, key, str, path, line) for key in ("entity_id", "title", "description", "description_language")
    )
    sentences = [description[start:end] for start, end in _sentences(row, description, path, line)]
    return CandidateEntity(name, title, " ".join(sentences) or description, language)


def mewslix_candidates(path: Path) -> list[CandidateEntity]:
    """The candidate set beside a mentions file: every entity that may be retrieved, about a million."""
    found = path.with_name(CANDIDATES)
    entities = []
    seen = set()
    for number, row in json_lines(found):
        entity = _entity(row, found, number)
        if entity.id in seen:
            raise InputError(f"expected each entity once, got {entity.id} twice", found, number)
        seen.add(entity.id)
        entities.append(entity)
    return entities


def mewslix_pairs(path: Path, language: str) -> list[Mention | CandidateEntity]:
    """Training pairs: all mentions in file order, then each entity that they name, once.

    A mention's ``entity`` is the ``id`` of its entity. The pairs are English (the language is not looked at).
    """

    def pair(row: tuple[int, dict[str, Any]]) -> tuple[Mention, CandidateEntity]:
        number, value = row
        contextual = field(value, "contextual_mention", dict, path, number)
        entity = _entity(field(value, "entity", dict, path, number), path, number)
        context = field(contextual, "context", dict, path, number)
        given = field(contextual, "mention", dict, path, number)
        name = str(given.get("example_id", number - 1))
        return _mention(context, given, path, number, name, entity.id), entity

    pairs = list(examples(json_lines(path), pair))
    entities: dict[str, CandidateEntity] = {}
    for _, entity in pairs:
        entities.setdefault(entity.id, entity)
    return [*(mention for mention, _ in pairs), *entities.values()]
