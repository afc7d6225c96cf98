"""Multiple choice: XCOPA, COPA, Social IQa, HellaSwag, Cosmos QA, CommonsenseQA."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from xlt.data.readers.faults import examples
from xlt.data.readers.files import field, json_lines, lines, option_index, read_text, short
from xlt.data.records import Choice
from xlt.errors import InputError

Row = tuple[int, dict[str, Any]]
"""A line's number from 1 and its object."""


def copa_jsonl(path: Path, language: str) -> list[Choice]:
    """XCOPA and SuperGLUE's COPA: the prompt is "PREMISE What was the cause?" (or effect), in every language.

    The English question in front of foreign text is XTREME's own form (third_party/run_xcopa.py).
    """

    def choice(item: Row) -> Choice:
        number, row = item
        question = field(row, "question", str, path, number)
        if question not in ("cause", "effect"):
            raise InputError(f"expected question cause or effect, got {short(question)}", path, number)
        prompt = f"{field(row, 'premise', str, path, number).strip()} What was the {question}?"
        options = tuple(field(row, key, str, path, number).strip() for key in ("choice1", "choice2"))
        label = option_index(row.get("label"), 2, path, number)
        return Choice(str(row.get("idx", number - 1)), prompt, options, label)

    return list(examples(json_lines(path), choice))


def _siqa(row: dict[str, Any], number: int, path: Path) -> tuple[str, str, tuple[str, ...]]:
    prompt = " ".join(field(row, key, str, path, number).strip() for key in ("context", "question"))
    return str(number - 1), prompt, tuple(field(row, f"answer{x}", str, path, number).strip() for x in "ABC")


def siqa_jsonl(path: Path, language: str) -> list[Choice]:
    """Social IQa 1.4 as its owner's socialIQa_v1.4_{trn,dev}.jsonl: the answer in ``correct``, A, B or C."""

    def choice(item: Row) -> Choice:
        number, row = item
        correct = field(row, "correct", str, path, number)
        if correct not in ("A", "B", "C"):
            raise InputError(f"expected correct A, B or C, got {short(correct)}", path, number)
        return Choice(*_siqa(row, number, path), "ABC".index(correct))

    return list(examples(json_lines(path), choice))


def siqa_labels_file(path: Path) -> Path:
    """The answers beside ``train.jsonl``: ``train-labels.lst``, one number from 1 a line."""
    return path.with_name(f"{path.stem}-labels.lst")


def siqa_lst(path: Path, language: str) -> list[Choice]:
    """Social IQa as train.jsonl with its answers 1, 2 or 3 in train-labels.lst, line by line."""
    answers = siqa_labels_file(path)
    given = list(lines(answers))
    rows = list(json_lines(path))
    if len(given) != len(rows):
        raise InputError(
            f"expected {len(rows)} answers, as many as {path.name} has questions, got {len(given)}", answers
        )

    def choice(item: tuple[Row, tuple[int, str]]) -> Choice:
        (number, row), (line, answer) = item
        if answer.strip() not in ("1", "2", "3"):
            raise InputError(f"expected an answer 1, 2 or 3, got {short(answer)}", answers, line)
        return Choice(*_siqa(row, number, path), int(answer.strip()) - 1)

    return list(examples(zip(rows, given, strict=True), choice))


def hellaswag_jsonl(path: Path, language: str) -> list[Choice]:
    """HellaSwag: the context ``ctx`` and four endings; the test file has no label."""

    def choice(item: Row) -> Choice:
        number, row = item
        endings = field(row, "endings", list, path, number)
        if len(endings) != 4 or not all(isinstance(ending, str) for ending in endings):
            raise InputError(f"expected four endings, got {len(endings)} values", path, number)
        label = option_index(row.get("label"), 4, path, number)
        prompt = field(row, "ctx", str, path, number).strip()
        return Choice(str(row.get("ind", number - 1)), prompt, tuple(e.strip() for e in endings), label)

    return list(examples(json_lines(path), choice))


def _cosmos(row: dict[str, Any], number: int, path: Path) -> Choice:
    prompt = " ".join(field(row, key, str, path, number).strip() for key in ("context", "question"))
    options = tuple(field(row, f"answer{i}", str, path, number).strip() for i in range(4))
    label = option_index(row.get("label"), 4, path, number)
    return Choice(str(field(row, "id", str, path, number)), prompt, options, label)


def cosmosqa_csv(path: Path, language: str) -> list[Choice]:
    """Cosmos QA as published: comma-separated with a header and quoted cells; the test file has no label column."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        header = next(reader)
        line = reader.line_num + 1
        for cells in reader:
            rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"expected comma-separated values: {error}; download it again", path, line) from None
    if not rows:
        raise InputError("expected examples, got a header only", path)

    def choice(item: tuple[int, list[str]]) -> Choice:
        line, cells = item
        if len(cells) != len(header):
            raise InputError(f"expected {len(header)} columns, got {len(cells)}", path, line)
        return _cosmos(dict(zip(header, cells, strict=True)), line, path)

    return list(examples(rows, choice))


def cosmosqa_jsonl(path: Path, language: str) -> list[Choice]:
    """Cosmos QA with one JSON object a line, keys as in the owner's header."""
    return list(examples(json_lines(path), lambda item: _cosmos(item[1], item[0], path)))


def commonsenseqa_jsonl(path: Path, language: str) -> list[Choice]:
    """CommonsenseQA 1.11: five choices with letters, the right letter in ``answerKey`` (absent in the test file).

    Read as published by its owner, and with the question nested as {"stem", "choices"} as in the first release.
    """

    def choice(item: Row) -> Choice:
        number, row = item
        nested = row.get("question")
        inner = nested if isinstance(nested, dict) else row
        question = field(inner, "stem" if inner is nested else "question", str, path, number).strip()
        letters, texts = _lettered(field(inner, "choices", (dict, list), path, number), path, number)
        label = None
        if row.get("answerKey"):
            if row["answerKey"] not in letters:
                raise InputError(
                    f"expected an answerKey of {', '.join(letters)}, got {short(row['answerKey'])}", path, number
                )
            label = letters.index(row["answerKey"])
        return Choice(str(field(row, "id", str, path, number)), question, tuple(texts), label)

    return list(examples(json_lines(path), choice))


def _lettered(value: Any, path: Path, line: int) -> tuple[list[str], list[str]]:
    """Letters and texts of the choices, given as two lists or as a list of {"label", "text"}."""
    if isinstance(value, dict):
        letters, texts = field(value, "label", list, path, line), field(value, "text", list, path, line)
    else:
        letters = [field(item, "label", str, path, line) for item in value]
        texts = [field(item, "text", str, path, line) for item in value]
    if len(letters) != len(texts) or not texts:
        raise InputError(f"expected as many letters as texts, got {len(letters)} and {len(texts)}", path, line)
    if not all(isinstance(each, str) for each in [*letters, *texts]):
        raise InputError(f"expected letters and texts, got {short([*letters, *texts])}", path, line)
    return letters, [text.strip() for text in texts]
