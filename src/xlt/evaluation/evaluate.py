"""Predict the test data of a run's tasks once, and score the files that were written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xlt.artifacts import digest, read_json, to_json, write_atomic
from xlt.data.loading import first, labelled, load_entities, load_split
from xlt.data.records import Question
from xlt.errors import InputError
from xlt.evaluation.context import Context, embedder
from xlt.evaluation.dual import match_tatoeba, mine_bucc, rank_lareqa, rank_mewslix
from xlt.evaluation.predict import PREDICT
from xlt.evaluation.scoring import score_file
from xlt.evaluation.submission import (
    submission_file,
    write_labels,
    write_lareqa_labels,
    write_submission,
)
from xlt.modeling.model import TransferModel
from xlt.runs import Evaluation

PREDICTED = "predicted.json"
WITHHELD = "gold withheld"


def read_task(evaluation: Evaluation, data: Path) -> tuple[dict[str, Any], list[str]]:
    """The capped records of a task by language, and the languages whose gold labels are withheld."""
    task = evaluation.task
    records, withheld = {}, []
    for language, files in evaluation.files.items():
        loaded = first(load_split(data, files, language, task.labels), evaluation.caps.test)
        if labelled(loaded):
            records[language] = answerable(loaded)
        else:
            withheld.append(language)
    return records, withheld


def answerable(records: Any) -> Any:
    """Questions with a gold answer; the QA tasks of XTREME have no others. All other records as they are."""
    if isinstance(records, list) and records and isinstance(records[0], Question):
        return [record for record in records if record.answers]
    return records


def predict_task(
    evaluation: Evaluation, records: Mapping[str, Any], model: TransferModel, tokenizer: Any, context: Context
) -> Mapping[str, Any]:
    """Predictions of a task by language, as ``write_submission`` takes them."""
    task = evaluation.task
    embed = embedder(model, tokenizer, context)
    if task.family == "lareqa":
        return rank_lareqa(embed, records, task.max_length)
    if task.family == "mewslix":
        entities = load_entities(context.data, next(iter(evaluation.files.values())))
        return rank_mewslix(embed, records, entities, task.max_length)
    if task.family == "tatoeba":
        return match_tatoeba(embed, records, task.max_length)
    if task.family == "bucc":
        predictions: dict[str, Any] = {}
        for language, own in records.items():
            files = evaluation.tuning_files.get(language)
            tuning = first(load_split(context.data, files, language, None), evaluation.caps.dev) if files else None
            predictions[language] = mine_bucc(embed, own, tuning, task.max_length, f"BUCC {language}")
        return predictions
    predictions = {}
    for language, own in records.items():
        title = f"{task.title} {language}"
        given = PREDICT[task.family](model, tokenizer, own, task, budget=context.budget, title=title)
        if task.family == "span":
            predictions[language] = {record.id: text for record, text in zip(own, given, strict=True)}
        else:
            predictions[language] = given
    return predictions


def prediction_key(context: Context, evaluation: Evaluation, weights_sha256: str) -> str:
    """A hash of what the predictions of a task depend on.

    The trained weights are not enough: an untuned encoder has none, and how it embeds is said by the model's config.
    """
    return digest(
        {
            "evaluation": evaluation.model_dump(mode="json"),
            "weights": weights_sha256,
            "encoder": read_json(context.encoder / "prepared.json")["sha256"],
            "model": context.config.model.model_dump(include={"pooling", "retrieval_prefix", "retrieval_layer"}),
        }
    )


def predict(context: Context, model: TransferModel, tokenizer: Any, weights_sha256: str) -> None:
    """Write predictions and gold labels of every task, one folder each, and ``predicted.json`` last.

    A task whose predictions were made from the same weights, files and caps is not predicted again.
    """
    path = context.folder / PREDICTED
    done: dict[str, Any] = read_json(path) if path.exists() else {}
    for evaluation in context.config.evaluations:
        name, key = evaluation.task.name, prediction_key(context, evaluation, weights_sha256)
        if done.get(name, {}).get("key") == key:
            continue
        records, withheld = read_task(evaluation, context.data)
        if done.pop(name, None) is not None:  # if this stops half-way, the old entry must not vouch for what is left
            write_atomic(path, to_json(done))
        for kind in ("predictions", "labels"):
            shutil.rmtree(context.folder / kind / name, ignore_errors=True)
        predictions = predict_task(evaluation, records, model, tokenizer, context) if records else {}
        for language, own in predictions.items():
            write_submission(context.folder / "predictions", name, language, own)
        _write_gold(context.folder / "labels", name, records)
        done[name] = {"key": key, "languages": list(records), "withheld": withheld}
        write_atomic(path, to_json(done))
    for name in set(done) - set(context.config.tasks):  # of an earlier config of this run
        for kind in ("predictions", "labels"):
            shutil.rmtree(context.folder / kind / name, ignore_errors=True)
        del done[name]
    write_atomic(path, to_json(done))


def is_predicted(context: Context, weights_sha256: str) -> bool:
    """Whether every task's predictions were made from these weights, files and caps."""
    path = context.folder / PREDICTED
    done = read_json(path) if path.exists() else {}
    return all(
        done.get(evaluation.task.name, {}).get("key") == prediction_key(context, evaluation, weights_sha256)
        for evaluation in context.config.evaluations
    )


def _write_gold(folder: Path, task: str, records: Mapping[str, Any]) -> None:
    if task == "lareqa":
        write_lareqa_labels(folder, records)
        return
    for language, own in records.items():
        write_labels(folder, task, language, own)


def score(context: Context) -> dict[str, Any]:
    """Score the prediction files of a run: per task the metrics and examples of each language, in percent."""
    done = read_json(context.folder / PREDICTED)
    return {
        evaluation.task.name: _score_task(context.folder, evaluation, done[evaluation.task.name])
        for evaluation in context.config.evaluations
    }


def _score_task(folder: Path, evaluation: Evaluation, done: Mapping[str, Any]) -> dict[str, Any]:
    name = evaluation.task.name
    languages: Sequence[str] = done["languages"]
    scores = {
        language: score_file(
            name,
            submission_file(folder / "predictions", name, language),
            submission_file(folder / "labels", name, language),
            language,
        )
        for language in languages
    }
    absent = [metric for metric in evaluation.task.metrics for s in scores.values() if metric not in s.metrics]
    if absent:
        raise InputError(f"metrics: task {name} is not scored by {absent[0]}; correct configs/tasks/{name}.yaml")
    return {
        "split": evaluation.split,
        "metrics": {
            metric: {language: s.metrics[metric] for language, s in scores.items()}
            for metric in evaluation.task.metrics
        },
        "n": {language: s.examples for language, s in scores.items()},
        "no_data": [*evaluation.no_data, *done["withheld"]],
        "withheld": list(done["withheld"]),
    }
