"""Scores of one prediction file, and of a whole folder in XTREME's submission layout.

What XTREME's ``evaluate.py`` does, on the same files, with two differences: what is missing or unknown is named instead
of left out, and LAReQA and the overall score of XTREME-R, which that script cannot compute, follow their definitions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.submission import (
    EXTENSION,
    KIND,
    Withheld,
    line_of,
    read_answers_gold,
    read_gold,
    read_submission,
    read_text,
    submission_file,
)

Benchmark = Literal["xtreme", "xtreme-r"]
Rules = Literal["squad", "mlqa"]

GROUPS: dict[Benchmark, dict[str, tuple[str, ...]]] = {
    "xtreme": {
        "classification": ("pawsx", "xnli"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("bucc2018", "tatoeba"),
    },
    "xtreme-r": {
        "classification": ("xnli", "xcopa"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("lareqa", "mewslix", "tatoeba"),
    },
}
"""Each task is in one group. (``evaluate.py`` has XCOPA in two, and its XTREME-R retrieval group lacks LAReQA.)"""


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one file: metrics in per cent, number of gold examples, and how many had no prediction.

    ``examples`` counts sentences for tagging and gold pairs for BUCC; ``unanswered`` examples scored 0.
    """

    metrics: dict[str, float]
    examples: int
    unanswered: int = 0


def score_task(task: str, prediction_file: Path, label_file: Path, language: str) -> dict[str, float]:
    """The metrics of one prediction file, in per cent.

    Args:
        task: a key of ``submission.KIND``.
        language: of the file, or a pair "en-de"; MLQA's answers are in the first one, the passage's.

    Raises:
        Withheld: the label file holds no gold.
        InputError: a file is absent or not in the layout, or the two do not fit each other.
    """
    return score_file(task, prediction_file, label_file, language).metrics


def score_file(task: str, prediction_file: Path, label_file: Path, language: str, rules: Rules | None = None) -> Score:
    """The metrics of one prediction file with the number of examples; arguments and errors as ``score_task``.

    ``rules``: whose rules answers are compared by, None for those of the task's owner (MLQA's for MLQA, else SQuAD's).
    """
    kind = KIND[task]
    if kind == "tags":
        gold, given = _tags(task, prediction_file, label_file)
        words = {} if task != "udpos" else {"accuracy": metrics.accuracy([*chain(*gold)], [*chain(*given)])}
        return Score(metrics.tag_f1(gold, given) | words, len(gold))
    if kind == "pairs":
        gold_pairs = read_submission(label_file, task)
        if not gold_pairs:
            raise InputError("expected at least one gold pair, got an empty file", label_file)
        return Score(metrics.pair_f1(gold_pairs, read_submission(prediction_file, task)), len(gold_pairs))
    values, unanswered = _examples(task, prediction_file, label_file, language, rules)
    means = {metric: _mean(metric, scores) for metric, scores in values.items()}
    return Score(means, len(next(iter(values.values()))), unanswered)


def per_example(task: str, prediction_file: Path, label_file: Path, language: str) -> dict[str, list[float]]:
    """The score (0 to 1) of each example, in the label file's order; its mean times 100 is the score of the file.

    For significance tests that draw examples. Accuracy, exact match, F1 of answers and mAP@20 are such means; the F1 of
    tagging and of BUCC are not. Arguments and input errors as ``score_task``.

    Raises:
        ValueError: the task's score is not a mean over examples.
    """
    if KIND[task] in ("tags", "pairs"):
        raise ValueError(f"{task} is scored by an F1 over the whole file, not by a mean over examples")
    return _examples(task, prediction_file, label_file, language)[0]


def _mean(metric: str, scores: Sequence[float]) -> float:
    """The mean in per cent, multiplied and divided in the order of the owner's script, so that the last bit agrees."""
    total = sum(scores)
    return 100.0 * total / len(scores) if metric in ("exact_match", "f1") else total / len(scores) * 100


def _examples(
    task: str, prediction_file: Path, label_file: Path, language: str, rules: Rules | None = None
) -> tuple[dict[str, list[float]], int]:
    """Scores per example (0 to 1) by metric, and the number of examples without a prediction."""
    if KIND[task] == "answers":
        return _answers(task, prediction_file, label_file, language, rules or ("mlqa" if task == "mlqa" else "squad"))
    if KIND[task] == "rankings":
        return _rankings(task, prediction_file, label_file)
    gold, given = read_gold(label_file, task), read_submission(prediction_file, task)
    if len(gold) != len(given):
        message = f"expected {len(gold)} predictions, as many as {label_file} has labels, got {len(given)}"
        raise InputError(message, prediction_file, min(len(given), len(gold) + 1))
    return {"accuracy": metrics.correct(gold, given)}, 0


