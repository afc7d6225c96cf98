"""Multiple choice in every format it comes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xlt.data.readers import choice as reader
from xlt.data.records import Choice
from xlt.errors import InputError


def jsonl(path: Path, *rows: dict[str, Any], end: str = "\n") -> Path:
    path.write_text("".join(json.dumps(row) + end for row in rows), encoding="utf-8", newline="")
    return path


COPA = {"premise": "Mees keeras kraani lahti.", "choice1": "a", "choice2": "b", "question": "effect", "idx": 5}
SIQA = {"context": "Tracy stayed.", "question": "Why?", "answerA": "x", "answerB": "y", "answerC": "z"}


def test_minus_one_is_a_withheld_label(tmp_path: Path) -> None:
    """As in the hub's test sets."""
    assert [c.label for c in reader.copa_jsonl(jsonl(tmp_path / "f", {**COPA, "label": -1}), "en")] == [None]
    rows = ({"ctx": "C", "endings": list("abcd"), "label": label} for label in ("", "-1", "3"))
    assert [c.label for c in reader.hellaswag_jsonl(jsonl(tmp_path / "f", *rows), "en")] == [None, None, 3]


def test_copa_prompt_is_xtremes(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "val.et.jsonl", {**COPA, "label": 1}, {**COPA, "question": "cause"}, end="\r\n")
    first, second = reader.copa_jsonl(path, "et")
    assert first == Choice("5", "Mees keeras kraani lahti. What was the effect?", ("a", "b"), 1)
    assert second.prompt.endswith("What was the cause?")
    assert second.label is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 2}, "expected a label from 0 to 1, got 2"),
        ({"question": "why"}, "cause or effect"),
        ({"choice2": 3}, "choice2"),
    ],
)
def test_copa_errors_name_the_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = jsonl(tmp_path / "f.jsonl", {**COPA, "label": 0}, {**COPA, "label": 0, **change})
    with pytest.raises(InputError, match=message) as caught:
        reader.copa_jsonl(path, "et")
    assert caught.value.line == 2


def test_siqa_with_the_answer_inside(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "socialIQa_v1.4_dev.jsonl", {**SIQA, "correct": "C"})
    assert reader.siqa_jsonl(path, "en") == [Choice("0", "Tracy stayed. Why?", ("x", "y", "z"), 2)]
    with pytest.raises(InputError, match="A, B or C, got 'D'"):
        reader.siqa_jsonl(jsonl(path, {**SIQA, "correct": "D"}), "en")


def test_siqa_with_answers_beside(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "train.jsonl", SIQA, SIQA)
    answers = tmp_path / "train-labels.lst"
    answers.write_text("1\n3\n")
    assert [item.label for item in reader.siqa_lst(path, "en")] == [0, 2]
    answers.write_text("1\n4\n")
    with pytest.raises(InputError, match=r"train-labels\.lst:2: expected an answer 1, 2 or 3"):
        reader.siqa_lst(path, "en")
    answers.write_text("1\n")
    with pytest.raises(InputError, match="expected 2 answers"):
        reader.siqa_lst(path, "en")


def test_hellaswag(tmp_path: Path) -> None:
    row = {"ind": 24, "ctx": "A man", "ctx_a": "A man", "endings": ["a", "b", "c", "d"], "label": 3}
    path = jsonl(tmp_path / "hellaswag_val.jsonl", row, {k: v for k, v in row.items() if k != "label"})
    assert reader.hellaswag_jsonl(path, "en") == [
        Choice("24", "A man", ("a", "b", "c", "d"), 3),
        Choice("24", "A man", ("a", "b", "c", "d"), None),
    ]
    with pytest.raises(InputError, match="four endings, got 3"):
        reader.hellaswag_jsonl(jsonl(path, {**row, "endings": ["a", "b", "c"]}), "en")


def test_cosmosqa_csv_with_quotes_and_line_ends_in_cells(tmp_path: Path) -> None:
    path = tmp_path / "valid.csv"
    header = "id,context,question,answer0,answer1,answer2,answer3,label\r\n"
    path.write_text(
        f'{header}q1,"He said ""no"",\nthen left.",Why?,a,b,c,"d, e",3\r\nq2,C,Q?,a,b,c,d,9\r\n', newline=""
    )
    with pytest.raises(InputError, match="from 0 to 3, got '9'") as caught:
        reader.cosmosqa_csv(path, "en")
    assert caught.value.line == 4  # the first example takes two lines
    path.write_text(f'{header}q1,"He said ""no"",\nthen left.",Why?,a,b,c,"d, e",3\r\n', newline="")
    assert reader.cosmosqa_csv(path, "en") == [
        Choice("q1", 'He said "no",\nthen left. Why?', ("a", "b", "c", "d, e"), 3)
    ]
    path.write_text(f"{header}q1,C,Q?,a,b\r\n", newline="")
    with pytest.raises(InputError, match=r"valid\.csv:2: expected 8 columns, got 5"):
        reader.cosmosqa_csv(path, "en")


def test_cosmosqa_jsonl(tmp_path: Path) -> None:
    row = {"id": "q", "context": "C.", "question": "Q?", **{f"answer{i}": str(i) for i in range(4)}, "label": 2}
    path = jsonl(tmp_path / "train.jsonl", row)
    assert reader.cosmosqa_jsonl(path, "en") == [Choice("q", "C. Q?", ("0", "1", "2", "3"), 2)]


def test_commonsenseqa_in_both_forms(tmp_path: Path) -> None:
    flat = {"label": list("ABCDE"), "text": ["bank", "library", "store", "mall", "york"]}
    nested = [{"label": x, "text": t} for x, t in zip(flat["label"], flat["text"], strict=True)]
    path = jsonl(
        tmp_path / "dev_rand_split.jsonl",
        {"id": "1", "question": "Where?", "question_concept": "door", "choices": flat, "answerKey": "B"},
        {"id": "2", "question": {"stem": "Where?", "choices": nested}},
    )
    options = ("bank", "library", "store", "mall", "york")
    assert reader.commonsenseqa_jsonl(path, "en") == [
        Choice("1", "Where?", options, 1),
        Choice("2", "Where?", options, None),
    ]
    bad = {"id": "1", "question": "Where?", "choices": flat, "answerKey": "F"}
    with pytest.raises(InputError, match="answerKey of A, B, C, D, E, got 'F'"):
        reader.commonsenseqa_jsonl(jsonl(path, bad), "en")
