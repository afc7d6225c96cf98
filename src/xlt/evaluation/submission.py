"""Predictions and gold labels in XTREME's submission layout: ``<folder>/<task>/test-<language>.<extension>``.

The same readers serve both sides, because a label file looks like a perfect prediction file; only the QA tasks keep
their gold answers in SQuAD's layout (``xlt.families.qa``). ``<language>`` may be a pair (``test-en-de``): for QA the
passage's language, then the question's.

==========  =========================  ==========  =====================================================================
kind        tasks                      extension   content
==========  =========================  ==========  =====================================================================
LABELS      xnli, pawsx                tsv         one label per line
OPTIONS     xcopa                      jsonl       ``{"label": 0}`` or ``{"label": 1}`` per line
TAGS        panx, udpos                tsv         one tag per line, an empty line after each sentence
ANSWERS     xquad, mlqa, tydiqa        json        ``{question id: answer}``; gold: SQuAD layout
RANKINGS    mewslix, lareqa            json        ``{query id: [item id, best first]}``; gold: the right ids
INDICES     tatoeba                    tsv         for each English sentence the 0-based index of the foreign one, per line
PAIRS       bucc2018                   tsv         ``id<TAB>English id`` per line
RANKS       lareqa_ranks               json        ``{query id: {right item id: its rank from 1 in the whole pool}}``
==========  =========================  ==========  =====================================================================
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlt.data.readers.files import short
from xlt.errors import InputError
from xlt.files import to_json, write_atomic

_DIGITS = 12  # of an index; Python refuses to read one of thousands


@dataclass(frozen=True, slots=True)
class FileKind:
    """How the predictions of a language are written: content -> text, and (text, path, what is allowed) -> content.

    ``named``: a file says which example each of its predictions is about. ``may_be_empty``: nothing need be predicted.
    """

    extension: str
    text: Callable[[Any], str]
    parse: Callable[[str, Path, Sequence[Any]], Any]
    named: bool = False
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class TaskFiles:
    """The files of one folder of the layout: its name, their kind, and the labels, tags or options that they may hold."""

    name: str
    kind: FileKind
    allowed: Sequence[Any] = ()

    def path(self, folder: Path, language: str) -> Path:
        """Where the predictions (or labels) of a language (or pair "en-de") lie below ``folder``."""
        return folder / self.name / f"test-{language}.{self.kind.extension}"

    def write(self, folder: Path, language: str, content: Any) -> Path:
        """Write one prediction file, or one label file of any but a QA task, and return its path.

        Args:
            content: by kind: labels, indices, options: one per example; tags: one sequence of tags per sentence; answers:
                question id to text; rankings: query id to item ids, best first; pairs: (id, English id) pairs; ranks: query
                id to the rank of each right item.
        """
        path = self.path(folder, language)
        write_atomic(path, self.kind.text(content))
        return path

    def read(self, path: Path) -> Any:
        """Read a prediction file, or a label file of any but a QA task, into what ``write`` takes.

        Pairs come back as a set. BUCC's file alone may be empty: nothing was mined.

        Raises:
            InputError: the file or a line of it is not what its kind asks for.
        """
        if self.kind.may_be_empty and path.is_file() and not path.stat().st_size:
            return self.kind.parse("", path, self.allowed)
        return self.kind.parse(read_text(path), path, self.allowed)


class Withheld(InputError):
    """A label file that says of no example what is right, as XTREME's download script leaves those of its test sets."""