def _answers(
    task: str, prediction_file: Path, label_file: Path, language: str, rules: Rules
) -> tuple[dict[str, list[float]], int]:
    gold, given = read_answers_gold(label_file), read_submission(prediction_file, task)
    _refuse_unknown(given, gold, "question", prediction_file, label_file)
    passage_language = language.split("-")[0]
    normalize = (
        partial(metrics.normalize_mlqa, language=passage_language) if rules == "mlqa" else metrics.normalize_squad
    )
    exact, overlap = metrics.question_scores(gold, given, normalize)
    return {"exact_match": exact, "f1": overlap}, len(gold.keys() - given.keys())


def _rankings(task: str, prediction_file: Path, label_file: Path) -> tuple[dict[str, list[float]], int]:
    gold, given = read_gold(label_file, task), read_submission(prediction_file, task)
    for query, right in gold.items():
        if not right or (task == "mewslix" and len(right) > 1):
            expected = "one right entity" if task == "mewslix" else "at least one right candidate"
            line = line_of(read_text(label_file), query)
            raise InputError(f"expected {expected} for {query}, got {len(right)}", label_file, line)
    if not gold:
        raise InputError("expected at least one query, got none", label_file)
    _refuse_unknown(given, gold, "query", prediction_file, label_file)
    values = [metrics.average_precision(right, given.get(query, [])) for query, right in gold.items()]
    return {"map@20": values}, len(gold.keys() - given.keys())


def _refuse_unknown(
    given: Mapping[str, object], gold: Mapping[str, object], noun: str, prediction_file: Path, label_file: Path
) -> None:
    for name in given:
        if name not in gold:
            line = line_of(read_text(prediction_file), name)
            raise InputError(f"expected a {noun} id of {label_file}, got {name!r}", prediction_file, line)


def _tags(task: str, prediction_file: Path, label_file: Path) -> tuple[list[list[str]], list[list[str]]]:
    gold, given = read_gold(label_file, task), read_submission(prediction_file, task)
    line = 1
    for number, (right, tags) in enumerate(zip(gold, given, strict=False), start=1):
        if len(right) != len(tags):
            message = f"expected {len(right)} tags in sentence {number}, as in {label_file}, got {len(tags)}"
            raise InputError(message, prediction_file, line)
        line += len(tags) + 1
    if len(gold) != len(given):
        message = f"expected {len(gold)} sentences, as many as {label_file} has, got {len(given)}"
        raise InputError(message, prediction_file, line if len(given) > len(gold) else line - 2)
    return gold, given


# A whole folder


