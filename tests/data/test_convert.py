"""Parquet files as the hub has them, through their conversion and the owner's reader: the same examples on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from xlt.data.dataset import Located, read, truly_labelled
from xlt.data.download.convert import convert
from xlt.data.records import Choice, Pair, Question, Tagged
from xlt.errors import InputError

Converted = Callable[..., Any]


@pytest.fixture
def converted(tmp_path: Path) -> Converted:
    """Write rows as parquet, convert them, and read the result with the reader of ``form``."""

    def function(kind: str, rows: list[dict[str, Any]], form: str, language: str = "en", name: str = "file") -> Any:
        source, target = tmp_path / "rows.parquet", tmp_path / name
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), source)
        convert(kind, source, language, target, "hub:toy/set@main/rows.parquet")
        return read(Located(name, form, (target,)), language)

    return function


def question(name: str, context: str, answers: list[tuple[str, int]], title: str = "T") -> dict[str, Any]:
    texts, starts = [text for text, _ in answers], [start for _, start in answers]
    return {
        "id": name,
        "title": title,
        "context": context,
        "question": f"What of {name}?",
        "answers": {"text": texts, "answer_start": starts},
    }


def test_squad(converted: Converted, tmp_path: Path) -> None:
    rows = [question("a", "Bob ran.", [("Bob", 0), ("Bob ran", 0)]), question("b", "Bob ran.", [("ran", 4)])]
    rows += [question("c", "Öl — “é”.", [("“é”", 5)]), question("d", "Öl — “é”.", [("Öl", 0)], "U")]
    records = converted("squad", rows, "squad")
    assert [(r.id, r.context, [(a.text, a.start) for a in r.answers]) for r in records] == [
        ("a", "Bob ran.", [("Bob", 0), ("Bob ran", 0)]),
        ("b", "Bob ran.", [("ran", 4)]),
        ("c", "Öl — “é”.", [("“é”", 5)]),
        ("d", "Öl — “é”.", [("Öl", 0)]),
    ]
    nested = json.loads((tmp_path / "file").read_text())["data"]
    assert [[len(p["qas"]) for p in article["paragraphs"]] for article in nested] == [[2, 1], [1]]


def test_squad_2_keeps_unanswerable_questions(converted: Converted) -> None:
    records: list[Question] = converted(
        "squad", [question("a", "Bob ran.", []), question("b", "Bob ran.", [("Bob", 0)])], "squad"
    )
    assert [len(record.answers) for record in records] == [0, 1]


def test_tydiqa_one_language_and_all(converted: Converted) -> None:
    rows = [question("swahili-1", "Bob ran.", [("Bob", 0)]), question("english-2", "Ann sat.", [("Ann", 0)])]
    assert [r.id for r in converted("tydiqa", rows, "squad", "sw")] == ["swahili-1"]
    assert [r.id for r in converted("tydiqa-all", rows, "tydiqa", "en")] == ["english-2"]
    with pytest.raises(InputError, match="expected rows in fi, got none"):
        converted("tydiqa", rows, "squad", "fi")


def test_xnli(converted: Converted) -> None:
    rows = [
        {
            "premise": {"de": "Er ging.", "en": 'He\twent "home".'},
            "hypothesis": {"language": ["en", "de"], "translation": ["He stayed.", "Er blieb."]},
            "label": 2,
        },
        {
            "premise": {"de": "A", "en": "B"},
            "hypothesis": {"language": ["de", "en"], "translation": ["C", "D"]},
            "label": 0,
        },
    ]
    assert converted("xnli", rows, "xnli-tsv") == [
        Pair("0", 'He went "home".', "He stayed.", "contradiction"),
        Pair("1", "B", "D", "entailment"),
    ]
    assert converted("xnli", rows, "xnli-tsv", "de")[0] == Pair("0", "Er ging.", "Er blieb.", "contradiction")
    single = [{"premise": 'a "b"', "hypothesis": "c", "label": 1}]
    assert converted("xnli-pairs", single, "pair-tsv") == [Pair("0", 'a "b"', "c", "neutral")]


def test_sentence_pairs(converted: Converted) -> None:
    mnli = [
        {"promptID": 1, "pairID": "1e", "premise": "p", "hypothesis": "h", "label": 0},
        {"promptID": 1, "pairID": "1x", "premise": "p", "hypothesis": "i", "label": -1},
    ]
    assert converted("nli", mnli, "nli-jsonl") == [Pair("1e", "p", "h", "entailment")]
    snli = [{"premise": "p", "hypothesis": "h", "label": 1}]
    assert converted("nli", snli, "nli-jsonl") == [Pair("0", "p", "h", "neutral")]
    anli = [{"uid": "u", "premise": "p", "hypothesis": "h", "label": 2, "reason": ""}]
    assert converted("anli", anli, "anli-jsonl") == [Pair("u", "p", "h", "contradiction")]
    pawsx = [
        {"id": 7, "sentence1": "a", "sentence2": "b", "label": 1},
        {"id": 8, "sentence1": "", "sentence2": "b", "label": 0},
    ]
    assert truly_labelled(converted("pawsx", pawsx, "pawsx-tsv")) == [Pair("7", "a", "b", "1")]
    assert [r.label for r in converted("pawsx-pairs", pawsx, "pair-tsv")] == ["1", "0"]
    qqp = [{"question1": "a\nb", "question2": "c", "label": 0, "idx": 5}]
    assert converted("qqp", qqp, "glue-tsv") == [Pair("5", "a b", "c", "0")]


def test_wikiann(converted: Converted) -> None:
    rows = [{"tokens": ["Bob", ":", "Rome"], "ner_tags": [1, 0, 5], "langs": ["en"] * 3, "spans": []}]
    assert converted("wikiann", rows, "wikiann") == [Tagged("0", ("Bob", ":", "Rome"), ("B-PER", "O", "B-LOC"))]


def test_choices(converted: Converted) -> None:
    siqa = [{"context": "C.", "question": "Q?", "answerA": "x", "answerB": "y", "answerC": "z", "label": "3"}]
    assert converted("siqa", siqa, "siqa-jsonl") == [Choice("0", "C. Q?", ("x", "y", "z"), 2)]
    swag = [{"ind": 4, "ctx": "He", "endings": ["a", "b", "c", "d"], "label": "1"}]
    assert converted("hellaswag", swag, "hellaswag-jsonl") == [Choice("4", "He", ("a", "b", "c", "d"), 1)]
    answers = {f"answer{i}": str(i) for i in range(4)}
    cosmos = [{"id": "k", "context": 'He said "no",\nthen', "question": "Q?", **answers, "label": 2}]
    assert converted("cosmosqa", cosmos, "cosmosqa-csv")[0].label == 2
    csqa = [{"id": "i", "question": "Q?", "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "B"}]
    assert converted("commonsenseqa", csqa, "commonsenseqa-jsonl") == [Choice("i", "Q?", ("x", "y"), 1)]
    copa = [{"premise": "P.", "choice1": "x", "choice2": "y", "question": "cause", "idx": 3, "label": 1}]
    assert converted("jsonl", copa, "copa-jsonl") == [Choice("3", "P. What was the cause?", ("x", "y"), 1)]


def test_classes_in_another_order_are_refused(tmp_path: Path) -> None:
    names = ["contradiction", "neutral", "entailment"]
    header = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    table = pyarrow.Table.from_pylist([{"premise": "p", "hypothesis": "h", "label": 0}])
    table = table.replace_schema_metadata({"huggingface": json.dumps(header)})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(InputError, match="expected the classes entailment, neutral, contradiction, got contradiction"):
        convert("nli", tmp_path / "rows.parquet", "en", tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"premise": pyarrow.array([], pyarrow.string())}), tmp_path / "none")
    with pytest.raises(InputError, match="x: expected rows, got none"):
        convert("nli", tmp_path / "none", "en", tmp_path / "out", "x")


def test_other_columns_or_no_parquet_is_one_line(converted: Converted, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows\.parquet: not in the columns that wikiann has: KeyError 'tokens'"):
        converted("wikiann", [{"words": ["a"]}], "wikiann")
    (tmp_path / "page").write_text("<html>")
    with pytest.raises(InputError, match="expected a parquet file"):
        convert("nli", tmp_path / "page", "en", tmp_path / "out", "x")
