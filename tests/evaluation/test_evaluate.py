"""Prediction and scoring of planned runs: what is written, when it is written again, and what a crash leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks import TASKS

from xlt.data.records import AnswerSpan, Mention, Question
from xlt.errors import InputError
from xlt.evaluation.submission import TaskFiles
from xlt.families import RETRIEVAL
from xlt.files import read_json
from xlt.modeling.pretrained import load_tokenizer
from xlt.pipeline import predict_run as predicting
from xlt.pipeline.context import Context, embedder
from xlt.pipeline.per_example_scores import example_items
from xlt.pipeline.predict_run import (
    PREDICTED,
    answerable,
    in_passes,
    is_predicted,
    predict,
    predict_languages,
    read_task,
    score,
)
from xlt.pipeline.train_run import make_model

OpenRun = Callable[[str], Context]


def predict_run(context: Context, weights: str = "w") -> None:
    """Predict with an untrained model."""
    stages = context.config.stages
    predict(context, make_model(context, stages[-1] if stages else None), load_tokenizer(context.encoder), weights)


def files(context: Context) -> set[str]:
    return {
        path.relative_to(context.folder).as_posix()
        for kind in ("predictions", "labels")
        for path in (context.folder / kind).rglob("*")
        if path.is_file()
    }


def times(context: Context) -> dict[str, int]:
    return {name: (context.folder / name).stat().st_mtime_ns for name in files(context)}


@pytest.fixture
def tasks_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tasks whose test data is read, in order."""
    seen: list[str] = []

    def watched(evaluation: Any, data: Path) -> Any:
        seen.append(evaluation.task.name)
        return read_task(evaluation, data)

    monkeypatch.setattr(predicting, "read_task", watched)
    return seen


def test_questions_without_an_answer_are_not_scored() -> None:
    with_answer, without = Question("1", "q", "c", (AnswerSpan("c", 0),)), Question("2", "q", "c", ())
    assert answerable([with_answer, without]) == [with_answer]
    assert answerable([]) == []
    assert answerable({"a": 1}) == {"a": 1}


def test_prediction_writes_the_submission_layout(open_run: OpenRun) -> None:
    context = open_run("adapter/squad/seed-1")
    predict_run(context)
    tasks = {"xquad": ("en", "qaa", "qag"), "mlqa": ("en", "qag")}
    assert files(context) == {
        f"{kind}/{task}/test-{code}.json"
        for kind in ("predictions", "labels")
        for task in tasks
        for code in tasks[task]
    }
    given = json.loads((context.folder / "predictions/xquad/test-qaa.json").read_text(encoding="utf-8"))
    assert len(given) == 4  # the profile's cap
    scores = score(context)
    assert set(scores) == set(tasks)
    assert set(scores["xquad"]["metrics"]) == {"f1", "exact_match"}
    assert scores["xquad"]["n"] == {"en": 4, "qaa": 4, "qag": 4}
    assert (scores["xquad"]["no_data"], scores["xquad"]["withheld"]) == ([], [])


def test_translations_are_the_same_items_from_files_to_scores(open_run: OpenRun) -> None:
    context = open_run("adapter/udpos/seed-1")
    predict_run(context)
    kept = example_items(TASKS["udpos"], context.folder, "qaa")
    assert len(set(kept.tolist())) == score(context)["udpos"]["n"]["qaa"]
    (context.folder / "items/udpos.json").unlink()
    done = read_json(context.folder / PREDICTED)
    (context.folder / PREDICTED).write_text(json.dumps({"udpos": done["udpos"] | {"key": "of an earlier version"}}))
    predict_run(context)
    assert example_items(TASKS["udpos"], context.folder, "qaa").tolist() == kept.tolist()


