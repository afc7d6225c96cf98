"""Scores of files and of a whole folder, every task of both benchmarks, against values worked out in ``conftest``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tasks import TASKS, per_example, score_file, score_task

from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.pipeline import scoring
from xlt.pipeline.scoring import GROUPS

Folders = tuple[Path, Path]
Write = Callable[..., Folders]

AVERAGES: dict[str, dict[str, float]] = {
    "xnli": {"avg_accuracy": 75},
    "xcopa": {"avg_accuracy": 37.5},
    "pawsx": {"avg_accuracy": 80},
    # 5 of 6 tags, and all
    "udpos": {"avg_f1": 950 / 11, "avg_precision": (200 / 3 + 100) / 2, "avg_recall": 90, "avg_accuracy": 275 / 3},
    "panx": {"avg_f1": 70, "avg_precision": 75, "avg_recall": (100 / 3 + 100) / 2},
    "xquad": {"avg_exact_match": 200 / 3, "avg_f1": 700 / 9, "avg_metric": 1300 / 18},
    "mlqa": {"avg_exact_match": 50, "avg_f1": 90, "avg_metric": 70},
    "tydiqa": {"avg_exact_match": 50, "avg_f1": 75, "avg_metric": 62.5},
    "lareqa": {"avg_map@20": 1700 / 24},
    "mewslix": {"avg_map@20": 37.5},
    "tatoeba": {"avg_accuracy": 75},
    "bucc2018": {"avg_f1": 20, "avg_precision": 25, "avg_recall": 100 / 6},
}
MAIN = {
    task: averages.get("avg_metric", averages.get("avg_f1", next(iter(averages.values()))))
    for task, averages in AVERAGES.items()
}
SCORES: dict[tuple[str, str], dict[str, float]] = {
    ("xnli", "accuracy"): {"de": 50, "en": 100},
    ("xcopa", "accuracy"): {"et": 75, "zh": 0},
    ("pawsx", "accuracy"): {"fr": 80},
    ("udpos", "f1"): {"fi": 800 / 11, "wo": 100},
    ("panx", "f1"): {"de": 40, "sw": 100},
    ("xquad", "exact_match"): {"el": 100 / 3, "en": 100},
    ("xquad", "f1"): {"el": 500 / 9, "en": 100},
    ("mlqa", "f1"): {"zh": 80, "es": 100},
    ("tydiqa", "f1"): {"sw": 50, "ko": 100},
    ("lareqa", "map@20"): {"en": 500 / 12, "th": 100},
    ("mewslix", "map@20"): {"ar": 75, "ta": 0},
    ("tatoeba", "accuracy"): {"de": 50, "az": 100},
    ("bucc2018", "f1"): {"fr": 40, "zh": 0},
}


def score_folder(
    predictions: Path,
    labels: Path,
    benchmark: Any,
    languages: dict[str, list[str]] | None = None,
    left_out: dict[str, list[str]] | None = None,
    **options: bool,
) -> Any:
    """The report, where tasks have these languages and the other benchmark those left out; without any, those with labels."""
    other = next(name for name in GROUPS if name != benchmark)
    tasks = {
        name: task.model_copy(
            update={"languages": {benchmark: (languages or {}).get(name, []), other: (left_out or {}).get(name, [])}}
        )
        for name, task in TASKS.items()
    }
    return scoring.score_folder(predictions, labels, benchmark, tasks, any_language=languages is None, **options)


@pytest.mark.parametrize("benchmark", GROUPS)
def test_every_task_per_language_and_averaged(
    submission: Folders, languages: dict[str, list[str]], benchmark: Any
) -> None:
    report = score_folder(submission[0], submission[1], benchmark, languages)
    tasks = {task for group in GROUPS[benchmark].values() for task in group}
    assert set(report["tasks"]) == tasks
    for task in tasks:
        result = report["tasks"][task]
        averages = AVERAGES[task] | {"avg_metric": MAIN[task]}
        assert result["averages"] == pytest.approx(averages), task
        assert result["languages"] == languages[task]
        assert result["complete"]
    for (task, metric), scores in SCORES.items():
        if task in tasks:
            assert report["tasks"][task]["scores"][metric] == pytest.approx(scores), task


def test_examples_and_unanswered_questions_are_counted(submission: Folders, languages: dict[str, list[str]]) -> None:
    tasks = score_folder(submission[0], submission[1], "xtreme-r", languages)["tasks"]
    assert tasks["xnli"]["examples"] == {"de": 4, "en": 2}
    assert tasks["udpos"]["examples"] == {"fi": 2, "wo": 1}  # sentences
    assert tasks["xquad"]["examples"] == {"el": 3, "en": 1}
    assert tasks["xquad"]["unanswered"] == {"el": 1, "en": 0}
    assert tasks["lareqa"]["unanswered"] == {"en": 1, "th": 0}


def test_groups_and_overall_scores(submission: Folders, languages: dict[str, list[str]]) -> None:
    report = score_folder(submission[0], submission[1], "xtreme-r", languages)
    groups = {name: group["score"] for name, group in report["groups"].items()}
    assert groups == pytest.approx(
        {
            "classification": (75 + 37.5) / 2,
            "tagging": (950 / 11 + 70) / 2,
            "qa": (1300 / 18 + 70 + 62.5) / 3,
            "retrieval": (1700 / 24 + 37.5 + 75) / 3,
        }
    )
    ten = ["xnli", "xcopa", "udpos", "panx", "xquad", "mlqa", "tydiqa", "lareqa", "mewslix", "tatoeba"]
    # 656.919192 over ten tasks, each once
    assert report["overall"]["score"] == pytest.approx(65.6919192)
    assert sorted(report["overall"]["tasks"]) == sorted(ten)
    assert report["not_scored"] == ["bucc2018", "pawsx"]

    # 611.085859 over nine tasks
    report = score_folder(submission[0], submission[1], "xtreme", languages)
    assert report["overall"]["score"] == pytest.approx(67.8984287)
    assert report["groups"]["retrieval"]["score"] == pytest.approx((20 + 75) / 2)
    assert report["not_scored"] == ["lareqa", "mewslix", "xcopa"]


def test_a_language_without_files_is_named(one_task: Write, languages: dict[str, list[str]]) -> None:
    folders = one_task("xnli", "xcopa")
    report = score_folder(folders[0], folders[1], "xtreme-r", languages | {"xnli": ["de", "en", "sw", "ur"]})
    result = report["tasks"]["xnli"]
    assert result["missing"] == ["sw", "ur"]
    assert not result["complete"]
    assert result["averages"]["avg_accuracy"] == 75  # over German and English
    assert report["groups"]["classification"] == {"score": None, "tasks": ["xnli", "xcopa"], "missing": ["xnli"]}
    assert report["overall"]["score"] is None
    assert "tatoeba" in report["overall"]["missing"]
    assert "xcopa" not in report["overall"]["missing"]


def test_strict_refuses_a_missing_language(one_task: Write) -> None:
    with pytest.raises(InputError, match=r"test-sw\.tsv: expected this file"):
        predictions, labels = one_task("xnli")
        score_folder(predictions, labels, "xtreme-r", {"xnli": ["de", "en", "sw"]}, strict=True)


@pytest.mark.parametrize("side", [0, 1])
def test_a_file_on_one_side_only_is_an_error(one_task: Write, languages: dict[str, list[str]], side: int) -> None:
    folders = one_task("xnli")
    (folders[side] / "xnli" / "test-de.tsv").unlink()
    with pytest.raises(InputError, match=r"test-de\.tsv: expected this file, because .*test-de\.tsv exists"):
        score_folder(folders[0], folders[1], "xtreme-r", languages)


def test_without_a_list_the_label_files_say_which_languages(one_task: Write) -> None:
    predictions, labels = one_task("xnli")
    report = score_folder(predictions, labels, "xtreme")
    assert report["tasks"]["xnli"]["languages"] == ["de", "en"]


def test_languages_of_the_other_benchmark_are_named_and_not_scored(one_task: Write) -> None:
    predictions, labels = one_task("tatoeba")
    report = score_folder(predictions, labels, "xtreme", {"tatoeba": ["de"]}, left_out={"tatoeba": ["az"]})
    assert report["tasks"]["tatoeba"]["averages"]["avg_accuracy"] == 50
    assert report["not_scored"] == ["tatoeba/test-az.tsv"]


def test_the_report_is_json(submission: Folders, languages: dict[str, list[str]]) -> None:
    report = score_folder(submission[0], submission[1], "xtreme", languages)
    assert json.loads(json.dumps(report)) == report


def test_mlqa_language_pairs_follow_the_language_of_the_passage(tmp_path: Path) -> None:
    predictions, labels = tmp_path / "test-de-en.json", tmp_path / "gold.json"
    answers = [{"text": "Die Brücke", "answer_start": 0}]
    labels.write_text(json.dumps({"data": [{"paragraphs": [{"qas": [{"id": "q", "answers": answers}]}]}]}))
    predictions.write_text('{"q": "Brücke"}', encoding="utf-8")
    # "die" is an article of the German passage; in English it is a word, and "Brücke" misses it (recall 1/2, F1 2/3)
    assert score_task("mlqa", predictions, labels, "de-en") == {"exact_match": 100, "f1": 100}
    assert score_task("mlqa", predictions, labels, "en-de") == pytest.approx({"exact_match": 0, "f1": 200 / 3})


@pytest.mark.parametrize("task", ["xnli", "xcopa", "pawsx", "xquad", "mlqa", "tydiqa", "lareqa", "mewslix", "tatoeba"])
def test_the_mean_over_examples_is_the_score(submission: Folders, languages: dict[str, list[str]], task: str) -> None:
    predictions, labels = submission
    for language in languages[task]:
        files = [next((side / task).glob(f"test-{language}.*")) for side in (predictions, labels)]
        values = per_example(task, files[0], files[1], language)
        means = {metric: 100 * sum(scores) / len(scores) for metric, scores in values.items()}
        assert means == pytest.approx(score_task(task, files[0], files[1], language))


def test_per_example_keeps_the_order_of_the_labels(submission: Folders) -> None:
    predictions, labels = (side / "xnli" / "test-de.tsv" for side in submission)
    assert per_example("xnli", predictions, labels, "de") == {"accuracy": [1, 1, 0, 0]}


@pytest.mark.parametrize("task", ["panx", "udpos", "bucc2018"])
def test_an_f1_over_the_file_has_no_examples(task: str) -> None:
    with pytest.raises(ValueError, match="not by a mean over examples"):
        per_example(task, Path("a"), Path("b"), "de")


def test_answers_are_compared_by_the_rules_asked_for(tmp_path: Path) -> None:
    # Chinese has no spaces: by SQuAD's rules one word against another; by MLQA's four characters, three of them shared
    gold, given = tmp_path / "labels.json", tmp_path / "predictions.json"
    qas = [{"id": "q", "question": "?", "answers": [{"text": "北京大学", "answer_start": 0}]}]
    gold.write_text(json.dumps({"data": [{"paragraphs": [{"context": "", "qas": qas}]}]}), encoding="utf-8")
    given.write_text('{"q": "北京大"}', encoding="utf-8")
    found = {
        (name, rules): FAMILIES["span"]
        .score(TASKS[name].model_copy(update={"normalization": rules}), given, gold, "zh")
        .metrics["f1"]
        for name in ("xquad", "mlqa")
        for rules in ("squad", "mlqa")
    }
    assert found["xquad", "squad"] == found["mlqa", "squad"] == 0
    assert found["xquad", "mlqa"] == found["mlqa", "mlqa"] == pytest.approx(100 * 6 / 7)  # P 1, R 3/4
    assert [score_file(name, given, gold, "zh").metrics["f1"] > 0 for name in ("xquad", "mlqa")] == [False, True]
