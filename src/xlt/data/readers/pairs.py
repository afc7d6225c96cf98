"""Sentence pairs: XNLI, MultiNLI, SNLI, ANLI, GLUE, PAWS-X, XTREME's processed files.

Every reader takes the file, the language and the labels that are allowed (None: any).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from xlt.data.readers.faults import Faulty, current, examples
from xlt.data.readers.files import Labels, check_label, field, json_document, json_lines, lines, report_dropped
from xlt.data.records import Pair
from xlt.errors import InputError

# How the owners write the three classes. Fully written names stand for themselves.
_NLI = {"e": "entailment", "n": "neutral", "c": "contradiction", "contradictory": "contradiction"}
_NO_GOLD = ("-", "-1")  # MultiNLI and SNLI (-1: on the hub): the annotators did not agree; their owners leave these out
_GLUE_BROKEN = 0.001  # the share of rows with too few columns above which a GLUE file counts as damaged

Cells = tuple[str, str, str, str | None]
"""Id, both sentences and the label of a row; None: no label is given."""

# Names under which a header may list what is wanted; the first one present is taken.
_COLUMNS = {
    "text_a": ("sentence1", "premise", "question1"),
    "text_b": ("sentence2", "hypothesis", "question2", "hypo"),
    "label": ("gold_label", "label", "is_duplicate"),
    "id": ("pairID", "id", "index"),
    "language": ("language",),
}


def _pairs(
    path: Path, rows: Iterable[tuple[int, Any]], cells: Callable[[int, Any], Cells], labels: Labels
) -> list[Pair]:
    """The pair of each numbered row, of which ``cells`` takes the parts; those without an agreed label are left out."""

    def pair(row: tuple[int, Any]) -> Pair | None:
        name, text_a, text_b, label = cells(*row)
        if label in _NO_GOLD:
            return None
        if label is not None:
            label = check_label(_NLI.get(label, label), labels, path, row[0])
        made = Pair(name, text_a.strip(), text_b.strip(), label)
        if made.empty:
            current().add("pairs with an empty sentence, left out", f"line {row[0]}")
        return made

    made = list(examples(rows, pair))
    report_dropped(path, made.count(None), "pairs without an agreed label")
    return [pair for pair in made if pair is not None]


def _header_rows(path: Path, labels: Labels, language: str | None, glue: bool = False) -> list[Pair]:
    """Rows of a tab-separated file with a header line and no quoting; columns are found by name.

    ``language`` keeps the rows whose language column says so. Rows without agreed gold label are left out and counted.
    ``glue`` allows what GLUE's files have: more columns than the header names, the label being the last; and one row in
    a thousand with fewer, left out and counted.
    """
    rows = lines(path)
    _, first = next(rows)
    header = first.split("\t")
    text_a, text_b, label_at, id_at, language_at = (
        next((header.index(name) for name in names if name in header), None) for names in _COLUMNS.values()
    )
    if text_a is None or text_b is None:
        wanted = " and ".join("|".join(_COLUMNS[name]) for name in ("text_a", "text_b"))
        raise InputError(f"expected a header with {wanted}, got {first[:80]!r}", path, 1)
    if language is not None and language_at is None:
        raise InputError("expected a header with a language column", path, 1)
    whole: list[tuple[int, list[str]]] = []
    broken: list[tuple[int, list[str]]] = []
    for number, row in rows:
        cells = row.split("\t")
        if len(cells) < len(header) or (len(cells) > len(header) and not glue):
            broken.append((number, cells))
        elif language is None or language_at is None or cells[language_at] == language:
            whole.append((number, cells))

    def parts(number: int, cells: list[str]) -> Cells:
        if len(cells) < len(header) or (len(cells) > len(header) and not glue):
            message = f"expected {len(header)} columns, got {len(cells)}"
            raise Faulty("rows with another number of columns", message, path, number)
        label = None if label_at is None else cells[-1 if glue else label_at].strip()
        return cells[id_at] if id_at is not None else str(number - 2), cells[text_a], cells[text_b], label

    if glue and len(broken) <= _GLUE_BROKEN * (len(whole) + len(broken)):
        report_dropped(path, len(broken), f"rows without {len(header)} columns")
        broken = []
    pairs = _pairs(path, sorted([*whole, *broken]), parts, labels)
    if not pairs:
        raise InputError(f"expected examples{f' in language {language}' if language else ''}, got none", path)
    return pairs


def xnli_tsv(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """The owner's XNLI files (all languages in one, header) and AmericasNLI's: rows of one language."""
    return _header_rows(path, labels, language)


def xnli_mt_tsv(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """XNLI-MT's MultiNLI training file, header ``premise hypo label``; the language is in the file's name."""
    return _header_rows(path, labels, None)


def glue_tsv(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """GLUE's MNLI, SNLI and QQP files.

    The header of SNLI names one annotator's label where rows may have five: the gold label is the last column of all
    three. QQP has a few rows broken by line ends inside a question: left out and counted.
    """
    return _header_rows(path, labels, None, glue=True)


def pawsx_tsv(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """The owner's PAWS-X files, placeholder rows included (``Pair.untranslated``)."""
    return _header_rows(path, labels, None)