def test_perfect_predictions_score_100(open_run: OpenRun) -> None:
    context = open_run("adapter/udpos/seed-1")
    predict_run(context)
    assert score(context)["udpos"]["metrics"]["f1"]["qaa"] < 50  # an untrained head
    for code in ("en", "qaa", "qag"):
        shutil.copy(
            context.folder / f"labels/udpos/test-{code}.tsv", context.folder / f"predictions/udpos/test-{code}.tsv"
        )
    assert score(context)["udpos"]["metrics"]["f1"] == {"en": 100.0, "qaa": 100.0, "qag": 100.0}


def test_test_data_is_read_once(open_run: OpenRun, tasks_read: list[str]) -> None:
    context = open_run("adapter/squad/seed-1")
    assert not is_predicted(context, "w")
    predict_run(context)
    assert tasks_read == ["mlqa", "xquad"]
    assert is_predicted(context, "w")
    before = times(context)
    predict_run(context)
    assert tasks_read == ["mlqa", "xquad"]
    assert times(context) == before


def test_only_the_task_that_changed_is_predicted_again(open_run: OpenRun, tasks_read: list[str]) -> None:
    context = open_run("adapter/squad/seed-1")
    predict_run(context)
    tasks_read.clear()
    first, second = context.config.evaluations
    changed = second.model_copy(update={"caps": second.caps.model_copy(update={"test": 2})})
    later = replace(context, config=context.config.model_copy(update={"evaluations": [first, changed]}))
    assert not is_predicted(later, "w")
    predict_run(later)
    assert tasks_read == [second.task.name]
    assert score(later)[second.task.name]["n"]["en"] == 2


def test_a_task_that_is_planned_no_longer_leaves_nothing(open_run: OpenRun) -> None:
    context = open_run("adapter/squad/seed-1")
    predict_run(context)
    xquad = context.config.evaluations[1]
    config = context.config.model_copy(update={"evaluations": [xquad], "tasks": ["xquad"]})
    predict_run(replace(context, config=config))
    assert {name.split("/")[1] for name in files(context)} == {"xquad"}
    assert not (context.folder / "items").exists()  # the label files of answers name them
    assert list(read_json(context.folder / PREDICTED)) == ["xquad"]


@pytest.mark.parametrize("run", ["adapter/udpos/seed-1", "untuned/none/seed-1"])
def test_predictions_depend_on_weights_encoder_and_the_way_it_embeds(
    open_run: OpenRun, run: str, tmp_path: Path
) -> None:
    context = open_run(run)
    predict_run(context)
    assert is_predicted(context, "w")
    assert not is_predicted(context, "other weights")
    model = context.config.model
    for values in ({"retrieval_prefix": "query: "}, {"pooling": "cls"}, {"retrieval_layer": 1}):
        other = context.config.model_copy(update={"model": model.model_copy(update=values)})
        assert not is_predicted(replace(context, config=other), "w")
    encoder = shutil.copytree(context.encoder, tmp_path / "encoder")
    assert is_predicted(replace(context, encoder=encoder), "w")
    stamp = (encoder / "prepared.json").read_text(encoding="utf-8")
    sums = read_json(encoder / "prepared.json")["sha256"]
    (encoder / "prepared.json").write_text(stamp.replace(sums["model.safetensors"], "0" * 64), encoding="utf-8")
    assert not is_predicted(replace(context, encoder=encoder), "w")


def vectors(
    context: Context, layer: int | None, dual_encoder: str, family: str, texts: Any = ("the cat", "a dog")
) -> Any:
    """Of two texts, by the untrained model of a run."""
    model = context.config.model.model_copy(update={"retrieval_layer": layer})
    profile = context.config.profile.model_copy(update={"dual_encoder": dual_encoder})
    config = context.config.model_copy(update={"model": model, "profile": profile})
    context = replace(context, config=config)
    made = make_model(context, config.stages[-1] if config.stages else None)
    return embedder(made, load_tokenizer(context.encoder), context, RETRIEVAL[family])(
        list(texts), 50, "t", ["en", "en"]
    )


