"""Sentences that what is scored shares with what trains, counted by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from xlt.config.benchmark import Profile, Recipe, Source, Task, load, load_all
from xlt.data.leaks import Leak, as_table, chain, find_leaks, hashed, shared
from xlt.data.overlap import examples_of, normalised
from xlt.data.records import CandidateEntity, Choice, Mention, Mining, Pair, ParallelText, Passage, Question, Tagged
from xlt.data.verify import Verified
from xlt.data.verify_report import as_markdown
from xlt.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TASKS, RECIPES = load_all(Task, CONFIGS / "tasks"), load_all(Recipe, CONFIGS / "recipes")
PAPER = load(Profile, CONFIGS / "profiles" / "paper.yaml")
REAL = os.environ.get("XLT_REALDATA")


def test_case_width_and_spaces_make_no_other_sentence() -> None:
    assert normalised("  The\u3000ＣＡＴ \n sat. ") == "the cat sat."
    assert normalised("A cat.") != normalised("A cat!")


@pytest.mark.parametrize(
    ("records", "texts"),
    [
        ([Pair("1", "a", "b", "0"), Pair("2", "NS", "c", "0")], [("a", "b")]),
        ([Choice("1", "p", ("x", "y"), 0)], [("p", "x", "y")]),
        ([Tagged("1", ("New", "York"), None)], [("New York",)]),
        ([Question("1", "who", "Bob sat.", ())], [("who", "Bob sat.")]),
        (
            [Passage("en_1", "A. B.", ("A.", "B."), (("1", "who", 0), ("2", "where", 1)))],
            [("who", "A. B."), ("where", "A. B.")],
        ),
        ([Mention("1", "Bob sat.", 0, 3, "Q1"), CandidateEntity("Q1", "Bob", "a man", "en")], [("Bob sat.",)]),
        (ParallelText(("eins", "zwei"), ("two", "one"), (1, 0)), [("eins", "one"), ("zwei", "two")]),
        (Mining({"f": "eins"}, {"e": "one"}, None), [("eins",), ("one",)]),
    ],
)
def test_the_texts_of_an_example(records: object, texts: list[tuple[str, ...]]) -> None:
    assert list(examples_of(records)) == texts


def test_an_example_counts_once_and_an_empty_text_never() -> None:
    trained = frozenset(text for texts in hashed([("a", "b"), ("", "c")]) for text in texts)
    assert shared(hashed([("A", "B"), ("b", "x"), ("", "y"), ("", "")]), trained) == 2


@pytest.fixture
def pawsx(tmp_path: Path, write: Callable[[Path, str], Path]) -> Path:
    """PAWS-X in English: training 1, 2; development 2', 3 (2 with its sentences swapped); test 3', 4, one row in French."""
    header = "id\tsentence1\tsentence2\tlabel\n"
    for name, rows in {
        "en/train": "1\tA b c.\tC b a.\t1\n2\tD e f.\tF e d.\t0\n",
        "en/dev_2k": "1\tF e d.\tD e f.\t0\n2\tG h i.\tI h g.\t1\n",
        "en/test_2k": "1\tg  H i.\tSomething else.\t0\n2\tJ k l.\tL k j.\t1\n3\tA b c.\tM n o.\t1\n",
        "fr/test_2k": "1\tD e f.\tUn deux.\t0\n2\tNS\tA b c.\t0\n",
    }.items():
        write(tmp_path / f"x-final/{name}.tsv", header + rows)
    return tmp_path


def test_leaks_of_pawsx_by_hand(pawsx: Path) -> None:
    tasks = {"pawsx": TASKS["pawsx"]}
    found = find_leaks(pawsx, PAPER, tasks, {name: RECIPES[name] for name in ("pawsx", "qqp")})
    assert sorted(found, key=lambda leak: (leak.set != "training pawsx", leak.language, leak.part == "dev")) == [
        Leak("training pawsx", "dev", "en", 2, "pawsx", "train", 1, own=True),
        Leak("pawsx", "test", "en", 3, "pawsx", "train", 1, own=True),
        Leak("pawsx", "test", "en", 3, "pawsx", "dev", 1, own=True),
        Leak("pawsx", "test", "fr", 1, "pawsx", "train", 1, own=True),  # the untranslated row is no example
        Leak("pawsx", "test", "fr", 1, "pawsx", "dev", 1, own=True),  # "D e f." is in the development set as well
    ]
    row = next(
        line for line in as_table(found, own=True).splitlines() if line.startswith("| pawsx") and "train" in line
    )
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "pawsx", "test", "pawsx", "train", "2", "4", "fr 1 of 1, en 1 of 3",
    ]  # fmt: skip
    assert as_table(found, own=False) == ""
    report = Verified([], [], [], found)
    assert report.status == 0  # a warning
    assert "## Leaks" in as_markdown(report, pawsx) and len(report.as_json()["leaks"]) == 5


def test_a_part_of_a_file_is_held_against_the_other_part(pawsx: Path) -> None:
    whole = Source(path="x-final/en/test_2k.tsv", format="pawsx-tsv")
    cut = {"train": [whole.model_copy(update={"take": 1})], "dev": [whole.model_copy(update={"skip": 1})]}
    profile = PAPER.model_copy(update={"sources": {"pawsx": cut}, "splits": {"pawsx": "dev"}})
    found = find_leaks(pawsx, profile, {"pawsx": TASKS["pawsx"]}, {"pawsx": RECIPES["pawsx"]})
    assert {leak.part for leak in found} == {"dev"}  # what chooses the epoch is what is scored; the first row is apart
    assert found[0].shared == found[0].examples == 2


def test_the_passages_of_another_training_set(tmp_path: Path, write: Callable[[Path, str], Path]) -> None:
    """XQuAD's English passages come from SQuAD's development set, whose questions choose the epoch."""
    answer = {"text": "Bob", "answer_start": 0}
    for path, name, passage in (
        ("xquad/xquad.en.json", "1", "Bob sat."),
        ("squad/dev-v1.1.json", "2", "Bob  sat."),
        ("squad/train-v1.1.json", "3", "Bob ran."),
        ("squad/train-v2.0.json", "4", "bob sat."),
    ):
        qas = [{"id": name, "question": f"Question {name}?", "answers": [answer | {"text": passage[:3]}]}]
        document = {"data": [{"paragraphs": [{"context": passage, "qas": qas}]}]}
        write(tmp_path / path, json.dumps(document))
    recipes = {name: RECIPES[name] for name in ("squad", "squad2")}
    assert find_leaks(tmp_path, PAPER, {"xquad": TASKS["xquad"]}, recipes) == [
        Leak("xquad", "test", "en", 1, "squad", "dev", 1, own=True),
        Leak("xquad", "test", "en", 1, "squad2", "train", 1, own=False),
    ]


def test_what_trains_before_trains_too() -> None:
    assert chain("copa", RECIPES) == ["copa", "siqa"]


def test_a_set_that_is_kept_apart_from_what_is_scored(pawsx: Path) -> None:
    """Training 2 has a sentence of the French test row and of development 1; development 2 has one of English test row 1."""
    own = RECIPES["pawsx"].sources
    apart = {part: [source.model_copy(update={"apart_from": "pawsx"}) for source in own[part]] for part in own}
    profile = PAPER.model_copy(update={"sources": {"pawsx": apart}})
    assert find_leaks(pawsx, profile, {"pawsx": TASKS["pawsx"]}, {"pawsx": RECIPES["pawsx"]}) == []
    with pytest.raises(InputError, match="apart_from: expected one of xnli, got pawsx"):
        find_leaks(pawsx, profile, {"xnli": TASKS["xnli"]}, {"pawsx": RECIPES["pawsx"]})


@pytest.mark.skipif(REAL is None, reason="XLT_REALDATA names no folder of real files")
def test_the_pilot_scores_no_sentence_of_pawsx_that_it_trains_on() -> None:
    """Its first 600 English pairs train and choose the epoch, but for those that share a sentence with the others."""
    path = Path(str(REAL)) / "xtreme" / "pawsx" / "dev-en.tsv"
    rows = [row.lower().split("\t")[:2] for row in path.read_text(encoding="utf-8").splitlines()]
    beginning = {sentence for row in rows[:600] for sentence in row}
    assert any(not beginning.isdisjoint(row) for row in rows[600:])
    profile = load(Profile, CONFIGS / "profiles" / "pilot.yaml")
    assert find_leaks(Path(str(REAL)), profile, {"pawsx": TASKS["pawsx"]}, {"pawsx": RECIPES["pawsx"]}) == []
