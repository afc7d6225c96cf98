"""Which sentences examples are made of, so that those of one set can be told from those of another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from xlt.data.records import Choice, Mention, Mining, Pair, ParallelText, Passage, Question, Tagged

SPECIAL = re.compile(r"</?s>|<(?:pad|unk|mask)>|\[(?:CLS|SEP|PAD|UNK|MASK)\]")
"""How texts spell the special tokens of XLM-R and BERT."""


def normalised(text: str) -> str:
    """What is compared: compatibility forms made one (NFKC), without case, white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def examples_of(records: Any) -> Iterator[tuple[str, ...]]:
    """The texts of each example: both sentences, prompt and options, the words, question and passage, both translations.

    A pair that was not translated is no example.
    """
    if isinstance(records, ParallelText):
        yield from ((text, records.target[place]) for text, place in zip(records.source, records.gold, strict=True))
    elif isinstance(records, Mining):
        yield from ((text,) for side in (records.source, records.target) for text in side.values())
    else:
        for record in records:
            if not (isinstance(record, Pair) and record.untranslated):
                yield from _texts(record)


def _texts(record: Any) -> Iterator[tuple[str, ...]]:
    match record:
        case Pair():
            yield record.text_a, record.text_b
        case Choice():
            yield record.prompt, *record.options
        case Tagged():
            yield (" ".join(record.words),)
        case Question():
            yield record.question, record.context
        case Passage():
            yield from ((question, record.context) for _, question, _ in record.questions)
        case Mention():
            yield (record.text,)


def texts_of(records: Any) -> frozenset[str]:
    """All texts of all examples, normalised; an empty text is none."""
    return frozenset(own for texts in examples_of(records) for text in texts if (own := normalised(text)))