@pytest.mark.parametrize(
    ("run", "dual_encoder", "family", "stops"),
    [
        ("untuned/none/seed-1", "reference", "tatoeba", True),
        ("untuned/none/seed-1", "mean-in-batch", "tatoeba", True),
        (
            "full/lareqa/seed-1",
            "reference",
            "tatoeba",
            True,
        ),  # XTREME's script gives the layer to its tuned checkpoint, too
        ("adapter/lareqa/seed-1", "reference", "tatoeba", True),
        ("full/squad/seed-1", "reference", "tatoeba", True),  # what it does with ``recipe: squad`` of the task
        ("full/lareqa/seed-1", "reference", "lareqa", False),
        ("full/lareqa/seed-1", "mean-in-batch", "tatoeba", False),
        ("full/lareqa/seed-1", "mean-in-batch", "lareqa", False),
    ],
)
def test_who_stops_at_the_retrieval_layer(
    open_run: OpenRun, run: str, dual_encoder: str, family: str, stops: bool
) -> None:
    whole = vectors(open_run(run), None, dual_encoder, family)
    assert np.allclose(vectors(open_run(run), 2, dual_encoder, family), whole)  # the miniature encoder has two layers
    assert np.allclose(vectors(open_run(run), 1, dual_encoder, family), whole, atol=1e-3) is not stops


def test_the_reference_s_vectors_are_those_of_the_pooler(open_run: OpenRun) -> None:
    context = open_run("full/lareqa/seed-1")
    found = vectors(context, None, "reference", "lareqa")
    profile = context.config.profile.model_copy(update={"dual_encoder": "reference"})
    context = replace(context, config=context.config.model_copy(update={"profile": profile}))
    model = make_model(context, context.config.stages[-1]).eval()
    row = load_tokenizer(context.encoder)("the cat", return_tensors="pt")
    with torch.no_grad():
        first = model.encoder(**row).last_hidden_state[0, 0]
        expected = torch.tanh(model.head.get_parameter("dense.weight") @ first + model.head.get_parameter("dense.bias"))
    assert np.allclose(found[0], (expected / expected.norm()).numpy(), atol=1e-5)
    # a sentence and its passage are one text without a space, and line ends go
    pair = vectors(context, None, "reference", "lareqa", [("the cat", " sat\n"), ("a", "b")])
    assert np.allclose(pair[0], vectors(context, None, "reference", "lareqa", ["the cat sat", "ab"])[0], atol=1e-5)


def test_mentions_without_a_sentence_in_their_file_are_noted(open_run: OpenRun) -> None:
    task = next(e.task for e in open_run("full/mewslix/seed-1").config.evaluations if e.task.family == "mewslix")
    cut, whole = Mention("1", "In Köln.", 3, 7, "Q1"), Mention("2", "In Rom.", 3, 6, "Q2", (0, 7))
    (note,) = RETRIEVAL[task.family].notes({"de": [whole, cut], "en": [whole]})
    assert note.startswith("no sentence spans in the files of de;")
    assert RETRIEVAL[task.family].notes({"de": [whole]}) == []


