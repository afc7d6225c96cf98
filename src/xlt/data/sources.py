"""From a config's list of sources to records: which files are there, which reader takes them."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from xlt import languages
from xlt.data.readers import BITEXT, COMPANIONS, FORMATS, LABELLED, MINING, READERS
from xlt.data.readers.mewslix import mewslix_candidates
from xlt.data.records import (
    CandidateEntity,
    Choice,
    Mention,
    Mining,
    Pair,
    ParallelText,
    Passage,
    Question,
    Record,
    Tagged,
)
from xlt.errors import InputError
from xlt.names import visible

_FIELDS = frozenset({"lang", "lang3", "language_name", "split", "question_lang"})


class SourceLike(Protocol):
    """One alternative of a config: a path pattern below the data folder and the name of the format."""

    @property
    def path(self) -> str:
        """The path pattern below the data folder."""

    @property
    def format(self) -> str:
        """The name of the reader."""


S = TypeVar("S", bound=SourceLike)


@dataclass(frozen=True)
class Located:
    """The alternative that was found: its files in name order (one, unless its pattern holds a ``*``)."""

    path: str
    format: str
    files: tuple[Path, ...]

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that reading touches and that is there: ``files`` and those read beside them, for hashing."""
        beside = [find(path) for path in self.files for find in COMPANIONS.get(self.format, ())]
        return (*self.files, *(path for path in dict.fromkeys(beside) if path.is_file()))


def expand(pattern: str, *, language: str, split: str, question_language: str | None = None) -> str:
    """Fill in a path pattern.

    ``{lang}`` is the code ("sw"), ``{lang3}`` Tatoeba's ("swh"), ``{language_name}`` the English name in lower case
    ("swahili"), ``{split}`` the split, ``{question_lang}`` the question's language (MLQA), by default the same.
    """
    names = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
    if unknown := names - _FIELDS:
        raise InputError(
            f"source {pattern!r}: expected {', '.join(sorted(_FIELDS))} in braces, got {', '.join(unknown)}"
        )
    values = {"lang": language, "split": split, "question_lang": question_language or language}
    if "lang3" in names:
        values["lang3"] = languages.tatoeba_code(language)
    if "language_name" in names:
        values["language_name"] = languages.name(language).lower()
    return pattern.format(**values)


def locate(
    data: Path, sources: Sequence[S], *, language: str, split: str, question_language: str | None = None
) -> Located | None:
    """The first alternative of which a file exists below ``data``; None when there is none.

    Raises:
        InputError: a source names a format that has no reader, or an unknown placeholder.
    """
    for source in sources:
        if source.format not in FORMATS:
            raise InputError(f"source {source.path!r}: expected a format of {', '.join(sorted(FORMATS))}")
        pattern = expand(source.path, language=language, split=split, question_language=question_language)
        found = visible(data, pattern) if "*" in pattern else [data / pattern]
        files = tuple(path for path in found if path.is_file())
        if files:
            return Located(pattern, source.format, files)
    return None


def read(located: Located, language: str, labels: Sequence[str] | None = None) -> list[Record] | ParallelText | Mining:
    """Read what was located; several files are read in order, and ids then begin with the file's number from 1.

    Raises:
        InputError: a file is not in its format; a label is not among ``labels`` (None: any); no example is left.
    """
    if located.format in BITEXT:
        return BITEXT[located.format](located.files[0], language)
    if located.format in MINING:
        return MINING[located.format](located.files[0], language)
    records: list[Record] = []
    for number, path in enumerate(located.files, start=1):
        if located.format in LABELLED:
            part: Sequence[Record] = LABELLED[located.format](path, language, labels)
        else:
            part = READERS[located.format](path, language)
        records += part if len(located.files) == 1 else [replace(r, id=f"{number}.{r.id}") for r in part]
    if not records:
        raise InputError("expected examples, got none; download the file again", located.files[0])
    return records


def read_candidates(located: Located) -> list[CandidateEntity]:
    """The candidate entities that go with Mewsli-X's mentions.

    Raises:
        InputError: ``located`` is another format, or the candidate file is not there.
    """
    if located.format != "mewslix-mentions":
        raise InputError(f"expected the format mewslix-mentions, got {located.format}", located.files[0])
    return mewslix_candidates(located.files[0])


def has_gold(records: Sequence[Record]) -> bool:
    """Whether a split can be scored: every pair, choice, sentence and mention has its label, tags or entity.

    Of questions and passages one with an answer is enough: SQuAD 2.0 has unanswerable questions, whereas XTREME's
    blanked files have no answer at all.
    """
    single: list[bool] = []
    answered: list[bool] = []
    for record in records:
        match record:
            case Pair() | Choice():
                single.append(record.label is not None)
            case Tagged():
                single.append(record.tags is not None)
            case Mention():
                single.append(record.entity is not None)
            case Question():
                answered.append(bool(record.answers))
            case Passage():
                answered.append(bool(record.questions))
    return bool(single or answered) and all(single) and (any(answered) or not answered)
