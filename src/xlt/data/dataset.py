"""From files to the records of a split: which files are there, which reader takes them, and the caps of a profile."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from xlt import languages
from xlt.config.benchmark import OnError, Source
from xlt.config.run_config import FileSet
from xlt.data.overlap import texts_of
from xlt.data.readers import BITEXT, COMPANIONS, FORMATS, LABELLED, MINING, READERS
from xlt.data.readers.faults import collected, reading
from xlt.data.readers.files import Labels
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

T = TypeVar("T")
_FIELDS = frozenset({"lang", "lang3", "language_name", "split", "question_lang"})


@dataclass(frozen=True)
class Located:
    """The alternative that was found: its files in name order (one, unless its pattern holds a ``*``)."""

    path: str
    format: str
    files: tuple[Path, ...]
    on_error: OnError = "refuse"

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
    data: Path, sources: Sequence[Source], *, language: str, split: str, question_language: str | None = None
) -> Located | None:
    """The first alternative for the language of which a file exists below ``data``; None when there is none.

    Raises:
        InputError: a source names a format that has no reader, or an unknown placeholder.
    """
    for source in sources:
        if source.languages is not None and language not in source.languages:
            continue
        if source.format not in FORMATS:
            raise InputError(f"source {source.path!r}: expected a format of {', '.join(sorted(FORMATS))}")
        if source.on_error != "refuse" and source.format in (*BITEXT, *MINING):
            raise InputError(
                f"source {source.path!r}: expected on_error refuse: lines of {source.format} belong together"
            )
        pattern = expand(source.path, language=language, split=split, question_language=question_language)
        found = visible(data, pattern) if "*" in pattern else [data / pattern]
        if files := tuple(path for path in found if path.is_file()):
            return Located(pattern, source.format, files, source.on_error)
    return None


def read(located: Located, language: str, labels: Labels = None) -> list[Record] | ParallelText | Mining:
    """Read what was located; several files are read in order, and ids then begin with the file's number from 1.

    Raises:
        InputError: a file is not in its format; a label is not among ``labels`` (None: any); no example is left; more than
            one per cent of the examples of a file are bad where ``on_error`` lets some pass.
    """
    if located.format in BITEXT:
        return BITEXT[located.format](located.files[0], language)
    if located.format in MINING:
        return MINING[located.format](located.files[0], language)
    records: list[Record] = []
    for number, path in enumerate(located.files, start=1):
        with reading(path, located.on_error):
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


def labelled(records: Any) -> bool:
    """Whether a split can be scored: every pair, choice, sentence and mention has its label, tags or entity.

    Of questions and passages one with an answer is enough: SQuAD 2.0 has unanswerable questions, whereas XTREME's
    blanked files have no answer at all. Aligned texts are their own gold; a collection to mine has a gold file or none.
    """
    if isinstance(records, ParallelText):
        return True
    if isinstance(records, Mining):
        return records.gold is not None
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


def located(data: Path, files: FileSet) -> Located:
    """The files of a planned split, as the readers take them."""
    return Located(files.files[0], files.format, tuple(data / path for path in files.files), files.on_error)


def load_split(data: Path, files: FileSet, language: str, labels: Labels) -> Any:
    """All records of a planned split (or its texts to search), without those the config skips or keeps apart from others."""
    records = read(located(data, files), language, labels)
    if isinstance(records, ParallelText | Mining):
        return records
    end = None if files.take is None else files.skip + files.take
    records = records[files.skip : end]
    if not files.apart:
        return records
    with collected():  # of their own account
        others = [load_split(data, other, code, None) for code, found in files.apart.items() for other in found]
    left_out = frozenset[str]().union(*map(texts_of, others))
    return [record for record in records if left_out.isdisjoint(texts_of([record]))]


def left_out(data: Path, files: FileSet, language: str, labels: Labels) -> int:
    """How many records of a planned split are left out because they share a sentence with what they are kept apart from."""
    if not files.apart:
        return 0
    every = load_split(data, files.model_copy(update={"apart": {}}), language, labels)
    return len(every) - len(load_split(data, files, language, labels))


def load_entities(data: Path, files: FileSet) -> list[Any]:
    """The candidate entities that go with Mewsli-X mentions."""
    return list(read_candidates(located(data, files)))


def truly_labelled(records: Any) -> Any:
    """Without PAWS-X's untranslated rows, whose label is no truth. All other records as they are."""
    if isinstance(records, list):
        return [record for record in records if not (isinstance(record, Pair) and record.untranslated)]
    return records


def usable(records: Any) -> Any:
    """What is trained on: truly labelled, without pairs of which a sentence is empty. All other records as they are."""
    return without_empty(truly_labelled(records))


def without_empty(records: Any) -> Any:
    """Without pairs of which a sentence has no text."""
    if isinstance(records, list):
        return [record for record in records if not (isinstance(record, Pair) and record.empty)]
    return records


def sample(records: Sequence[T], cap: int | None) -> list[T]:
    """A capped training set: ``cap`` records drawn once and for all, in file order.

    Files may be sorted by label, so the first ones would not do; every seed of a run trains on the same records.
    """
    if cap is None or cap >= len(records):
        return list(records)
    return [records[i] for i in sorted(random.Random(cap).sample(range(len(records)), cap))]


def first(records: Any, cap: int | None) -> Any:
    """A capped evaluation set: the first ``cap`` records, so that parallel languages keep the same examples."""
    if cap is None:
        return records
    if isinstance(records, ParallelText):
        gold = records.gold[:cap]
        kept = sorted(set(gold))
        place = {old: new for new, old in enumerate(kept)}
        return ParallelText(records.source[:cap], tuple(records.target[i] for i in kept), tuple(place[i] for i in gold))
    if isinstance(records, Mining):
        return _first_pairs(records, cap)
    return records[:cap]


def _first_pairs(collection: Mining, cap: int) -> Mining:
    """A smaller collection: the first ``cap`` gold pairs and nine times as many other sentences of each side."""
    gold = sorted(collection.gold or ())[:cap]
    sides = []
    for side, names in ((collection.source, {s for s, _ in gold}), (collection.target, {t for _, t in gold})):
        others = [name for name in side if name not in names][: 9 * cap]
        kept = names.union(others)
        sides.append({name: text for name, text in side.items() if name in kept})
    return Mining(sides[0], sides[1], frozenset(gold) if collection.gold is not None else None)


def answerable(records: Any) -> Any:
    """Questions with a gold answer; the QA tasks of XTREME have no others. All other records as they are."""
    if isinstance(records, list) and records and isinstance(records[0], Question):
        return [record for record in records if record.answers]
    return records