def test_a_crash_half_way_leaves_nothing_that_looks_done(open_run: OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    context = open_run("adapter/squad/seed-1")
    predict_run(context)
    calls = 0
    real = TaskFiles.write

    def failing(files: TaskFiles, folder: Path, language: str, predictions: Any) -> Path:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(files, folder, language, predictions)

    monkeypatch.setattr(TaskFiles, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        predict_run(context, "new weights")
    assert not is_predicted(context, "new weights")
    assert not is_predicted(context, "w")  # the old predictions are partly gone
    monkeypatch.undo()
    predict_run(context, "new weights")
    assert is_predicted(context, "new weights")
    assert len(files(context)) == 10


def test_withheld_gold_is_named_and_not_scored(open_run: OpenRun, mini_data: Path, tmp_path: Path) -> None:
    context = open_run("adapter/copa/seed-1")
    data = shutil.copytree(mini_data, tmp_path / "data")
    path = data / "xcopa/data/qaa/test.qaa.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        del row["label"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    context = replace(context, data=data)
    predict_run(context)
    found = score(context)["xcopa"]
    assert found["withheld"] == found["no_data"] == ["qaa"]
    assert set(found["metrics"]["accuracy"]) == {"qag"}
    assert "predictions/xcopa/test-qaa.jsonl" not in files(context)


def test_a_metric_the_scorer_does_not_have_is_refused(open_run: OpenRun) -> None:
    context = open_run("adapter/copa/seed-1")
    predict_run(context)
    (evaluation,) = context.config.evaluations
    other = evaluation.model_copy(update={"task": evaluation.task.model_copy(update={"metrics": ["f1"]})})
    with pytest.raises(InputError, match=r"task xcopa is not scored by f1; correct configs/tasks/xcopa.yaml"):
        score(replace(context, config=context.config.model_copy(update={"evaluations": [other]})))


@pytest.mark.parametrize("rows", ["drop", "keep"])
def test_untranslated_pairs_are_scored_only_if_asked_for(
    open_run: OpenRun, mini_data: Path, tmp_path: Path, rows: str
) -> None:
    """Of PAWS-X the second row of the first language is marked NS, as the owner does, with the label 0."""
    context = open_run("adapter/pawsx/seed-1")
    (evaluation,) = context.config.evaluations
    task = evaluation.task.model_copy(update={"unlabelled_rows": rows})
    config = context.config.model_copy(update={"evaluations": [evaluation.model_copy(update={"task": task})]})
    data = shutil.copytree(mini_data, tmp_path / "data")
    language, found = next(iter(evaluation.files.items()))
    path = data / found.files[0]
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[2].split("\t")
    lines[2] = "\t".join([cells[0], "NS", cells[2], "0"])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    context = replace(context, data=data, config=config)
    before = {code: len(own) for code, own in read_task(evaluation, mini_data)[0].items()}
    predict_run(context)
    result = score(context)["pawsx"]
    dropped = 1 if rows == "drop" else 0
    assert result["n"] == {**before, language: before[language] - dropped}
    assert result["unlabelled"] == ({language: 1} if dropped else {})


def test_the_order_of_a_task_s_labels_asks_for_no_new_prediction(open_run: OpenRun) -> None:
    context = open_run("adapter/mnli/seed-1")
    predict_run(context)
    (evaluation,) = context.config.evaluations
    task = evaluation.task.model_copy(update={"labels": list(reversed(evaluation.task.labels or []))})
    other = context.config.model_copy(update={"evaluations": [evaluation.model_copy(update={"task": task})]})
    assert is_predicted(replace(context, config=other), "w")


def test_passes_keep_the_order_and_their_bound() -> None:
    assert in_passes({"en": 3, "de": 4, "sw": 3, "th": 9, "ur": 1}, 7) == [["en", "de"], ["sw"], ["th"], ["ur"]]
    assert in_passes({}, 7) == []


@pytest.mark.parametrize("run", ["full/mnli/seed-1", "full/udpos/seed-1", "full/squad/seed-1", "full/copa/seed-1"])
def test_languages_together_and_one_by_one_give_the_same_predictions(
    open_run: OpenRun, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = open_run(run)
    model, tokenizer = make_model(context, context.config.stages[-1]), load_tokenizer(context.encoder)
    torch.manual_seed(1)
    for parameter in model.parameters():  # so that a model that learnt nothing tells inputs apart
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter)
    for evaluation in context.config.evaluations:
        records, _, _ = read_task(evaluation, context.data)
        assert len(records) > 1
        arguments = evaluation, records, model, tokenizer, context
        monkeypatch.setattr(predicting, "PASS_RECORDS", 10**6)
        together = predict_languages(*arguments)
        monkeypatch.setattr(predicting, "PASS_RECORDS", 1)
        assert predict_languages(*arguments) == together
        monkeypatch.setattr(predicting.batching, "FAST", False)
        assert predict_languages(*arguments) == together
        monkeypatch.setattr(predicting.batching, "FAST", True)
        assert [len(together[language]) for language in records] == [len(own) for own in records.values()]
        assert len({str(given) for own in together.values() for given in own}) > 1
