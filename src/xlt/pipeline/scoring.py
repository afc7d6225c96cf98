"""Scores of the predictions of a run, and of a whole folder in XTREME's submission layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Benchmark, Task
from xlt.config.run_config import Evaluation
from xlt.errors import InputError
from xlt.evaluation.submission import TaskFiles, Withheld
from xlt.families import FAMILIES
from xlt.families.base import Score
from xlt.names import one_of

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


def score_run_task(folder: Path, evaluation: Evaluation, predicted: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a task in a run's ``scores.json``: the metrics and examples of each language, in percent.

    Args:
        folder: the run's.
        predicted: the task's entry of ``predicted.json``.
    """
    task, family = evaluation.task, FAMILIES[evaluation.task.family]
    languages: Sequence[str] = predicted["languages"]
    predictions, labels = folder / "predictions", folder / "labels"
    scores = {language: family.score_run(task, predictions, labels, language) for language in languages}
    absent = [metric for metric in task.metrics for score in scores.values() if metric not in score.metrics]
    if absent:
        raise InputError(
            f"metrics: task {task.name} is not scored by {absent[0]}; correct configs/tasks/{task.name}.yaml"
        )
    return {
        "split": evaluation.split,
        "metrics": {
            metric: {language: score.metrics[metric] for language, score in scores.items()} for metric in task.metrics
        },
        "n": {language: score.examples for language, score in scores.items()},
        "no_data": [code for code in evaluation.expected if code not in languages],
        "withheld": list(predicted["withheld"]),
        "unpaired" if task.pairs else "unlabelled": predicted["left_out"],
        **family.further_figures(task, predictions, labels, languages),
        **({"notes": notes} if (notes := predicted.get("notes")) else {}),
    }


def score_folder(
    predictions: Path,
    labels: Path,
    benchmark: Benchmark,
    tasks: Mapping[str, Task],
    *,
    any_language: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Score every task of a benchmark that has predictions, as a JSON-like report.

    A task's average is the plain mean over its languages; when some have neither predictions nor labels, it is the mean
    over the others, ``missing`` names them and ``complete`` is false, as it is where gold is withheld. Group and overall
    scores are means over complete tasks, and null while one is missing.

    Args:
        predictions: folder with a folder per task.
        labels: the same for gold labels.
        tasks: every task that may have a folder, by name.
        any_language: score the languages with a label file, not those of the benchmark. Predictions in languages that only
            the other benchmark has may be there and are not scored.
        strict: a missing or withheld language is an error, as in XTREME's script.

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
    names = [name for group in GROUPS[benchmark].values() for name in group]
    present = {folder.name for folder in predictions.iterdir() if folder.is_dir() and folder.name[0] != "."}
    further = (files.name for task in tasks.values() for files in FAMILIES[task.family].further_files(task))
    known = sorted({*tasks, *further})
    for name in sorted(present - set(known)):
        raise InputError(f"unknown task folder; {one_of(known, name)}", predictions / name)
    not_scored = sorted(present - set(names))
    report: dict[str, Any] = {}
    withheld: dict[str, list[str]] = {}
    for name in names:
        if name in present:
            task = tasks[name]
            files = FAMILIES[task.family].files(task)
            official = _labelled(labels, files) if any_language else task.languages.get(benchmark, [])
            others = [code for other, codes in task.languages.items() if other != benchmark for code in codes]
            not_scored += _unscored(predictions / name, files, official, others)
            scored, without_gold = _score_languages(predictions, labels, task, official, strict=strict)
            report |= {} if scored is None else {name: scored}
            withheld |= {name: without_gold} if without_gold else {}
    if withheld and not report:
        raise InputError(f"gold is withheld in every language of {', '.join(withheld)}: nothing to score", labels)
    if not report:
        raise InputError(f"expected a folder for at least one task of {benchmark}: {', '.join(names)}", predictions)
    groups = {group: _mean_of(report, members) for group, members in GROUPS[benchmark].items()}
    return {
        "benchmark": benchmark,
        "tasks": report,
        "groups": groups,
        "overall": _mean_of(report, names),
        "not_scored": not_scored,
        "withheld": withheld,
    }


def _labelled(labels: Path, files: TaskFiles) -> list[str]:
    pattern = files.path(labels, "*")
    found = sorted(pattern.parent.glob(pattern.name))
    if not found:
        expected = files.path(labels, "<language>").name
        raise InputError(f"expected label files {expected} for the predictions of {files.name}", pattern.parent)
    return [path.stem.removeprefix("test-") for path in found]


def _unscored(folder: Path, files: TaskFiles, official: Sequence[str], others: Sequence[str]) -> list[str]:
    """Names of prediction files of the other benchmark's languages; any other unexpected file is an error."""
    names = []
    for path in sorted(folder.iterdir()):
        language = path.stem.removeprefix("test-")
        if path.name.startswith("."):
            continue
        if path.name != files.path(folder, language).name or language not in {*official, *others}:
            expected, known = files.path(folder, "<language>").name, ", ".join(official)
            raise InputError(f"unknown file; expected {expected}, language one of {known}", path)
        if language not in official:
            names.append(f"{folder.name}/{path.name}")
    return names


def _score_languages(
    predictions: Path, labels: Path, task: Task, languages: Sequence[str], *, strict: bool
) -> tuple[dict[str, Any] | None, list[str]]:
    """The entry of a task, None if no language has gold, and the languages whose gold is withheld."""
    family, files = FAMILIES[task.family], FAMILIES[task.family].files(task)
    results: dict[str, Score] = {}
    missing: list[str] = []
    withheld: list[str] = []
    for language in languages:
        given, gold = files.path(predictions, language), files.path(labels, language)
        if not given.exists() and not gold.exists() and not strict:
            missing.append(language)
            continue
        for path, other in ((given, gold), (gold, given)):
            if not path.exists():
                reason = f"{other} exists" if other.exists() else f"{task.name} has the language {language}"
                raise InputError(f"expected this file, because {reason}; there is none", path)
        try:
            results[language] = family.score(task, given, gold, language)
        except Withheld:
            if strict:
                raise
            withheld.append(language)
    if withheld and not results:
        return None, withheld
    if not results:
        expected = files.path(predictions, "<language>")
        raise InputError(f"expected files {expected.name} for at least one of {', '.join(languages)}", expected.parent)
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