def read_text(path: Path) -> str:
    """The text of a submission file.

    Raises:
        InputError: the file is absent, empty, or not UTF-8 (with the line).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError("expected this file, there is none", path) from None
    except OSError as error:
        raise InputError(f"expected a readable file: {error.strerror}", path) from None
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"expected UTF-8, got byte 0x{error.object[error.start]:02x}", path, line) from None
    if not text.strip():
        raise InputError("expected at least one line, got an empty file", path)
    return text


def parse_json(text: str, path: Path, line: int = 1) -> Any:
    """Parse the text of a JSON file, or of its one ``line``.

    Raises:
        InputError: the text is not JSON, or an object has a key twice.
    """

    def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(items)
        if len(content) < len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"expected each key once, got {twice} twice", path, line - 1 + line_of(text, twice))
        return content

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        message = f"expected JSON: {error.msg} at column {error.colno}"
        raise InputError(message, path, line - 1 + error.lineno) from None
    except RecursionError:
        raise InputError("expected JSON without deep nesting", path, line) from None
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"expected JSON: {str(error).partition(';')[0]}", path, line) from None


def line_of(text: str, key: str) -> int:
    """The line (from 1) on which a JSON string first stands in ``text``, escaped or not; 1 if it is not found."""
    places = [text.find(json.dumps(key, ensure_ascii=ascii_only)) for ascii_only in (False, True)]
    return text.count("\n", 0, max(places)) + 1


def lines_of(text: str) -> list[str]:
    """The stripped lines of a text. ``str.splitlines`` would also cut at characters that a line may contain."""
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _by_line(parse: Callable[[str, Path, int, Sequence[Any]], Any]) -> Callable[[str, Path, Sequence[Any]], list[Any]]:
    """A parser of files with an example on each line."""

    def parse_lines(text: str, path: Path, allowed: Sequence[Any]) -> list[Any]:
        return [parse(line, path, number, allowed) for number, line in enumerate(lines_of(text), start=1)]

    return parse_lines


def _label(line: str, path: Path, number: int, allowed: Sequence[Any]) -> str:
    if line not in allowed:
        raise InputError(f"expected one of {', '.join(allowed)}, got {short(line)}", path, number)
    return line


def _index(line: str, path: Path, number: int, _: Sequence[Any]) -> int:
    if not (line.isascii() and line.isdigit() and len(line) <= _DIGITS):
        raise InputError(f"expected the index of a sentence (from 0), got {short(line)}", path, number)
    return int(line)


def _option(line: str, path: Path, number: int, allowed: Sequence[Any]) -> int:
    entry = parse_json(line, path, number)
    label = entry.get("label") if isinstance(entry, dict) else None
    if not isinstance(label, int) or isinstance(label, bool) or label not in allowed:
        expected = " or ".join(json.dumps({"label": option}) for option in allowed)
        raise InputError(f"expected {expected}, got {short(line)}", path, number)
    return label


def _pairs(text: str, path: Path, _: Sequence[Any]) -> set[tuple[str, str]]:
    pairs = set()
    for number, line in enumerate(lines_of(text) if text else [], start=1):
        parts = line.split("\t")
        if len(parts) != 2:
            raise InputError(f"expected two sentence ids separated by a tab, got {len(parts)} columns", path, number)
        pairs.add((parts[0], parts[1]))
    return pairs


def _tags(text: str, path: Path, allowed: Sequence[Any]) -> list[list[str]]:
    """Sentences of tags. As in XTREME's reader, each empty line ends a sentence and the last one needs none."""
    sentences: list[list[str]] = [[]]
    for number, line in enumerate(lines_of(text), start=1):
        if not line:
            sentences.append([])
        elif len(line.split()) > 1:
            raise InputError(f"expected one tag per line, got {short(line)}", path, number)
        else:
            sentences[-1].append(_label(line, path, number, allowed))
    return sentences if sentences[-1] else sentences[:-1]


def _by_name(
    layout: str, expected: str, fits: Callable[[Any], bool]
) -> Callable[[str, Path, Sequence[Any]], dict[str, Any]]:
    """A parser of JSON objects with an entry for each example: what the file holds, what an entry is, whether one fits."""

    def parse(text: str, path: Path, _: Sequence[Any]) -> dict[str, Any]:
        content = parse_json(text, path)
        if not isinstance(content, dict):
            raise InputError(f"expected {layout}", path)
        for name, entry in content.items():
            if not fits(entry):
                raise InputError(f"expected {expected} {name}, got {short(entry)}", path, line_of(text, name))
        return content

    return parse


def _is_ranks(entry: Any) -> bool:
    right = isinstance(entry, dict) and entry and all(type(rank) is int and rank > 0 for rank in entry.values())
    return bool(right) and len(set(entry.values())) == len(entry)


def _rankings(text: str, path: Path, allowed: Sequence[Any]) -> dict[str, list[str]]:
    parse = _by_name(
        "{query id: [item ids, best first]}",
        "a list of item ids for",
        lambda entry: isinstance(entry, list) and all(isinstance(item, str) for item in entry),
    )
    return {query: [item.strip() for item in items] for query, items in parse(text, path, allowed).items()}


def _line_each(content: Sequence[Any]) -> str:
    return "".join(f"{entry}\n" for entry in content)


def _json_by_name(content: Mapping[str, Any]) -> str:
    return to_json(dict(content))


LABELS = FileKind("tsv", _line_each, _by_line(_label))
INDICES = FileKind("tsv", _line_each, _by_line(_index))
OPTIONS = FileKind(
    "jsonl", lambda content: _line_each([json.dumps({"label": int(option)}) for option in content]), _by_line(_option)
)
TAGS = FileKind("tsv", lambda content: _line_each([_line_each(tags) for tags in content]), _tags)
ANSWERS = FileKind(
    "json",
    _json_by_name,
    _by_name("{question id: answer text}", "the text answering", lambda entry: isinstance(entry, str)),
    named=True,
)
RANKINGS = FileKind("json", _json_by_name, _rankings, named=True)
RANKS = FileKind(
    "json", _json_by_name, _by_name("{query id: {item id: rank}}", "distinct ranks from 1 for", _is_ranks), named=True
)
PAIRS = FileKind(
    "tsv",
    lambda content: _line_each(["\t".join(pair) for pair in sorted(content)]),
    _pairs,
    named=True,
    may_be_empty=True,
)
