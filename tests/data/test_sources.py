"""Finding the files of a source and reading them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xlt.config.benchmark import Source
from xlt.data.dataset import expand, labelled, locate, read, read_candidates
from xlt.data.records import AnswerSpan, CandidateEntity, Mention, Mining, Pair, ParallelText, Passage, Question, Tagged
from xlt.errors import InputError

ALTERNATIVES = [
    Source(path="own/{lang}/{split}.tsv", format="tags-tsv"),
    Source(path="x/*-{lang}.tsv", format="tags-tsv"),
]


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_placeholders() -> None:
    pattern = "{lang}/{lang3}/{language_name}/{split}/{question_lang}"
    assert expand(pattern, language="sw", split="dev") == "sw/swh/swahili/dev/sw"
    assert expand("{lang}-{question_lang}", language="de", split="dev", question_language="ar") == "de-ar"
    with pytest.raises(InputError, match="in braces, got speech"):
        expand("{speech}", language="sw", split="dev")


def test_the_first_alternative_there_is(tmp_path: Path) -> None:
    assert locate(tmp_path, ALTERNATIVES, language="de", split="dev") is None
    second = put(tmp_path / "x" / "b-de.tsv", "a\tO\n")
    first = put(tmp_path / "x" / "a-de.tsv", "b\tO\n")
    put(tmp_path / "x" / "a-en.tsv", "c\tO\n")
    found = locate(tmp_path, ALTERNATIVES, language="de", split="dev")
    assert found is not None
    assert found.files == (first, second)
    assert read(found, "de") == [Tagged("1.0", ("b",), ("O",)), Tagged("2.0", ("a",), ("O",))]
    own = put(tmp_path / "own" / "de" / "dev.tsv", "d\tX\n")
    found = locate(tmp_path, ALTERNATIVES, language="de", split="dev")
    assert found is not None
    assert found.files == (own,)
    assert read(found, "de") == [Tagged("0", ("d",), ("X",))]
    with pytest.raises(InputError, match=r"dev\.tsv:1: expected a label of O, got 'X'"):
        read(found, "de", ["O"])


def test_a_format_without_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a format of anli-jsonl"):
        locate(tmp_path, [Source(path="a", format="excel")], language="de", split="dev")


def test_aligned_lines_are_not_dropped(tmp_path: Path) -> None:
    source = Source(path="a", format="bucc", on_error="drop")
    with pytest.raises(InputError, match="expected on_error refuse: lines of bucc belong together"):
        locate(tmp_path, [source], language="de", split="dev")


def test_everything_that_is_read_is_listed(tmp_path: Path) -> None:
    main = put(tmp_path / "zh-en.dev.zh", "z\tx\n")
    english = put(tmp_path / "zh-en.dev.en", "e\ty\n")
    found = locate(tmp_path, [Source(path="{lang}-en.{split}.{lang}", format="bucc")], language="zh", split="dev")
    assert found is not None
    assert list(found.inputs) == [main, english]
    assert read(found, "zh") == Mining({"z": "x"}, {"e": "y"}, None)
    gold = put(tmp_path / "zh-en.dev.gold", "z\te\n")
    assert list(found.inputs) == [main, english, gold]


def test_bitext(tmp_path: Path) -> None:
    put(tmp_path / "tatoeba.swh-eng.swh", "a\n")
    put(tmp_path / "tatoeba.swh-eng.eng", "b\n")
    source = Source(path="tatoeba.{lang3}-eng.{lang3}", format="tatoeba")
    found = locate(tmp_path, [source], language="sw", split="test")
    assert found is not None
    assert read(found, "sw") == ParallelText(("a",), ("b",), (0,))


def test_candidates_belong_to_mewslix(tmp_path: Path) -> None:
    put(tmp_path / "m.jsonl", "{}")
    found = locate(tmp_path, [Source(path="m.jsonl", format="mewslix-mentions")], language="de", split="test")
    assert found is not None
    with pytest.raises(InputError, match=r"candidate_set_entities\.jsonl: expected a data file"):
        read_candidates(found)
    other = locate(tmp_path, [Source(path="m.jsonl", format="squad")], language="de", split="test")
    assert other is not None
    with pytest.raises(InputError, match="expected the format mewslix-mentions, got squad"):
        read_candidates(other)


def test_a_file_of_placeholders_only_has_no_examples(tmp_path: Path) -> None:
    row = {"gold_label": "-", "pairID": "1", "sentence1": "a", "sentence2": "b"}
    put(tmp_path / "f.jsonl", json.dumps(row))
    found = locate(tmp_path, [Source(path="f.jsonl", format="nli-jsonl")], language="en", split="dev")
    assert found is not None
    with pytest.raises(InputError, match="expected examples, got none"):
        read(found, "en")


def test_gold() -> None:
    assert labelled([Pair("0", "a", "b", "x")])
    assert not labelled([Pair("0", "a", "b", "x"), Pair("1", "a", "b", None)])
    assert not labelled([Tagged("0", ("a",), None)])
    assert not labelled([Question("0", "q", "c", ())])
    assert labelled([Question("0", "q", "c", ()), Question("1", "q", "c", (AnswerSpan("c", 0),))])
    assert labelled([Mention("0", "t", 0, 1, "Q1"), CandidateEntity("Q1", "t", "d", "en")])
    assert not labelled([Mention("0", "t", 0, 1, None), CandidateEntity("Q1", "t", "d", "en")])
    assert not labelled([Passage("0", "c", ("c",), ())])
    assert not labelled([])
