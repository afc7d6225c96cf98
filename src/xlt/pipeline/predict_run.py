"""Predict the test data of a run's tasks once, and score the files that were written."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Task
from xlt.config.run_config import Evaluation
from xlt.data import batching
from xlt.data.dataset import answerable, first, labelled, load_split, truly_labelled, without_empty
from xlt.data.language_pairs import read_pairs
from xlt.data.readers.faults import collected, notes
from xlt.errors import InputError
from xlt.families import FAMILIES, FURTHER, RETRIEVAL, SUPERVISED
from xlt.families.outputs import as_trained
from xlt.files import digest, read_json, to_json, write_atomic
from xlt.layout import PREDICTED, PREPARED
from xlt.modeling.distributed import broadcast_from_main
from xlt.modeling.language_adapters import adapter_hashes
from xlt.modeling.model import TransferModel
from xlt.pipeline.context import Context, embedder
from xlt.pipeline.per_example_scores import items_file, write_items
from xlt.pipeline.scoring import score_run_task
from xlt.pipeline.smoothing import predict_language

_log = logging.getLogger(__name__)
PASS_RECORDS = 20_000
"""Records that are tokenised and predicted together at most: bounds memory, and longer passes save nothing measurable."""
SCORING = {"title", "metrics", "chance", "normalization"}
"""What a task says about scoring: no prediction depends on it."""


def read_task(evaluation: Evaluation, data: Path) -> tuple[dict[str, Any], list[str], dict[str, int]]:
    """The capped records of a task by language, the languages whose gold labels are withheld, and what was left out.

    Left out are the rows of a language that have no true label (``Task.unlabelled_rows``), after the cap, so that parallel
    languages keep the same examples; of a language pair the examples without a counterpart (``data.pairing``).
    """
    if evaluation.task.pairs:
        return read_pairs(evaluation, data)
    records, withheld, left_out = {}, [], {}
    for language, files in evaluation.files.items():
        loaded = first(load_split(data, files, language, evaluation.task.known_labels), evaluation.caps.test)
        if not labelled(loaded):
            withheld.append(language)
            continue
        found = answerable(loaded)
        scored = found if evaluation.task.unlabelled_rows == "keep" else truly_labelled(found)
        records[language] = without_empty(scored)
        if found and not records[language]:
            raise InputError(
                f"expected a translated pair among the first {len(found)}; raise the cap", data / files.files[0]
            )
        if isinstance(found, list) and len(found) > len(scored):
            left_out[language] = len(found) - len(scored)
            _log.warning(
                "%s: %d untranslated pairs have no true label and are not scored", language, left_out[language]
            )
    return records, withheld, left_out


def mapped(task: Task) -> list[str]:
    """What a table should say of the labels that a task's files have and its recipe lacks."""
    given = [f"{label} as {own}" for label, own in (task.label_map or {}).items()]
    return [f"labels of its files that are read as others: {', '.join(given)}"] if given else []


def predict_task(
    evaluation: Evaluation, records: Mapping[str, Any], model: TransferModel, tokenizer: Any, context: Context
) -> Mapping[str, Mapping[str, Any]]:
    """Predictions of a task: by folder of the submission layout and language what its file holds."""
    task = evaluation.task
    if task.family in RETRIEVAL:
        family = RETRIEVAL[task.family]
        return family.retrieve(evaluation, records, embedder(model, tokenizer, context, family), context.data)
    given = predict_languages(evaluation, records, model, tokenizer, context)
    content = SUPERVISED[task.family].content
    return {task.name: {language: content(records[language], own) for language, own in given.items()}}


def predict_languages(
    evaluation: Evaluation, records: Mapping[str, Any], model: TransferModel, tokenizer: Any, context: Context
) -> dict[str, Any]:
    """Predictions of a supervised task, a list per language in the order of its records.

    Languages go through the encoder together, so that small test sets fill its batches too; one by one where each has
    its own adapter or its own certificate, and on the reference path.
    """
    task = as_trained(evaluation.task, context.config.head)
    if model.composition is not None or context.config.regime.smoothing is not None or not batching.FAST:
        predictions: dict[str, Any] = {}
        for language, own in records.items():
            model.use_language(language)
            predictions[language] = predict_language(model, tokenizer, own, task, language, context)
        return predictions
    predictions = {}
    predict = SUPERVISED[task.family].predict
    for languages in in_passes({language: len(own) for language, own in records.items()}, PASS_RECORDS):
        joined = [record for language in languages for record in records[language]]
        title = f"{task.title} {languages[0]}" + (f" to {languages[-1]}" if len(languages) > 1 else "")
        given = iter(predict(model, tokenizer, joined, task, budget=context.budget, title=title))
        for language in languages:
            predictions[language] = list(islice(given, len(records[language])))
    return predictions


