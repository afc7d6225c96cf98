"""Extractive question answering: the SQuAD layout, TyDiQA's owner file, flat rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from xlt import languages
from xlt.data.readers.answers import true_match
from xlt.data.readers.faults import Faulty, examples, mended
from xlt.data.readers.files import field, json_document, json_lines, read_text, short
from xlt.data.records import AnswerSpan, Question
from xlt.errors import InputError


class SquadDocument:
    """A JSON data file whose errors name the line of the question they concern."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = read_text(path)
        value = [row for _, row in json_lines(path)] if _has_rows(self.text) else json_document(path)[0]
        if not isinstance(value, dict | list):
            raise InputError(f"expected an object with key 'data', got {type(value).__name__}", path, 1)
        self.data: list[Any] = value if isinstance(value, list) else field(value, "data", list, path, 1)
        if not self.data:
            raise InputError("expected examples, got an empty 'data' list", path, 1)

    def line(self, key: str) -> int | None:
        """The line on which a string first stands in the file."""
        where = self.text.find(json.dumps(key))
        if where < 0:
            where = self.text.find(json.dumps(key, ensure_ascii=False))
        return None if where < 0 else self.text.count("\n", 0, where) + 1

    def error(self, message: str, key: str) -> InputError:
        """An input error at the line of ``key``."""
        return InputError(message, self.path, self.line(key))

    def paragraphs(self) -> Iterator[dict[str, Any]]:
        """The paragraphs of all articles, in order."""
        for number, article in enumerate(self.data):
            if not isinstance(article, dict):
                raise InputError(f"expected data[{number}] to be an object, got {type(article).__name__}", self.path)
            if "paragraphs" not in article and "context" in article:
                raise InputError(
                    "expected 'paragraphs', got rows with a passage each: their format is squad-rows", self.path
                )
            for paragraph in field(article, "paragraphs", list, self.path, None):
                field(paragraph, "context", str, self.path, None)
                field(paragraph, "qas", list, self.path, None)
                yield paragraph

    def answers(self, row: dict[str, Any], context: str) -> tuple[AnswerSpan, ...]:
        """The answers of a question, checked against the passage; () when it has none or its gold is withheld.

        XTREME withholds gold by one answer "" at 0. ``answers`` may be a list of objects or an object of lists.
        """
        name = str(row.get("id"))
        given = row.get("answers") or []
        if row.get("is_impossible"):
            return ()
        if isinstance(given, dict):
            texts, starts = (field(given, key, list, self.path, self.line(name)) for key in ("text", "answer_start"))
            if len(texts) != len(starts):
                raise self.error(f"question {name}: expected as many texts as answer_starts", name)
            given = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        if not isinstance(given, list):
            raise self.error(f"question {short(name)}: expected a list of answers, got {short(given)}", name)
        found = []
        for answer in given:
            line = None if isinstance(answer, dict) and {"text", "answer_start"} <= set(answer) else self.line(name)
            text = field(answer, "text", str, self.path, line)
            start = field(answer, "answer_start", int, self.path, line)
            if not text and start == 0:
                continue
            if text and start >= 0 and context.startswith(text, start):
                found.append(AnswerSpan(text, start))
            else:
                found.append(self._elsewhere(name, context, text, start))
        return tuple(found)

    def _elsewhere(self, name: str, context: str, text: str, start: int) -> AnswerSpan:
        """The answer where it truly stands, if it is to be repaired; else an error that says where that is."""
        true = true_match(context, text, start)
        got = context[start : start + len(text)] if start >= 0 else ""
        message = f"question {name}: expected the answer {text[:60]!r} at character {start}, got {got[:60]!r}"
        advice = "correct answer_start or text, or let on_error of the source repair or drop it"
        error = Faulty(
            true.kind, f"{message}; {true.explanation}; {advice}", self.path, self.line(name), f"question {name}"
        )
        return mended(error, true.span)

    def questions(self, rows: Iterable[tuple[Any, str]]) -> list[Question]:
        """The question of each row and its passage."""
        return list(examples(rows, lambda row: self.question(*row)))

    def question(self, row: Any, context: str) -> Question:
        """One question row as a record."""
        if not isinstance(row, dict):
            raise InputError(f"expected a question object, got {type(row).__name__}", self.path)
        name = str(field(row, "id", (str, int), self.path, None))
        text = row.get("question")
        if not isinstance(text, str):
            raise self.error(f"question {name}: expected key 'question' with a text", name)
        return Question(name, text.strip(), context, self.answers(row, context))

    def unique(self, questions: list[Question]) -> list[Question]:
        """``questions``, whose ids must differ: predictions are keyed by them."""
        seen: set[str] = set()
        for question in questions:
            if question.id in seen:
                raise self.error(f"question {question.id}: expected each id once, got it twice", question.id)
            seen.add(question.id)
        return questions


def _has_rows(text: str) -> bool:
    """Whether a text has one JSON object a line."""
    first, _, rest = text.partition("\n")
    try:
        return bool(rest.strip()) and isinstance(json.loads(first), dict)
    except json.JSONDecodeError:
        return False


def squad(path: Path, language: str) -> list[Question]:
    """SQuAD 1.1 and 2.0, XQuAD, MLQA, TyDiQA-GoldP by language: articles > paragraphs > questions > answers.

    Raises:
        InputError: not this layout; an answer that does not stand at its offset (with the question's id); an id twice.
    """
    document = SquadDocument(path)
    rows = ((row, paragraph["context"]) for paragraph in document.paragraphs() for row in paragraph["qas"])
    return document.unique(document.questions(rows))


def tydiqa(path: Path, language: str) -> list[Question]:
    """TyDiQA-GoldP's training file, all languages together: ids begin with the English name, "swahili-...".

    Returns the questions of one language, ids as they are (XTREME shortens them to their last part).
    """
    document = SquadDocument(path)
    prefix = f"{languages.name(language).lower()}-"
    rows = ((row, paragraph["context"]) for paragraph in document.paragraphs() for row in paragraph["qas"])
    own = (row for row in rows if str(field(row[0], "id", str, path, None)).startswith(prefix))
    questions = document.questions(own)
    if not questions:
        raise InputError(f"expected questions with ids beginning {prefix!r}, got none", path)
    return document.unique(questions)


def tydiqa_xtreme(path: Path, language: str) -> list[Question]:
    """XTREME's training file of one language (``tydiqa.goldp.en.train.json``).

    Its script cuts the ids down to their last part, which leaves many alike: here they begin with the question's number
    from 0 in the file.
    """
    document = SquadDocument(path)
    rows = ((row, paragraph["context"]) for paragraph in document.paragraphs() for row in paragraph["qas"])

    def numbered(item: tuple[int, tuple[Any, str]]) -> Question:
        question = document.question(*item[1])
        return replace(question, id=f"{item[0]}-{question.id}")

    return list(examples(enumerate(rows), numbered))


def squad_rows(path: Path, language: str) -> list[Question]:
    """Questions as flat rows: id, question, context, answers as {"text": [], "answer_start": []}.

    They are a list, a list under ``data``, or one a line, as the hub's sets are written out.
    """
    document = SquadDocument(path)
    for row in document.data:
        if not isinstance(row, dict):
            raise InputError(f"expected a question object, got {type(row).__name__}", path)
        if "paragraphs" in row and "context" not in row:
            raise InputError("expected 'context', got articles of paragraphs: their format is squad", path)
    rows = ((row, field(row, "context", str, path, None)) for row in document.data)
    return document.unique(document.questions(rows))