def _unquote(cell: str) -> str:
    """Undo the quoting of Python's csv.writer, which XTREME wrote its files with.

    It quotes a cell only when that holds a quote mark (no cell holds tabs or line ends) and doubles the marks inside.
    A cell that is not a well-formed quoted one is text.
    """
    inner = cell[1:-1]
    if len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def pair_tsv(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """XTREME's processed XNLI and PAWS-X: two columns (unlabelled), three, or the five of translate-train; no header.

    Those are both sentences translated, the label, and both as they were, which are not read. Placeholder rows
    (``Pair.untranslated``) are among the pairs. The id is the row's number from 0.
    """
    rows = [(number, row.split("\t")) for number, row in lines(path)]
    width = len(rows[0][1]) if len(rows[0][1]) in (2, 3, 5) else None

    def parts(number: int, cells: list[str]) -> Cells:
        if len(cells) != width:
            message = f"expected {width or '2, 3 or 5'} columns, got {len(cells)}"
            raise Faulty("rows with another number of columns", message, path, number)
        label = cells[2].strip() if width != 2 else None
        return str(number - 1), _unquote(cells[0]), _unquote(cells[1]), label

    return _pairs(path, rows, parts, labels)


def nli_jsonl(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """The owners' MultiNLI and SNLI files, and the hub's with its own keys. Pairs without an agreed label are left out."""

    def value(row: dict[str, Any], what: str, kind: type | tuple[type, ...], number: int) -> Any:
        names = _COLUMNS[what]
        return field(row, next((name for name in names if name in row), names[0]), kind, path, number)

    def parts(number: int, row: dict[str, Any]) -> Cells:
        named = any(name in row for name in _COLUMNS["id"])
        name = str(value(row, "id", (str, int), number)) if named else str(number - 1)
        texts = (value(row, what, str, number) for what in ("text_a", "text_b"))
        return name, *texts, str(value(row, "label", (str, int), number))

    return _pairs(path, json_lines(path), parts, labels)


def anli_jsonl(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """The owner's ANLI files, classes written e, n and c."""

    def parts(number: int, row: dict[str, Any]) -> Cells:
        name, text_a, text_b, label = (
            field(row, key, str, path, number) for key in ("uid", "context", "hypothesis", "label")
        )
        return name, text_a, text_b, label

    return _pairs(path, json_lines(path), parts, labels)


def pair_json(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """One JSON object {id: {text_a, text_b, label}} (small samples of GLUE sets are passed on in this form)."""
    document, text = json_document(path)
    if not isinstance(document, dict):
        raise InputError(f"expected an object of examples, got {type(document).__name__}", path, 1)
    rows = []
    line, where = 1, 0
    for key, row in document.items():
        previous, where = where, max(text.find(json.dumps(key), where), where)
        line += text.count("\n", previous, where)
        rows.append((line, (key, row)))

    def parts(line: int, item: tuple[str, Any]) -> Cells:
        key, row = item
        if not isinstance(row, dict):
            raise InputError(f"expected an object for example {key}, got {type(row).__name__}", path, line)
        label = str(field(row, "label", (str, int), path, line))
        text_a, text_b = (field(row, name, str, path, line) for name in ("text_a", "text_b"))
        return key, text_a, text_b, label

    return _pairs(path, rows, parts, labels)
