"""Data augmentation with synonyms, RS-DA (Huang et al. 2021, section 3.2), as the released ``perturb.py`` does it.

Text is split on single spaces and every word is looked up as it stands (case and glued punctuation count), then replaced
by a uniform draw from itself and its neighbours: a word with m neighbours stays with probability 1 / (m + 1). An example
becomes N copies with its label, drawn independently, the texts of an example independently of each other; there is no
clean copy beside them. The released script handles sentence pairs and draws without a seed; the other families
here extend it, and draws are seeded.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xlt.data.readers.files import json_document
from xlt.data.records import AnswerSpan, CandidateEntity, Choice, Mention, Pair, Passage, Question, Record, Tagged
from xlt.data.word_lists import read_lexicon
from xlt.errors import InputError

Neighbours = Mapping[str, Sequence[str]]
"""Word -> words that may stand in for it."""


def load_neighbours(paths: Sequence[Path], form: str = "neighbours") -> Neighbours:
    """Read what may stand in for a word.

    ``neighbours``: one JSON object of word -> list of words (``counterfitted_neighbors.json`` of Robust-XLT, or any like it).
    ``lexicon-tsv``: word lists of several languages; an English word has its translations in all of them beside it, so that
    text whose words are redrawn is code-switched (Qin et al. 2020, CoSDA-ML).

    Raises:
        InputError: a file is absent or not of that form.
    """
    if form == "lexicon-tsv":
        switched: dict[str, list[str]] = {}
        for pair in (pair for path in paths for pair in read_lexicon([(path, form)], "").pairs):
            switched.setdefault(pair.english, []).append(pair.word)
        return switched
    (path,) = paths
    value, _ = json_document(path)
    if not isinstance(value, dict):
        raise InputError(f"expected a JSON object of word -> list of words, got {type(value).__name__}", path)
    for word, others in value.items():
        if not isinstance(others, list) or not all(isinstance(other, str) for other in others):
            raise InputError(f"expected a list of words for {word!r}, got {str(others)[:60]}", path)
    return value


def augment(records: Sequence[Record], neighbours: Neighbours, copies: int, seed: int) -> list[Record]:
    """``copies`` noisy copies of each training record in place of it (equal ones without neighbours); same seed, same copies.

    Candidate entities (Mewsli-X) and candidate passages (LAReQA) stay as they are: they are what a query is matched
    with, and copies of one right answer must remain equal, or each would count as a wrong answer to the others' queries.
    """
    rng = random.Random(seed)
    copied: list[Record] = []
    for record in records:
        if isinstance(record, CandidateEntity):
            copied.append(record)
        else:
            copied.extend(noisy_record(record, neighbours, rng) for _ in range(copies))
    return copied


def noisy_record(record: Any, neighbours: Neighbours, rng: random.Random) -> Record:
    """One copy of a record with its words redrawn; labels, tags and answer texts are kept."""

    def noisy(text: str) -> str:
        return " ".join(redraw(text.split(" "), neighbours, rng))

    match record:
        case Pair():
            return replace(record, text_a=noisy(record.text_a), text_b=noisy(record.text_b))
        case Choice():
            return replace(record, prompt=noisy(record.prompt), options=tuple(map(noisy, record.options)))
        case Tagged():
            return replace(record, words=tuple(redraw(record.words, neighbours, rng)))
        case Question():
            return _noisy_question(replace(record, question=noisy(record.question)), neighbours, rng)
        case Passage():
            return replace(
                record, questions=tuple((name, noisy(text), index) for name, text, index in record.questions)
            )
        case Mention():
            return _noisy_mention(record, neighbours, rng)
    raise TypeError(f"no augmentation for {type(record).__name__}")


def redraw(words: Sequence[str], neighbours: Neighbours, rng: random.Random) -> list[str]:
    """Each word replaced by a uniform draw from itself and its neighbours."""
    return [rng.choice([word, *neighbours[word]]) if neighbours.get(word) else word for word in words]


def redraw_around(
    text: str, spans: Sequence[tuple[int, int]], neighbours: Neighbours, rng: random.Random
) -> tuple[str, list[int]]:
    """Redraw the words of a text that no span touches, and find where the spans start afterwards.

    Args:
        text: words with single spaces between them.
        spans: (start, end) in characters; a word that overlaps one is kept whole.
        neighbours: what a word may become.
        rng: where draws come from.

    Returns:
        The new text, and the new start of each span; their texts are unchanged.
    """
    words: list[str] = []
    starts = [start for start, _ in spans]
    position = 0
    for word in text.split(" "):
        end = position + len(word)
        kept = any(first < end and position < last for first, last in spans)
        words.append(word if kept else redraw([word], neighbours, rng)[0])
        for number, (first, _) in enumerate(spans):
            if end <= first:
                starts[number] += len(words[-1]) - len(word)
        position = end + 1
    return " ".join(words), starts


def _noisy_mention(record: Mention, neighbours: Neighbours, rng: random.Random) -> Mention:
    first, last = record.sentence or (0, len(record.text))
    before, rest = redraw_around(record.text[:first], [], neighbours, rng)[0], record.text[first:last]
    text, (start,) = redraw_around(rest, [(record.start - first, record.end - first)], neighbours, rng)
    start += len(before)
    sentence = None if record.sentence is None else (len(before), len(before) + len(text))
    text = before + text + redraw_around(record.text[last:], [], neighbours, rng)[0]
    return replace(record, text=text, start=start, end=start + record.end - record.start, sentence=sentence)


def _noisy_question(record: Question, neighbours: Neighbours, rng: random.Random) -> Question:
    spans = [(answer.start, answer.start + len(answer.text)) for answer in record.answers]
    context, starts = redraw_around(record.context, spans, neighbours, rng)
    answers = tuple(AnswerSpan(answer.text, start) for answer, start in zip(record.answers, starts, strict=True))
    return replace(record, context=context, answers=answers)
