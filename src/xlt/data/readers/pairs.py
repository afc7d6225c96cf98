"""Sentence pairs: XNLI, MultiNLI, SNLI, ANLI, GLUE, PAWS-X, XTREME's processed files.

Every reader takes the file, the language and the labels that are allowed (None: any).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from xlt.data.readers.files import check_label, field, json_document, json_lines, lines, report_dropped
from xlt.data.records import Pair
from xlt.errors import InputError

Labels = Sequence[str] | None

# How the owners write the three classes. Fully written names stand for themselves.
_NLI = {"e": "entailment", "n": "neutral", "c": "contradiction", "contradictory": "contradiction"}
_NO_GOLD = "-"  # MultiNLI and SNLI: the annotators did not agree; the owners advise to leave these out
_GLUE_BROKEN = 0.001  # the share of rows with too few columns above which a GLUE file counts as damaged


# Names under which a header may list what is wanted; the first one present is taken.
_COLUMNS = {
    "text_a": ("sentence1", "premise", "question1"),
    "text_b": ("sentence2", "hypothesis", "question2", "hypo"),
    "label": ("gold_label", "label", "is_duplicate"),
    "id": ("pairID", "id", "index"),
    "language": ("language",),
}


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
    pairs: list[Pair] = []
    ungraded = 0
    broken: list[tuple[int, int]] = []
    for number, row in rows:
        cells = row.split("\t")
        if len(cells) < len(header) or (len(cells) > len(header) and not glue):
            broken.append((number, len(cells)))
            continue
        if language is not None and language_at is not None and cells[language_at] != language:
            continue
        label = None if label_at is None else cells[-1 if glue else label_at].strip()
        if label == _NO_GOLD:
            ungraded += 1
            continue
        if label is not None:
            label = check_label(_NLI.get(label, label), labels, path, number)
        pair_id = cells[id_at] if id_at is not None else str(number - 2)
        pairs.append(Pair(pair_id, cells[text_a].strip(), cells[text_b].strip(), label))
    if len(broken) > (_GLUE_BROKEN if glue else 0) * (len(pairs) + len(broken)):
        raise InputError(f"expected {len(header)} columns, got {broken[0][1]}", path, broken[0][0])
    report_dropped(path, len(broken), f"rows without {len(header)} columns")
    report_dropped(path, ungraded, "pairs without an agreed label")
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
    """XTREME's processed XNLI and PAWS-X: two columns (unlabelled) or three, no header.

    Placeholder rows (``Pair.untranslated``) are among them. The id is the row's number from 0.
    """
    pairs: list[Pair] = []
    width: int | None = None
    for number, row in lines(path):
        cells = row.split("\t")
        width = width or len(cells)
        if len(cells) != width or width not in (2, 3):
            raise InputError(
                f"expected {width if width in (2, 3) else '2 or 3'} columns, got {len(cells)}", path, number
            )
        label = None
        if width == 3:
            given = cells[2].strip()
            label = check_label(_NLI.get(given, given), labels, path, number)
        pairs.append(Pair(str(number - 1), _unquote(cells[0]).strip(), _unquote(cells[1]).strip(), label))
    return pairs


def nli_jsonl(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """The owners' MultiNLI and SNLI files. Pairs whose gold_label is "-" are left out and counted."""
    pairs: list[Pair] = []
    ungraded = 0
    for number, row in json_lines(path):
        label = field(row, "gold_label", str, path, number)
        if label == _NO_GOLD:
            ungraded += 1
            continue
        pairs.append(
            Pair(
                field(row, "pairID", str, path, number),
                field(row, "sentence1", str, path, number).strip(),
                field(row, "sentence2", str, path, number).strip(),
                check_label(label, labels, path, number),
            )
        )
    report_dropped(path, ungraded, "pairs without an agreed label")
    return pairs


def anli_jsonl(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """The owner's ANLI files, classes written e, n and c."""
    return [
        Pair(
            field(row, "uid", str, path, number),
            field(row, "context", str, path, number).strip(),
            field(row, "hypothesis", str, path, number).strip(),
            check_label(_NLI.get(label := field(row, "label", str, path, number), label), labels, path, number),
        )
        for number, row in json_lines(path)
    ]


def pair_json(path: Path, language: str, labels: Labels = None) -> list[Pair]:
    """One JSON object {id: {text_a, text_b, label}} (small samples of GLUE sets are passed on in this form)."""
    document, text = json_document(path)
    if not isinstance(document, dict):
        raise InputError(f"expected an object of examples, got {type(document).__name__}", path, 1)
    pairs = []
    line, where = 1, 0
    for key, row in document.items():
        previous, where = where, max(text.find(json.dumps(key), where), where)
        line += text.count("\n", previous, where)
        if not isinstance(row, dict):
            raise InputError(f"expected an object for example {key}, got {type(row).__name__}", path, line)
        given = str(field(row, "label", (str, int), path, line))
        label = check_label(_NLI.get(given, given), labels, path, line)
        text_a, text_b = (field(row, name, str, path, line).strip() for name in ("text_a", "text_b"))
        pairs.append(Pair(key, text_a, text_b, label))
    return pairs
