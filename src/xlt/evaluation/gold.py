"""Gold labels in the submission layout, from the records that the readers return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xlt.data.language_pairs import Search
from xlt.data.records import Choice, Mention, Mining, Pair, ParallelText, Passage, Question, Tagged
from xlt.evaluation.submission import KIND, submission_file, write_submission
from xlt.files import to_json, write_atomic


def write_gold(folder: Path, task: str, records: Mapping[str, Any]) -> None:
    """Write the label files of every language of a task, in both directions for Tatoeba.

    LAReQA's ranks need none: they hold the right candidates.
    """
    if task == "lareqa":
        write_lareqa_labels(folder, records)
        return
    for language, own in records.items():
        for name in (task, "tatoeba_into_english") if task == "tatoeba" else (task,):
            write_labels(folder, name, language, own)


def write_labels(folder: Path, task: str, language: str, records: Any) -> Path:
    """Write the gold labels of one language from its records and return the file's path.

    Args:
        records: what the task's reader returns: Pair, Choice, Tagged, Question or Mention records, a ParallelText, a Mining.
            For LAReQA the right candidates are in every language: use ``write_lareqa_labels``.

    Raises:
        ValueError: a record has no label.
    """
    if KIND[task] == "answers":
        path = submission_file(folder, task, language)
        write_atomic(path, to_json(squad_layout(records)))
        return path
    return write_submission(folder, task, language, gold_of(records, task))


def gold_of(records: Any, task: str) -> Any:
    """The gold content of a label file, as ``write_submission`` takes it, from records of any but a QA task."""
    if isinstance(records, ParallelText):
        return records.gold if task == "tatoeba_into_english" else records.gold_source
    if isinstance(records, Search):
        return records.gold
    if isinstance(records, Mining):
        return _present(records.gold, "the BUCC collection")
    if all(isinstance(record, Mention) for record in records):
        return {record.id: [_present(record.entity, record.id)] for record in records}
    return [_label(record) for record in records]


def _label(record: Pair | Choice | Tagged) -> Any:
    return _present(record.tags if isinstance(record, Tagged) else record.label, record.id)


def _present(gold: Any, name: str) -> Any:
    if gold is None:
        raise ValueError(f"{name} has no gold label to write")
    return gold


def squad_layout(questions: Iterable[Question]) -> dict[str, Any]:
    """The questions as a SQuAD 1.1 document; neighbours with the same passage share a paragraph."""
    paragraphs: list[dict[str, Any]] = []
    for question in questions:
        if not paragraphs or paragraphs[-1]["context"] != question.context:
            paragraphs.append({"context": question.context, "qas": []})
        answers = [{"text": answer.text, "answer_start": answer.start} for answer in question.answers]
        paragraphs[-1]["qas"].append({"id": question.id, "question": question.question, "answers": answers})
    return {"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}


def lareqa_gold(passages: Mapping[str, Sequence[Passage]]) -> dict[str, dict[str, list[str]]]:
    """The right candidates of every question, for each question language, from the passages of each language.

    A candidate is the sentence at a position of a passage, "<passage id>_<position from 0>"; it is right for a question
    "<question id>_<language>" when that question, asked in the candidate's language, is answered there (Roy et al.
    2020): one right candidate per language, in the order of ``passages``.
    """
    right: dict[str, list[str]] = {}
    for language_passages in passages.values():
        for passage in language_passages:
            for question, _, sentence in passage.questions:
                right.setdefault(question, []).append(f"{passage.id}_{sentence}")
    return {
        language: {f"{question}_{language}": right[question] for passage in own for question, _, _ in passage.questions}
        for language, own in passages.items()
    }


def write_lareqa_labels(folder: Path, passages: Mapping[str, Sequence[Passage]]) -> list[Path]:
    """Write LAReQA's label files, one per question language, from the passages of all languages of the pool."""
    return [write_submission(folder, "lareqa", language, gold) for language, gold in lareqa_gold(passages).items()]
