"""Predict the test data of a run's tasks once, and score the files that were written."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from xlt.config.benchmark import MiningRule, Task
from xlt.config.run_config import Evaluation
from xlt.data import batching
from xlt.data.dataset import answerable, first, labelled, load_entities, load_split, truly_labelled
from xlt.data.language_pairs import read_pairs
from xlt.errors import InputError
from xlt.evaluation.context import Context, embedder
from xlt.evaluation.dual_encoder import match_tatoeba, mine_bucc, rank_mewslix, retrieve_lareqa
from xlt.evaluation.extra_metrics import language_bias, score_with_further
from xlt.evaluation.gold import write_gold
from xlt.evaluation.lareqa_by_language import rank_by_answer_language
from xlt.evaluation.outputs import as_trained
from xlt.evaluation.per_example_scores import items_file, write_items
from xlt.evaluation.predict import PREDICT
from xlt.evaluation.smoothing import predict_language
from xlt.evaluation.submission import FURTHER, write_submission
from xlt.files import digest, read_json, to_json, write_atomic
from xlt.layout import PREDICTED, PREPARED
from xlt.modeling.distributed import broadcast_from_main
from xlt.modeling.language_adapters import adapter_hashes
from xlt.modeling.model import TransferModel

_log = logging.getLogger(__name__)
WITHHELD = "gold withheld"
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
        loaded = first(load_split(data, files, language, evaluation.task.labels), evaluation.caps.test)
        if not labelled(loaded):
            withheld.append(language)
            continue
        found = answerable(loaded)
        records[language] = found if evaluation.task.unlabelled_rows == "keep" else truly_labelled(found)
        if found and not records[language]:
            raise InputError(
                f"expected a translated pair among the first {len(found)}; raise the cap", data / files.files[0]
            )
        if isinstance(found, list) and len(found) > len(records[language]):
            left_out[language] = len(found) - len(records[language])
            _log.warning(
                "%s: %d untranslated pairs have no true label and are not scored", language, left_out[language]
            )
    return records, withheld, left_out


def predict_task(
    evaluation: Evaluation, records: Mapping[str, Any], model: TransferModel, tokenizer: Any, context: Context
) -> Mapping[str, Mapping[str, Any]]:
    """Predictions of a task by folder of the submission layout and language, as ``write_submission`` takes them."""
    task = evaluation.task
    embed = embedder(model, tokenizer, context, task.family)
    if task.family == "lareqa" and task.pairs:
        return {task.name: rank_by_answer_language(embed, records, task.max_length)}
    if task.family == "lareqa":
        return retrieve_lareqa(embed, records, task.max_length)
    if task.family == "mewslix":
        entities = load_entities(context.data, next(iter(evaluation.files.values())))
        return {task.name: rank_mewslix(embed, records, entities, task.max_length)}
    if task.family == "tatoeba":
        return match_tatoeba(embed, records, task.max_length)
    predictions: dict[str, Any] = {}
    if task.family == "bucc":
        rule = task.mining or MiningRule()
        for language, own in records.items():
            files = evaluation.tuning_files.get(language)
            tuning = first(load_split(context.data, files, language, None), evaluation.caps.dev) if files else None
            predictions[language] = mine_bucc(embed, own, tuning, task.max_length, language, rule)
        return {task.name: predictions}
    predictions = predict_languages(evaluation, records, model, tokenizer, context)
    if task.family == "span":
        predictions = {
            language: {record.id: text for record, text in zip(records[language], given, strict=True)}
            for language, given in predictions.items()
        }
    return {task.name: predictions}


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
    for languages in in_passes({language: len(own) for language, own in records.items()}, PASS_RECORDS):
        joined = [record for language in languages for record in records[language]]
        title = f"{task.title} {languages[0]}" + (f" to {languages[-1]}" if len(languages) > 1 else "")
        given = iter(PREDICT[task.family](model, tokenizer, joined, task, budget=context.budget, title=title))
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


def notes_on(task: Task, records: Mapping[str, Sequence[Any]]) -> list[str]:
    """What a table should say of the data that a task was scored on."""
    if task.family != "mewslix":
        return []
    cut = [language for language, own in records.items() if any(mention.sentence is None for mention in own)]
    what = "mentions are cut by this artifact's own splitter there"
    return [f"no sentence spans in the files of {', '.join(cut)}; {what}"] if cut else []


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
        records, withheld, left_out = read_task(evaluation, context.data)
        if done.pop(name, None) is not None:  # if this stops half-way, the old entry must not vouch for what is left
            broadcast_from_main(write_atomic, path, to_json(done))
        broadcast_from_main(_remove, context.folder, name)
        predictions = predict_task(evaluation, records, model, tokenizer, context) if records else {}
        done[name] = {"key": key, "languages": list(records), "withheld": withheld, "left_out": left_out}
        done[name]["notes"] = notes_on(evaluation.task, records)
        broadcast_from_main(_write, context.folder, name, predictions, records, done)
    for name in set(done) - set(context.config.tasks):  # of an earlier config of this run
        broadcast_from_main(_remove, context.folder, name)
        del done[name]
    broadcast_from_main(write_atomic, path, to_json(done))


def _write(
    folder: Path, task: str, predictions: Mapping[str, Mapping[str, Any]], records: Mapping[str, Any], done: Any
) -> None:
    for name, by_language in predictions.items():
        for language, own in by_language.items():
            write_submission(folder / "predictions", name, language, own)
    write_gold(folder / "labels", task, records)
    write_items(folder, task, records)
    write_atomic(folder / PREDICTED, to_json(done))


def _remove(folder: Path, task: str) -> None:
    """Remove the predictions, labels and items of a task."""
    items_file(folder, task).unlink(missing_ok=True)
    for name in (task, *FURTHER.get(task, ())):
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
        evaluation.task.name: _score_task(context.folder, evaluation, done[evaluation.task.name])
        for evaluation in context.config.evaluations
    }


def _score_task(folder: Path, evaluation: Evaluation, done: Mapping[str, Any]) -> dict[str, Any]:
    name = evaluation.task.name
    languages: Sequence[str] = done["languages"]
    predictions, labels = folder / "predictions", folder / "labels"
    rules = evaluation.task.normalization
    scores = {language: score_with_further(predictions, labels, name, language, rules) for language in languages}
    absent = [metric for metric in evaluation.task.metrics for s in scores.values() if metric not in s.metrics]
    if absent:
        raise InputError(f"metrics: task {name} is not scored by {absent[0]}; correct configs/tasks/{name}.yaml")
    bias = {language: language_bias(predictions, labels, language) for language in languages if name == "lareqa"}
    return {
        "split": evaluation.split,
        "metrics": {
            metric: {language: s.metrics[metric] for language, s in scores.items()}
            for metric in evaluation.task.metrics
        },
        "n": {language: s.examples for language, s in scores.items()},
        "no_data": [code for code in evaluation.expected if code not in languages],
        "withheld": list(done["withheld"]),
        **({"unpaired": done["left_out"]} if evaluation.task.pairs else {"unlabelled": done["left_out"]}),
        **({"language_bias": bias} if bias else {}),
        **({"notes": notes} if (notes := done.get("notes")) else {}),
    }
