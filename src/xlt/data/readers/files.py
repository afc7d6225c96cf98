"""Reading text files strictly: UTF-8 or an error with its line, lines end at LF or CRLF and nowhere else."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from xlt.data.readers.faults import Faulty, current
from xlt.errors import InputError

Labels = Sequence[str] | Mapping[str, str] | None
"""The labels that a file may have (None: any); a mapping says what each is read as."""
Row = tuple[int, str]
"""A line with its number from 1."""

_log = logging.getLogger(__name__)
_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SHOWN = 80
_EMPTY = "expected data, got an empty file; download it again"


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"expected a data file, got none ({error.strerror}); see docs/data-layout.md", path) from None


def _decode(data: bytes, path: Path, first_line: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        raise InputError(f"expected UTF-8, got byte 0x{data[error.start]:02x}; convert the file", path, line) from None


def read_text(path: Path) -> str:
    """The whole file as text without a byte order mark, line ends as they are.

    Raises:
        InputError: the file is absent, empty or, with the line, not UTF-8.
    """
    with _open(path) as handle:
        data = handle.read().removeprefix(_BOM)
    if not data.strip():
        raise InputError(_EMPTY, path)
    return _decode(data, path, 1)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines without LF or CRLF, one at a time; trailing blank lines are left out.

    U+2028, U+0085 and the other characters at which ``str.splitlines`` breaks are text in these files.

    Raises:
        InputError: the file is absent, empty or, with the line, not UTF-8.
    """
    blank: list[tuple[int, str]] = []
    found = False
    with _open(path) as handle:
        for number, raw in enumerate(handle, start=1):
            data = raw.removeprefix(_BOM) if number == 1 else raw
            row = _decode(data.removesuffix(b"\n").removesuffix(b"\r"), path, number)
            if not row.strip(" \t"):
                blank.append((number, row))
                continue
            found = True
            yield from blank
            blank.clear()
            yield number, row
    if not found:
        raise InputError(_EMPTY, path)


def sentences_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Groups of numbered lines between blank lines."""
    sentence: list[Row] = []
    for number, row in rows:
        if row.strip(" \t"):
            sentence.append((number, row))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def json_document(path: Path) -> tuple[Any, str]:
    """A JSON file's value and its text. Raises InputError with the line at which it stops being JSON."""
    text = read_text(path)
    try:
        return _json(text, path, None), text
    except json.JSONDecodeError as error:
        end = " (the file is cut short)" if error.pos >= len(text.rstrip()) else ""
        raise InputError(f"expected JSON: {error.msg}{end}; download it again", path, error.lineno) from None


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects of a file with one JSON object a line; blank lines are passed over."""
    for number, row in lines(path):
        if not row.strip():
            continue
        try:
            value = _json(row, path, number)
        except json.JSONDecodeError as error:
            raise InputError(f"expected one JSON object a line: {error.msg}; download it again", path, number) from None
        if not isinstance(value, dict):
            raise InputError(f"expected a JSON object, got {type(value).__name__}", path, number)
        yield number, value


def _json(text: str, path: Path, line: int | None) -> Any:
    """The value of a JSON text. What JSON allows and nobody means is refused: a key twice, half a character, the depths."""

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"expected each key once in an object, got {short(twice)} twice", path, line)
        return found

    try:
        value = json.loads(text, object_pairs_hook=once)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise InputError("expected JSON without deep nesting; download it again", path, line) from None
    except UnicodeEncodeError:
        raise InputError(r"expected text, got half a character (\ud800 to \udfff alone)", path, line) from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"expected JSON: {str(error).partition(';')[0]}; download it again", path, line) from None
    return value


def short(value: Any) -> str:
    """A value as an error shows it: on one line, and no more of it than can be read."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def field(value: Any, key: str, kind: type | tuple[type, ...], path: Path, line: int | None) -> Any:
    """``value[key]``, which must be there and of a type in ``kind``. Raises InputError with the keys there are."""
    if not isinstance(value, dict):
        raise InputError(f"expected an object with the key {key!r}, got {short(value)}", path, line)
    if key not in value:
        raise InputError(f"expected key {key!r}, got {', '.join(map(str, value)) or 'none'}", path, line)
    found = value[key]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(found, kinds) or (isinstance(found, bool) and bool not in kinds):
        names = " or ".join(k.__name__ for k in kinds)
        raise InputError(f"expected {key!r} to be {names}, got {type(found).__name__}", path, line)
    return found


def check_label(label: str, labels: Labels, path: Path, line: int | None) -> str:
    """``label`` if it is one of ``labels``, or what these map it to. Raises InputError naming those that are known."""
    if labels is None:
        return label
    if label not in labels:
        absent = label.strip() in ("", "_")
        order = "; the hub's NLI sets number entailment, neutral, contradiction from 0" if label.isdecimal() else ""
        message = f"expected a label of {', '.join(labels)}, got {short(label)}{order}"
        advice = "" if absent else "; label_map of a task or recipe has a place for other labels (docs/extending.md)"
        raise Faulty("missing labels" if absent else "unknown labels", message + advice, path, line)
    return labels[label] if isinstance(labels, Mapping) else label


def option_index(value: Any, count: int, path: Path, line: int | None) -> int | None:
    """The index of the right option, an integer from 0 to ``count`` - 1, written as a number or as its digits.

    None where it is withheld: absent, empty, or -1 as in the hub's test sets.
    """
    if value is None or str(value).strip() in ("", "-1"):
        return None
    if isinstance(value, bool) or str(value).strip() not in map(str, range(count)):
        raise Faulty("unknown labels", f"expected a label from 0 to {count - 1}, got {short(value)}", path, line)
    return int(value)


def report_dropped(path: Path, count: int, what: str) -> None:
    """Say how many rows of a file were left out, and why: nothing disappears without a word."""
    if count:
        _log.warning("%s: left out %d %s", path, count, what)
        current().by_rule[what] += count
