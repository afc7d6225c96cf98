"""Question answering files: offsets, withheld gold, unanswerable questions, TyDiQA's languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xlt.data.readers import span as reader
from xlt.data.records import AnswerSpan, Question
from xlt.errors import InputError

CONTEXT = "Der Löwe \U0001f981 schläft in Köln."  # the emoji is one character: "Köln" starts at 22


def qa(name: str, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "question": "Wo? ",
        "answers": [{"text": text, "answer_start": start} for text, start in answers],
        **more,
    }


def squad(path: Path, *questions: dict[str, Any], context: str = CONTEXT, indent: int | None = 1) -> Path:
    value = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}]}
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8")
    return path


def test_squad_offsets_count_characters(tmp_path: Path) -> None:
    path = squad(tmp_path / "f.json", qa("q1", ("Köln", 22), ("in Köln", 19)))
    assert reader.squad(path, "de") == [
        Question("q1", "Wo?", CONTEXT, (AnswerSpan("Köln", 22), AnswerSpan("in Köln", 19)))
    ]


def test_offset_that_does_not_match_names_the_question_and_line(tmp_path: Path) -> None:
    path = squad(tmp_path / "f.json", qa("q1", ("Köln", 22)), qa("q2", ("Köln", 21)))
    with pytest.raises(
        InputError, match=r"question q2: expected the answer 'Köln' at character 21, got ' Köl'"
    ) as caught:
        reader.squad(path, "de")
    line = next(i for i, row in enumerate(path.read_text().splitlines(), start=1) if '"id": "q2"' in row)
    assert caught.value.line == line
    with pytest.raises(InputError, match="question q1"):
        reader.squad(squad(path, qa("q1", ("Köln", -5))), "de")


def test_withheld_gold_and_unanswerable_questions_have_no_answers(tmp_path: Path) -> None:
    impossible = qa("q2", is_impossible=True, plausible_answers=[{"text": "Köln", "answer_start": 22}])
    read = reader.squad(squad(tmp_path / "f.json", qa("q1", ("", 0)), impossible), "de")
    assert [question.answers for question in read] == [(), ()]
    with pytest.raises(InputError, match="question q1"):
        reader.squad(squad(tmp_path / "f.json", qa("q1", ("", 5))), "de")


def test_ids_must_differ(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="question q1: expected each id once"):
        reader.squad(squad(tmp_path / "f.json", qa("q1", ("Der", 0)), qa("q1", ("Der", 0))), "de")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected examples, got an empty 'data' list"),
        ("x", "expected an object with key 'data', got str"),
        ({"version": 1}, "expected key 'data', got version"),
        ({"data": []}, "empty 'data' list"),
        ({"data": [{"title": "t"}]}, "expected key 'paragraphs', got title"),
        ({"data": [{"paragraphs": [{"context": "c"}]}]}, "expected key 'qas', got context"),
        ({"data": [{"paragraphs": [{"context": "c", "qas": [{"id": "q9"}]}]}]}, "question q9: expected key 'question'"),
    ],
)
def test_other_layouts(tmp_path: Path, value: Any, message: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=message):
        reader.squad(path, "en")


def test_tydiqa_owner_file_by_language(tmp_path: Path) -> None:
    path = squad(tmp_path / "train.json", qa("swahili-12-0", ("Der", 0)), qa("english-12-0", ("Der", 0)))
    assert [question.id for question in reader.tydiqa(path, "sw")] == ["swahili-12-0"]
    with pytest.raises(InputError, match="ids beginning 'korean-', got none"):
        reader.tydiqa(path, "ko")


def test_tydiqa_shortened_ids_of_xtreme_are_made_different(tmp_path: Path) -> None:
    path = squad(tmp_path / "tydiqa.goldp.en.train.json", qa("0", ("Der", 0)), qa("0", ("Der", 0)))
    assert [question.id for question in reader.tydiqa_xtreme(path, "en")] == ["0-0", "1-0"]


def test_flat_rows(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "Wo?", "context": CONTEXT, "answers": {"text": ["Köln"] * 2, "answer_start": [22, 22]}},
        {"id": "b", "question": "Wo?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}},
    ]
    path = tmp_path / "sample.json"
    path.write_text(json.dumps({"version": 2.0, "data": rows}))
    assert [question.answers for question in reader.squad_rows(path, "en")] == [(AnswerSpan("Köln", 22),) * 2, ()]


def test_rows_of_the_hub_are_a_list_or_stand_one_a_line(tmp_path: Path) -> None:
    rows = [
        {"id": name, "question": "Wo?", "context": CONTEXT, "answers": {"text": ["K\u00f6ln"], "answer_start": [22]}}
        for name in ("a", "b")
    ]
    path = tmp_path / "rows.json"
    texts = (json.dumps(rows), json.dumps(rows, indent=1), "".join(json.dumps(row) + "\n" for row in rows))
    for text in texts:
        path.write_text(text)
        assert [question.id for question in reader.squad_rows(path, "de")] == ["a", "b"]
        with pytest.raises(InputError, match="their format is squad-rows"):
            reader.squad(path, "de")
    (article,) = json.loads(squad(path, qa("a", ("Der", 0))).read_text())["data"]
    with pytest.raises(InputError, match=r"their format is squad$"):
        reader.squad_rows(path, "de")
    path.write_text(json.dumps([article]))
    assert [question.id for question in reader.squad(path, "de")] == ["a"]
    path.write_text(json.dumps(article) + "\n" + json.dumps(article).replace('"a"', '"b"') + "\n")
    assert [question.id for question in reader.squad(path, "de")] == ["a", "b"]