def in_passes(sizes: Mapping[str, int], most: int) -> list[list[str]]:
    """Languages in order, cut into passes of at most ``most`` records; a language larger than that is a pass alone."""
    passes: list[list[str]] = []
    held = 0
    for language, size in sizes.items():
        if passes and held + size <= most:
            passes[-1].append(language)
            held += size
        else:
            passes.append([language])
            held = size
    return passes


def prediction_key(context: Context, evaluation: Evaluation, weights_sha256: str) -> str:
    """A hash of what the predictions of a task depend on.

    The trained weights are not enough: an untuned encoder has none, how it embeds is said by the model's config, and
    smoothed prediction draws noise.
    """
    smoothing = context.config.regime.smoothing
    as_read = evaluation.model_copy(update={"task": as_trained(evaluation.task, context.config.head)})
    noise = {} if smoothing is None else {"smoothing": smoothing.model_dump(), "seed": context.config.seed}
    return digest(
        {
            "evaluation": as_read.model_dump(mode="json", exclude={"task": SCORING}),
            "weights": weights_sha256,
            "encoder": read_json(context.encoder / PREPARED)["sha256"],
            "model": context.config.model.model_dump(include={"pooling", "retrieval_prefix", "retrieval_layer"}),
            "language_adapters": adapter_hashes(context.language_adapters),
            "kept": "items",  # what predictions of an earlier version lack
            "dual_encoder": context.config.profile.dual_encoder,
            **noise,
        }
    )


def predict(context: Context, model: TransferModel, tokenizer: Any, weights_sha256: str) -> None:
    """Write predictions and gold labels of every task, one folder each, its items, and ``predicted.json`` last.

    A task whose predictions were made from the same weights, files and caps is not predicted again.
    """
    path = context.folder / PREDICTED
    done: dict[str, Any] = broadcast_from_main(lambda: read_json(path) if path.exists() else {})
    for evaluation in context.config.evaluations:
        name, key = evaluation.task.name, prediction_key(context, evaluation, weights_sha256)
        if done.get(name, {}).get("key") == key:
            continue
        with collected() as tallies:
            records, withheld, left_out = read_task(evaluation, context.data)
        _log.info("%s: predicting %d languages", evaluation.task.title, len(records))
        if done.pop(name, None) is not None:  # if this stops half-way, the old entry must not vouch for what is left
            broadcast_from_main(write_atomic, path, to_json(done))
        broadcast_from_main(_remove, context.folder, name)
        predictions = predict_task(evaluation, records, model, tokenizer, context) if records else {}
        done[name] = {"key": key, "languages": list(records), "withheld": withheld, "left_out": left_out}
        done[name]["notes"] = [*FAMILIES[evaluation.task.family].notes(records), *mapped(evaluation.task)]
        done[name] |= {"faults": found} if (found := notes(tallies)) else {}
        broadcast_from_main(_write, context.folder, evaluation.task, predictions, records, done)
    for name in set(done) - set(context.config.tasks):  # of an earlier config of this run
        broadcast_from_main(_remove, context.folder, name)
        del done[name]
    broadcast_from_main(write_atomic, path, to_json(done))


def _write(
    folder: Path, task: Task, predictions: Mapping[str, Mapping[str, Any]], records: Mapping[str, Any], done: Any
) -> None:
    family = FAMILIES[task.family]
    for files in (family.files(task), *family.further_files(task)):
        for language, own in predictions.get(files.name, {}).items():
            files.write(folder / "predictions", language, own)
    family.write_gold(folder / "labels", task, records)
    write_items(folder, task, records)
    write_atomic(folder / PREDICTED, to_json(done))


def _remove(folder: Path, task: str) -> None:
    """Remove the predictions, labels and items of a task."""
    items_file(folder, task).unlink(missing_ok=True)
    for name in (task, *(f"{task}_{ending}" for ending in FURTHER)):
        for kind in ("predictions", "labels"):
            shutil.rmtree(folder / kind / name, ignore_errors=True)


def is_predicted(context: Context, weights_sha256: str) -> bool:
    """Whether every task's predictions were made from these weights, files and caps."""
    path = context.folder / PREDICTED
    done = read_json(path) if path.exists() else {}
    return all(
        done.get(evaluation.task.name, {}).get("key") == prediction_key(context, evaluation, weights_sha256)
        for evaluation in context.config.evaluations
    )


def score(context: Context) -> dict[str, Any]:
    """Score the prediction files of a run: per task the metrics and examples of each language, in percent."""
    done = read_json(context.folder / PREDICTED)
    return {
        evaluation.task.name: score_run_task(context.folder, evaluation, done[evaluation.task.name])
        for evaluation in context.config.evaluations
    }
