"""Pairs of languages: the first text of an example in one language, the second in another, joined by the example's id.

The generalized setting of Huang et al. 2021 (sentence pairs; ``test-{a}-{b}.tsv`` in its released code) and of Lewis et
al. 2020 (G-XLT: question and passage). Sentence 1 or the passage is in the first language of a pair "de-fr", sentence 2
or the question in the second. For LAReQA the first is the language of the answers, the second that of the question.

Nothing is joined by line number, with one exception that a config has to ask for by naming the format: XTREME's processed
XNLI and PAWS-X have lost the ids. Their rows are joined only if both files have the same number of rows and the same
label on every row, which a lost, added or moved row would upset.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from xlt.config.run_config import Evaluation
from xlt.data.dataset import answerable, first, labelled, load_split
from xlt.data.readers.files import lines
from xlt.data.records import Passage
from xlt.errors import InputError

_log = logging.getLogger(__name__)
ID_COLUMNS = {"xnli-tsv": {"pairID", "id", "index"}, "pawsx-tsv": {"id", "pairID", "index"}, "pair-tsv": set[str]()}
"""Of the formats of sentence pairs, the columns that hold an id; without one their readers number the rows."""
NAMED = 5
"""Ids without a counterpart that a warning names."""

T = TypeVar("T")


def split_pair(code: str) -> tuple[str, str]:
    """The two languages of a pair: "de-fr" is de and fr."""
    first_language, _, second = code.partition("-")
    return first_language, second


def pairs_of(languages: Sequence[str]) -> list[str]:
    """All ordered pairs, a language with itself included, first languages in order."""
    return [f"{a}-{b}" for a in languages for b in languages]


@dataclass(frozen=True)
class Half:
    """One language of a pair: its records, whether their ids are row numbers only, and the file for messages."""

    records: Sequence[Any]
    path: Path
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """LAReQA in one pair of languages: (query id, question, id of the right candidate), and the passages searched."""

    queries: tuple[tuple[str, str, str], ...]
    passages: tuple[Passage, ...]

    @property
    def gold(self) -> dict[str, list[str]]:
        """The right candidate of each query."""
        return {name: [right] for name, _, right in self.queries}


@dataclass(frozen=True)
class Joined:
    """What a pair of languages has in common, and the ids that only one of them has."""

    examples: Any
    unpaired: Sequence[str]


def keyed(items: Iterable[tuple[str, T]], path: Path) -> dict[str, T]:
    """Records by example id.

    Raises:
        InputError: an id twice, so that nothing tells which of its records belongs to the other language's.
    """
    found: dict[str, T] = {}
    for name, record in items:
        if name in found:
            raise InputError(f"expected each example id once, got {name} twice", path)
        found[name] = record
    return found


def _common(left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The ids in both, in the first's order, and the ids in one only."""
    common = [name for name in left if name in right]
    return common, [name for name in left if name not in right] + [name for name in right if name not in left]


def numbered(path: Path, form: str) -> bool:
    """Whether the ids of a file's records are the numbers of its rows, because it has no ids of its own."""
    if form not in ID_COLUMNS:
        return False
    _, header = next(lines(path))
    return not ID_COLUMNS[form] & set(header.split("\t"))


def join_pairs(left: Half, right: Half) -> Joined:
    """Sentence 1 of ``left`` with sentence 2 of ``right``; pairs with an untranslated or empty sentence count as not there.

    Raises:
        InputError: no common id, or labels that differ: a translation keeps the label, so these are not two languages of
            one example.
    """
    if left.numbered or right.numbered:
        _check_parallel(left, right)
    kept = [[(r.id, r) for r in half.records if not (r.untranslated or r.empty)] for half in (left, right)]
    one, two = keyed(kept[0], left.path), keyed(kept[1], right.path)
    common, unpaired = _common(one, two)
    if not common:
        raise InputError(
            f"expected example ids of {right.path}, got none in common; take both from one source", left.path
        )
    for name in common:
        given, other = one[name].label, two[name].label
        if given != other:
            message = f"example {name}: expected the label of {right.path}, {other}, got {given}"
            raise InputError(f"{message}; take both from one source", left.path)
    return Joined([replace(one[name], text_b=two[name].text_b) for name in common], unpaired)


