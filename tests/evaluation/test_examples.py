"""Which item each example is: translations of each other are one, whatever the file, the order and the task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tasks import TASKS, write_submission

from xlt.data.records import AnswerSpan, Pair, ParallelText, Passage, Question, Tagged
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.layout import PREDICTED
from xlt.pipeline.per_example_scores import example_items, write_examples, write_items


def write_gold(folder: Path, task: str, records: dict[str, Any]) -> None:
    FAMILIES[TASKS[task].family].write_gold(folder, TASKS[task], records)


def pair(name: str) -> Pair:
    return Pair(name, "a", "b", "neutral")


def question(name: str) -> Question:
    return Question(name, "q", "c", (AnswerSpan("c", 0),))


def items(folder: Path, task: str, language: str) -> list[int]:
    return list(example_items(TASKS[task], folder, language).tolist())


def test_ids_are_followed_and_not_places(tmp_path: Path) -> None:
    write_items(tmp_path, TASKS["xnli"], {"de": [pair("7"), pair("8"), pair("9")], "fr": [pair("9"), pair("7")]})
    german, french = items(tmp_path, "xnli", "de"), items(tmp_path, "xnli", "fr")
    assert french == [german[2], german[0]]
    assert len(set(german)) == 3


def test_mlqa_shares_some_questions_and_xquad_all_of_lareqa_s(tmp_path: Path) -> None:
    write_gold(
        tmp_path / "labels", "mlqa", {"de": [question("x"), question("y")], "hi": [question("y"), question("z")]}
    )
    assert items(tmp_path, "mlqa", "de")[1] == items(tmp_path, "mlqa", "hi")[0]
    assert len({*items(tmp_path, "mlqa", "de"), *items(tmp_path, "mlqa", "hi")}) == 3
    passages = {
        code: [Passage(f"{code}_1", "c d", ("c", "d"), (("x", "?", 0), ("q_2", "?", 1)))] for code in ("de", "zh")
    }
    write_gold(tmp_path / "labels", "lareqa", passages)
    write_gold(tmp_path / "labels", "xquad", {"el": [question("q_2"), question("x")]})
    assert items(tmp_path, "lareqa", "de") == items(tmp_path, "lareqa", "zh") == items(tmp_path, "xquad", "el")[::-1]
    assert items(tmp_path, "xquad", "el")[1] != items(tmp_path, "mlqa", "de")[0]  # the same id of another owner


def test_parallel_treebanks_and_english_sentences(tmp_path: Path) -> None:
    def tagged(*names: str) -> list[Tagged]:
        return [Tagged(name, ("a",), ("NOUN",)) for name in names]

    # German has two treebanks, whose sentences are numbered with their file; Thai has the parallel one alone
    write_items(tmp_path, TASKS["udpos"], {"de": tagged("1.s1", "2.n01001011"), "th": tagged("n01001011")})
    assert items(tmp_path, "udpos", "de")[1:] == items(tmp_path, "udpos", "th")
    texts = {"de": ParallelText(("a", "b"), ("One.", "Two."), (0, 1)), "fr": ParallelText(("c",), ("Two.",), (0,))}
    write_items(tmp_path, TASKS["tatoeba"], texts)
    assert items(tmp_path, "tatoeba", "de")[1:] == items(tmp_path, "tatoeba", "fr")


def test_examples_are_kept_with_their_items(tmp_path: Path) -> None:
    records = {"de": [pair("1"), pair("2")]}
    write_gold(tmp_path / "labels", "xnli", records)
    write_items(tmp_path, TASKS["xnli"], records)
    write_submission(tmp_path / "predictions", "xnli", "de", ["neutral", "entailment"])
    write_examples(tmp_path, [(TASKS["xnli"], ["de"])])
    with np.load(tmp_path / "examples.npz") as kept:
        assert kept["xnli/accuracy/de"].tolist() == [1, 0]
        assert kept["xnli/item/de"].tolist() == items(tmp_path, "xnli", "de")
        assert kept["xnli/item/de"].dtype == np.uint64


def test_names_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_gold(tmp_path / "labels", "xnli", {"de": [pair("1"), pair("2")]})
    write_submission(tmp_path / "predictions", "xnli", "de", ["neutral", "entailment"])
    write_items(tmp_path, TASKS["xnli"], {"de": [pair("1")]})
    with pytest.raises(InputError, match=f"expected 2 names, .* got 1; delete {PREDICTED} and run again"):
        write_examples(tmp_path, [(TASKS["xnli"], ["de"])])
    write_items(tmp_path, TASKS["xnli"], {"fr": [pair("1")]})
    with pytest.raises(InputError, match="expected the examples' names in de"):
        write_examples(tmp_path, [(TASKS["xnli"], ["de"])])
