"""Language pairs: joined by example id whatever the order of the files, refused where nothing tells what belongs together."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt.config.benchmark import Caps, Task, load
from xlt.config.run_config import Evaluation, FileSet
from xlt.data.language_pairs import (
    Half,
    join_pairs,
    join_passages,
    join_questions,
    keyed,
    numbered,
    pairs_of,
    read_pairs,
    split_pair,
)
from xlt.data.records import AnswerSpan, Pair, Passage, Question
from xlt.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
LEFT, RIGHT = Path("de.tsv"), Path("fr.tsv")
LABELS = ("entailment", "neutral", "contradiction")
REAL = os.environ.get("XLT_REALDATA")


def pair(name: str, language: str, label: str | None = "neutral") -> Pair:
    return Pair(name, f"{language} premise {name}", f"{language} hypothesis {name}", label)


def evaluation(task: str, files: dict[str, tuple[str, str]], pairs: list[str], cap: int | None = None) -> Evaluation:
    """An evaluation of a pair task; ``files``: (path, format) by language or pair."""
    sets = {code: FileSet(format=form, files=[path], sha256={}) for code, (path, form) in files.items()}
    return Evaluation(
        task=load(Task, CONFIGS / "tasks" / f"{task}.yaml"),
        split="test",
        caps=Caps(test=cap),
        files=sets,
        tuning_files={},
        pairs=pairs,
        no_data=[],
    )


def test_codes() -> None:
    assert pairs_of(["de", "fr"]) == ["de-de", "de-fr", "fr-de", "fr-fr"]
    assert split_pair("de-fr") == ("de", "fr")


@given(
    names=st.lists(st.integers(0, 99).map(str), min_size=1, max_size=20, unique=True),
    shuffled=st.randoms(use_true_random=False),
    data=st.data(),
)
def test_pairs_are_joined_by_id_whatever_the_order(names: list[str], shuffled: Any, data: Any) -> None:
    kept = [data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True)) for _ in range(2)]
    common = set(kept[0]) & set(kept[1])
    label = {name: LABELS[int(name) % 3] for name in names}
    halves = []
    for own, language, path in zip(kept, ("de", "fr"), (LEFT, RIGHT), strict=True):
        records = [pair(name, language, label[name]) for name in own]
        shuffled.shuffle(records)
        halves.append(Half(records, path))
    if not common:
        with pytest.raises(InputError, match="got none in common"):
            join_pairs(*halves)
        return
    joined = join_pairs(*halves)
    assert [record.id for record in joined.examples] == [r.id for r in halves[0].records if r.id in common]
    for record in joined.examples:
        expected = Pair(record.id, f"de premise {record.id}", f"fr hypothesis {record.id}", label[record.id])
        assert record == expected
    assert sorted(joined.unpaired) == sorted(set(kept[0]) ^ set(kept[1]))


@given(st.lists(st.sampled_from("abc"), min_size=1))
def test_an_id_twice_is_an_error(names: list[str]) -> None:
    if len(set(names)) == len(names):
        assert keyed(((name, name) for name in names), LEFT) == dict(zip(names, names, strict=True))
        return
    with pytest.raises(InputError, match=r"de\.tsv: expected each example id once"):
        keyed(((name, name) for name in names), LEFT)


def test_labels_that_differ_are_refused_with_both_files() -> None:
    left = Half([pair("1", "de"), pair("2", "de", "entailment")], LEFT)
    right = Half([pair("2", "fr", "contradiction"), pair("1", "fr")], RIGHT)
    message = r"de\.tsv: example 2: expected the label of fr\.tsv, contradiction, got entailment"
    with pytest.raises(InputError, match=message):
        join_pairs(left, right)


def test_untranslated_sentences_count_as_not_there() -> None:
    left = Half([pair("1", "de"), pair("2", "de")], LEFT)
    right = Half([Pair("1", "NS", "fr", "neutral"), pair("2", "fr")], RIGHT)
    joined = join_pairs(left, right)
    assert [record.id for record in joined.examples] == ["2"]
    assert joined.unpaired == ["1"]


def rows(labels: str, path: Path, ns: int | None = None) -> Half:
    """A file without ids, its labels by their first letter."""
    named = {label[0]: label for label in LABELS}
    records = [pair(str(number), path.stem, named[letter]) for number, letter in enumerate(labels)]
    if ns is not None:
        records[ns] = Pair(str(ns), "NS", records[ns].text_b, records[ns].label)
    return Half(records, path, numbered=True)


def test_rows_without_ids_are_joined_when_every_label_agrees() -> None:
    joined = join_pairs(rows("encce", LEFT), rows("encce", RIGHT))
    assert [record.text_b for record in joined.examples] == [f"fr hypothesis {i}" for i in range(5)]


@given(st.integers(0, 4))
def test_a_row_lost_or_moved_is_noticed(place: int) -> None:
    whole = "encen"  # no two neighbouring rows are labelled alike
    with pytest.raises(InputError, match=r"de\.tsv: expected 4 rows, as many as fr\.tsv, got 5"):
        join_pairs(rows(whole, LEFT), rows(whole[:place] + whole[place + 1 :], RIGHT))
    moved = whole[place + 1 :] + whole[: place + 1]
    if moved != whole:
        first = next(i for i in range(5) if moved[i] != whole[i])
        with pytest.raises(InputError, match=rf"de\.tsv:{first + 1}: expected the label of the same row of fr\.tsv"):
            join_pairs(rows(whole, LEFT), rows(moved, RIGHT))


def test_a_label_of_an_untranslated_row_does_not_count() -> None:
    joined = join_pairs(rows("enc", LEFT), rows("ecc", RIGHT, ns=1))  # PAWS-X writes 0 for such rows
    assert [record.id for record in joined.examples] == ["0", "2"]


def test_ids_and_row_numbers_do_not_mix() -> None:
    with pytest.raises(InputError, match=r"fr\.tsv: expected ids as in de\.tsv"):
        join_pairs(Half([pair("0", "de")], LEFT), rows("n", RIGHT))


@pytest.mark.parametrize(
    ("header", "form", "expected"),
    [
        ("language\tgold_label\tsentence1\tsentence2\tpairID", "xnli-tsv", False),
        ("language\tpremise\thypothesis\tlabel", "xnli-tsv", True),
        ("id\tsentence1\tsentence2\tlabel", "pawsx-tsv", False),
        ("sentence1\tsentence2\tlabel", "pawsx-tsv", True),
        ("one\tother\t1", "pair-tsv", True),
        ('{"data": []}', "squad", False),
    ],
)
def test_which_files_have_ids(
    write: Callable[[Path, str], Path], tmp_path: Path, header: str, form: str, expected: bool
) -> None:
    assert numbered(write(tmp_path / "file", header + "\n"), form) is expected


def question(name: str, language: str) -> Question:
    context = f"{language} passage {name}"
    return Question(name, f"{language} question {name}", context, (AnswerSpan(context[:2], 0),))


def test_answers_are_those_of_the_passages_language() -> None:
    joined = join_questions(
        Half([question("a", "de"), question("b", "de")], LEFT), Half([question("b", "fr"), question("c", "fr")], RIGHT)
    )
    assert joined.examples == [Question("b", "fr question b", "de passage b", (AnswerSpan("de", 0),))]
    assert joined.unpaired == ["a", "c"]


def test_two_languages_may_have_no_question_in_common() -> None:
    joined = join_questions(Half([question("a", "de")], LEFT), Half([question("b", "fr")], RIGHT))
    assert (joined.examples, joined.unpaired) == ([], ["a", "b"])


def test_lareqa_has_one_right_sentence_in_the_answers_language() -> None:
    # question q2 is answered in sentence 1 of the second German passage and asked in French
    german = [
        Passage("de_1", "A. B.", ("A.", "B."), (("q1", "frage 1", 0),)),
        Passage("de_2", "C. D.", ("C.", "D."), (("q2", "frage 2", 1),)),
    ]
    french = [Passage("fr_1", "E. F.", ("E.", "F."), (("q2", "question 2", 0), ("q3", "question 3", 1)))]
    joined = join_passages(Half(german, LEFT), Half(french, RIGHT))
    assert joined.examples.queries == (("q2_fr", "question 2", "de_2_1"),)
    assert joined.examples.gold == {"q2_fr": ["de_2_1"]}
    assert joined.examples.passages == tuple(german)
    assert sorted(joined.unpaired) == ["q1", "q3"]


def test_the_owners_file_of_a_pair_says_the_same_as_joining(mini_data: Path) -> None:
    """The generated world writes MLQA's files of pairs with English from its own meanings, not by joining."""
    folder = "mlqa/MLQA_V1/test/test-context-{}-question-{}.json"
    alone = {code: (folder.format(code, code), "squad") for code in ("en", "qag")}
    codes = ["qag-en", "en-qag"]
    own = {code: (folder.format(*split_pair(code)), "squad") for code in codes}
    joined, withheld, unpaired = read_pairs(evaluation("mlqa-pairs", alone, codes), mini_data)
    read, _, _ = read_pairs(evaluation("mlqa-pairs", alone | own, codes), mini_data)
    assert joined == read
    assert (withheld, unpaired) == ([], {"qag-en": 0, "en-qag": 0})


