"""Tasks with language pairs, from the plan to scores: a run of their own that loads the weights of the recipe's run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from xlt.config.run_config import read_run
from xlt.data.language_pairs import Search
from xlt.data.records import Passage
from xlt.families.lareqa import rank_by_answer_language
from xlt.files import read_json
from xlt.pipeline.context import Context
from xlt.pipeline.steps import predict_step, score_step, train_step

OpenRun = Callable[[str], Context]


def carry_out(context: Context) -> dict[str, object]:
    predict_step(context, train_step(context))
    return dict(score_step(context))


def test_plan_of_pairs(planned: Path) -> None:
    config = read_run(planned / "runs/full/mlqa-pairs/seed-1")
    (evaluation,) = config.evaluations
    assert config.weights_of == "runs/full/squad/seed-1"
    assert config.languages == {"mlqa-pairs": ["en-en", "en-qag", "qag-en", "qag-qag"]}
    assert set(evaluation.files) == {"en", "qag", "en-qag", "qag-en"}  # the owner's files of pairs
    assert evaluation.files["qag-en"].files == ["mlqa/MLQA_V1/test/test-context-qag-question-en.json"]
    lareqa = read_run(planned / "runs/full/lareqa-pairs/seed-1").evaluations[0]
    assert len(lareqa.pairs) == 9
    assert set(lareqa.files) == {"en", "qaa", "qag"}
    assert not any("pairs" in task for task in read_run(planned / "runs/full/squad/seed-1").tasks)


def test_only_the_table_of_pairs_needs_their_runs(planned: Path) -> None:
    rules = (planned / "plan.mk").read_text(encoding="utf-8").splitlines()
    needs = {line.partition(": ")[0].rsplit("/", 1)[1]: line for line in rules if "/tables/" in line.partition(": ")[0]}
    assert "full/mlqa-pairs/seed-1/scores.json" in needs["table4.md"]
    assert "full/squad/seed-1/scores.json" not in needs["table4.md"]
    assert "-pairs/" not in needs["table2.md"]
    assert "-pairs/" not in needs["regime-full.md"]


def test_classification_from_training_to_scores(open_run: OpenRun) -> None:
    source = carry_out(open_run("adapter/pawsx/seed-1"))
    context = open_run("adapter/pawsx-pairs/seed-1")
    found = carry_out(context)["tasks"]["pawsx-pairs"]  # type: ignore[index]
    assert list(found["metrics"]["accuracy"]) == ["en-en", "en-qaa", "qaa-en", "qaa-qaa"]
    assert found["n"] == dict.fromkeys(found["n"], 4)  # the profile's cap
    assert found["unpaired"] == dict.fromkeys(found["n"], 0)
    assert (context.folder / "predictions/pawsx-pairs/test-en-qaa.tsv").is_file()
    with (
        np.load(context.folder / "examples.npz") as pairs,
        np.load(context.folder / "../../pawsx/seed-1/examples.npz") as own,
    ):
        assert (
            pairs["pawsx-pairs/item/qaa-en"].tolist() == own["pawsx/item/en"].tolist() == own["pawsx/item/qaa"].tolist()
        )
    alone = source["tasks"]["pawsx"]["metrics"]["accuracy"]  # type: ignore[index]
    assert found["metrics"]["accuracy"]["en-en"] == alone["en"]
    assert found["metrics"]["accuracy"]["qaa-qaa"] == alone["qaa"]


def test_answers_and_rankings(open_run: OpenRun) -> None:
    carry_out(open_run("adapter/squad/seed-1"))
    context = open_run("adapter/xquad-pairs/seed-1")
    found = carry_out(context)["tasks"]["xquad-pairs"]  # type: ignore[index]
    assert set(found["metrics"]) == {"f1", "exact_match"}
    assert len(found["n"]) == 9
    gold = json.loads((context.folder / "labels/xquad-pairs/test-qag-en.json").read_text(encoding="utf-8"))
    passages = json.loads((context.folder / "labels/xquad-pairs/test-qag-qag.json").read_text(encoding="utf-8"))
    first, own = gold["data"][0]["paragraphs"][0], passages["data"][0]["paragraphs"][0]
    assert first["context"] == own["context"]
    assert first["qas"][0]["answers"] == own["qas"][0]["answers"]
    assert first["qas"][0]["question"] != own["qas"][0]["question"]
    carry_out(open_run("adapter/lareqa/seed-1"))
    context = open_run("adapter/lareqa-pairs/seed-1")
    found = carry_out(context)["tasks"]["lareqa-pairs"]  # type: ignore[index]
    assert set(found["metrics"]) == {"map@20"}
    given = read_json(context.folder / "predictions/lareqa-pairs/test-qaa-en.json")
    assert all(item.startswith("qaa_") for items in given.values() for item in items)
    assert all(name.endswith("_en") for name in given)


def test_each_text_is_embedded_once_and_only_one_language_is_searched() -> None:
    german = (Passage("de_1", "A. B.", ("A.", "B."), ()),)
    french = (Passage("fr_1", "C. D.", ("C.", "D."), ()),)
    vectors = {"A.": [1.0, 0.0], "B.": [0.0, 1.0], "C.": [0.6, 0.8], "D.": [1.0, 0.0], "q": [0.8, 0.6]}
    seen: list[str] = []

    def embed(texts: object, max_length: int, title: str, spoken: object) -> np.ndarray:
        plain = [text if isinstance(text, str) else text[0] for text in texts]  # type: ignore[attr-defined]
        seen.extend(plain)
        return np.array([vectors[text] for text in plain], np.float32)

    searches = {
        "de-en": Search((("1_en", "q", "de_1_0"),), german),
        "fr-en": Search((("1_en", "q", "fr_1_0"),), french),
    }
    # products with q: A 0.8, B 0.6, C 0.48 + 0.48 = 0.96, D 0.8
    assert rank_by_answer_language(embed, searches, 352) == {
        "de-en": {"1_en": ["de_1_0", "de_1_1"]},
        "fr-en": {"1_en": ["fr_1_0", "fr_1_1"]},
    }
    assert sorted(seen) == ["A.", "B.", "C.", "D.", "q"]