def score_folder(
    predictions: Path,
    labels: Path,
    benchmark: Benchmark,
    languages: Mapping[str, Sequence[str]] | None = None,
    *,
    strict: bool = False,
    left_out: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Score every task of a benchmark that has predictions, as a JSON-like report.

    A task's average is the plain mean over its languages; when some have neither predictions nor labels, it is the mean
    over the others, ``missing`` names them and ``complete`` is false, as it is where gold is withheld. Group and overall
    scores are means over complete tasks, and null while one is missing.

    Args:
        predictions: folder with a folder per task.
        labels: the same for gold labels.
        languages: the benchmark's languages per task; None: those with a label file.
        strict: a missing or withheld language is an error, as in XTREME's script.
        left_out: further languages per task whose predictions may be there and are not scored (those of the other
            benchmark).

    Returns:
        ``benchmark``; ``tasks``: per task ``scores`` (metric, language), ``averages`` (``avg_<metric>`` and
        ``avg_metric``, the one that enters groups: QA takes the mean of F1 and exact match), ``examples`` and
        ``unanswered`` per language, ``languages``, ``missing``, ``complete``; ``groups`` and ``overall``: ``score`` and
        ``missing`` tasks; ``not_scored``: files left out on purpose; ``withheld``: per task, the languages without gold. A
        task that has no other is not among ``tasks``.

    Raises:
        InputError: an unknown task folder or language file, a prediction file without its label file or the other way
            round, or a malformed file.
    """
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise InputError("expected a folder with one folder per task (xnli, panx, ...)", folder)
    tasks = [task for group in GROUPS[benchmark].values() for task in group]
    present = {folder.name for folder in predictions.iterdir() if folder.is_dir() and folder.name[0] != "."}
    for name in sorted(present - KIND.keys()):
        raise InputError(f"unknown task folder; expected one of {', '.join(sorted(KIND))}", predictions / name)
    not_scored = sorted(present - set(tasks))
    report: dict[str, Any] = {}
    withheld: dict[str, list[str]] = {}
    for task in tasks:
        if task in present:
            official = _labelled(labels, task) if languages is None else list(languages.get(task, ()))
            others = (left_out or {}).get(task, ())
            not_scored += _unscored(predictions / task, official, others)
            scored, without_gold = _score_languages(predictions, labels, task, official, strict=strict)
            report |= {} if scored is None else {task: scored}
            withheld |= {task: without_gold} if without_gold else {}
    if withheld and not report:
        raise InputError(f"gold is withheld in every language of {', '.join(withheld)}: nothing to score", labels)
    if not report:
        raise InputError(f"expected a folder for at least one task of {benchmark}: {', '.join(tasks)}", predictions)
    groups = {group: _mean_of(report, members) for group, members in GROUPS[benchmark].items()}
    return {
        "benchmark": benchmark,
        "tasks": report,
        "groups": groups,
        "overall": _mean_of(report, tasks),
        "not_scored": not_scored,
        "withheld": withheld,
    }


def _labelled(labels: Path, task: str) -> list[str]:
    extension = EXTENSION[KIND[task]]
    found = sorted((labels / task).glob(f"test-*.{extension}"))
    if not found:
        raise InputError(
            f"expected label files test-<language>.{extension} for the predictions of {task}", labels / task
        )
    return [path.stem.removeprefix("test-") for path in found]


def _unscored(folder: Path, official: Sequence[str], others: Sequence[str]) -> list[str]:
    """Names of prediction files of the other benchmark's languages; any other unexpected file is an error."""
    extension = EXTENSION[KIND[folder.name]]
    names = []
    for path in sorted(folder.iterdir()):
        language = path.stem.removeprefix("test-")
        if path.name.startswith("."):
            continue
        if path.name != f"test-{language}.{extension}" or language not in {*official, *others}:
            known = ", ".join(official)
            raise InputError(f"unknown file; expected test-<language>.{extension}, language one of {known}", path)
        if language not in official:
            names.append(f"{folder.name}/{path.name}")
    return names


def _score_languages(
    predictions: Path, labels: Path, task: str, languages: Sequence[str], *, strict: bool
) -> tuple[dict[str, Any] | None, list[str]]:
    """The entry of a task, None if no language has gold, and the languages whose gold is withheld."""
    results: dict[str, Score] = {}
    missing: list[str] = []
    withheld: list[str] = []
    for language in languages:
        given, gold = submission_file(predictions, task, language), submission_file(labels, task, language)
        if not given.exists() and not gold.exists() and not strict:
            missing.append(language)
            continue
        for path, other in ((given, gold), (gold, given)):
            if not path.exists():
                reason = f"{other} exists" if other.exists() else f"{task} has the language {language}"
                raise InputError(f"expected this file, because {reason}; there is none", path)
        try:
            results[language] = score_file(task, given, gold, language)
        except Withheld:
            if strict:
                raise
            withheld.append(language)
    if withheld and not results:
        return None, withheld
    if not results:
        expected = submission_file(predictions, task, "<language>").name
        raise InputError(f"expected files {expected} for at least one of {', '.join(languages)}", predictions / task)
    names = next(iter(results.values())).metrics
    scores = {name: {language: score.metrics[name] for language, score in results.items()} for name in names}
    averages = {f"avg_{name}": sum(values.values()) / len(values) for name, values in scores.items()}
    entry = {
        "scores": scores,
        "averages": averages | {"avg_metric": _main_metric(averages)},
        "examples": {language: score.examples for language, score in results.items()},
        "unanswered": {language: score.unanswered for language, score in results.items()},
        "languages": list(languages),
        "missing": missing,
        "complete": not missing and not withheld,
    }
    return entry, withheld


def _main_metric(averages: Mapping[str, float]) -> float:
    """The one figure of a task that enters group and overall scores."""
    if "avg_exact_match" in averages:
        return (averages["avg_exact_match"] + averages["avg_f1"]) / 2
    name = next(name for name in ("avg_f1", "avg_accuracy", "avg_map@20") if name in averages)
    return averages[name]


def _mean_of(report: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    missing = [task for task in tasks if task not in report or not report[task]["complete"]]
    score = None if missing else sum(report[task]["averages"]["avg_metric"] for task in tasks) / len(tasks)
    return {"score": score, "tasks": list(tasks), "missing": missing}