def test_a_language_with_itself_is_the_task_itself(mini_data: Path) -> None:
    files = dict.fromkeys(("en", "qaa"), ("XNLI-1.0/xnli.test.tsv", "xnli-tsv"))
    found, _, _ = read_pairs(evaluation("xnli-pairs", files, pairs_of(["en", "qaa"]), cap=4), mini_data)
    assert [len(examples) for examples in found.values()] == [4] * 4
    mixed = found["qaa-en"]
    assert [r.text_a for r in mixed] == [r.text_a for r in found["qaa-qaa"]]
    assert [r.text_b for r in mixed] == [r.text_b for r in found["en-en"]]
    assert [r.label for r in mixed] == [r.label for r in found["en-en"]]


def test_withheld_gold_and_lost_examples_are_named(
    write: Callable[[Path, str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    header = "id\tsentence1\tsentence2\tlabel\n"
    write(tmp_path / "de.tsv", header + "".join(f"{i}\ta{i}\tb{i}\t{i % 2}\n" for i in range(9)))
    write(tmp_path / "fr.tsv", header + "8\tc\td\t0\n1\te\tf\t1\n")
    write(tmp_path / "ko.tsv", "g\th\n")
    forms = {"de": "pawsx-tsv", "fr": "pawsx-tsv", "ko": "pair-tsv"}
    files = {code: (f"{code}.tsv", form) for code, form in forms.items()}
    with caplog.at_level(logging.WARNING):
        found, withheld, unpaired = read_pairs(evaluation("pawsx-pairs", files, ["de-fr", "de-ko"]), tmp_path)
    assert found == {"de-fr": [Pair("1", "a1", "f", "1"), Pair("8", "a8", "d", "0")]}
    assert (withheld, unpaired) == (["de-ko"], {"de-fr": 7})
    assert "de-fr: left out 7 examples without a counterpart in" in caplog.text
    assert "de.tsv and" in caplog.text
    assert caplog.text.rstrip().endswith(": 0, 2, 3, 4, 5, ...")


@pytest.mark.skipif(REAL is None, reason="XLT_REALDATA names no folder of real files")
def test_real_files() -> None:
    """XTREME's XNLI and PAWS-X development files pass the check of their labels, and XQuAD's questions have common ids."""
    data = Path(str(REAL))
    nli = {code: (f"xtreme/xnli/dev-{code}.tsv", "pair-tsv") for code in ("en", "sw", "th")}
    found, _, _ = read_pairs(evaluation("xnli-pairs", nli, pairs_of(list(nli))), data)
    assert {len(examples) for examples in found.values()} == {600}
    paws = {code: (f"xtreme/pawsx/dev-{code}.tsv", "pair-tsv") for code in ("en", "de", "ko")}
    found, _, unpaired = read_pairs(evaluation("pawsx-pairs", paws, pairs_of(list(paws))), data)
    assert len(found["en-en"]) == 1000
    assert len(found["en-de"]) + unpaired["en-de"] == 1000  # German has untranslated rows
    assert unpaired["en-de"] == 29
    questions = {code: (f"xquad/xquad.{code}.json", "squad") for code in ("zh", "ro")}
    found, _, _ = read_pairs(evaluation("xquad-pairs", questions, ["zh-ro"]), data)
    assert len(found["zh-ro"]) == 1190
    assert found["zh-ro"][0].answers[0].text in found["zh-ro"][0].context