def _check_parallel(left: Half, right: Half) -> None:
    """Raises InputError unless rows that have no ids are the same examples: as many, labelled alike row by row."""
    if left.numbered != right.numbered:
        without, other = (left, right) if left.numbered else (right, left)
        raise InputError(f"expected ids as in {other.path}, got none; take both from one source", without.path)
    if len(left.records) != len(right.records):
        message = f"expected {len(right.records)} rows, as many as {right.path}, got {len(left.records)}"
        raise InputError(f"{message}; without ids only parallel files can be paired", left.path)
    for row, (one, other) in enumerate(zip(left.records, right.records, strict=True), start=1):
        if one.label != other.label and not one.untranslated and not other.untranslated:
            message = f"expected the label of the same row of {right.path}, {other.label}, got {one.label}"
            raise InputError(f"{message}; without ids only parallel files can be paired", left.path, row)


def join_questions(passages: Half, questions: Half) -> Joined:
    """Passages, with their answers, of one language, and the questions of another.

    None may be in both: MLQA's questions are in four of its seven languages on average.
    """
    left = keyed(((r.id, r) for r in passages.records), passages.path)
    right = keyed(((r.id, r) for r in questions.records), questions.path)
    common, unpaired = _common(left, right)
    return Joined([replace(left[name], question=right[name].question) for name in common], unpaired)


def join_passages(answers: Half, questions: Half) -> Joined:
    """LAReQA: questions of one language, each to be answered by a sentence of the other language's passages.

    A query's id is "<question id>_<language>" and a candidate's "<passage>_<sentence>", as in the task itself.
    """
    placed = ((name, f"{p.id}_{place}") for p in answers.records for name, _, place in p.questions)
    asked_in = ((name, (_query(name, p), text)) for p in questions.records for name, text, _ in p.questions)
    right, asked = keyed(placed, answers.path), keyed(asked_in, questions.path)
    common, unpaired = _common(asked, right)
    queries = tuple((*asked[name], right[name]) for name in common)
    return Joined(Search(queries, tuple(answers.records)), unpaired)


def _query(name: str, passage: Passage) -> str:
    """The query id of a question asked in a passage's language, which its id begins with: "ar_3"."""
    return f"{name}_{passage.id.rpartition('_')[0]}"


JOIN: dict[str, Callable[[Half, Half], Joined]] = {
    "classification": join_pairs,
    "span": join_questions,
    "lareqa": join_passages,
}


def read_pairs(evaluation: Evaluation, data: Path) -> tuple[dict[str, Any], list[str], dict[str, int]]:
    """The capped examples of each language pair of a task, the pairs whose gold is withheld, and how many ids are unpaired.

    A pair whose owner publishes a file of its own (MLQA) is read from it. LAReQA's cap counts passages, of each language.
    A pair without a common question has no examples and is not listed.

    Raises:
        InputError: what the readers and joins refuse.
    """
    task, cap = evaluation.task, evaluation.caps.test
    halves = {
        code: Half(
            load_split(data, files, split_pair(code)[0], task.known_labels),
            data / files.files[0],
            numbered(data / files.files[0], files.format),
        )
        for code, files in evaluation.files.items()
    }
    examples: dict[str, Any] = {}
    withheld, unpaired = [], {}
    for code in evaluation.pairs:
        own = [halves[code]] if code in halves else [halves[language] for language in split_pair(code)]
        if not all(labelled(half.records) for half in own):
            withheld.append(code)
            continue
        if task.family == "lareqa":
            own = [replace(half, records=first(half.records, cap)) for half in own]
        joined = Joined(own[0].records, ()) if len(own) == 1 else JOIN[task.family](own[0], own[1])
        found = joined.examples if task.family == "lareqa" else first(answerable(joined.examples), cap)
        if found.queries if isinstance(found, Search) else found:
            examples[code] = found
        unpaired[code] = len(joined.unpaired)
        _report(code, joined.unpaired, own)
    return examples, withheld, unpaired


def _report(code: str, unpaired: Sequence[str], halves: Sequence[Half]) -> None:
    if unpaired:
        named = ", ".join(unpaired[:NAMED]) + (", ..." if len(unpaired) > NAMED else "")
        files = " and ".join(str(half.path) for half in halves)
        _log.warning("%s: left out %d examples without a counterpart in %s: %s", code, len(unpaired), files, named)
