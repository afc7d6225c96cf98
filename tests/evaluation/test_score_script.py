"""``reproduce/score.py`` as a user runs it: its output, its report, and exit status 2 with one line for bad input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.evaluation.conftest import squad
from tests.scripts import call

ROOT = Path(__file__).resolve().parents[2]
Edit = Callable[[Path, Path], object]
Write = Callable[..., tuple[Path, Path]]


def run(predictions: Path, labels: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the script; the report goes beside the predictions."""
    report = predictions.parent / "report.json"
    return call("score", "--predictions", predictions, "--labels", labels, "--output", report, *options)


def test_a_folder_with_every_task(submission: tuple[Path, Path]) -> None:
    done = run(*submission, "--benchmark", "xtreme-r")
    assert done.returncode == 0, done.stderr
    report = json.loads((submission[0].parent / "report.json").read_text(encoding="utf-8"))
    # the expected values are worked out in conftest.py
    assert report["tasks"]["xnli"]["scores"]["accuracy"] == {"de": 50, "en": 100}
    assert report["tasks"]["xquad"]["averages"]["avg_metric"] == pytest.approx(1300 / 18)
    assert report["tasks"]["mewslix"]["averages"]["avg_map@20"] == 37.5
    assert " ".join(report["tasks"]["xnli"]["languages"]) == "ar bg de el en es fr hi ru sw th tr ur vi zh"
    assert len(report["tasks"]["xnli"]["missing"]) == 13
    assert report["overall"]["score"] is None
    assert "average over 2 of 15 languages; missing: ar, bg, el" in done.stdout
    assert "72.73" in done.stdout  # UD-POS Finnish
    assert "not in xtreme-r, not scored: bucc2018, pawsx" in done.stdout
    assert not done.stderr


def test_the_other_benchmark_takes_its_own_languages(one_task: Write) -> None:
    predictions, labels = one_task("tatoeba")
    done = run(predictions, labels, "--benchmark", "xtreme")
    assert done.returncode == 0, done.stderr
    # Azerbaijani is a language of XTREME-R only
    assert "not in xtreme, not scored: tatoeba/test-az.tsv" in done.stdout


def overwrite(name: str, content: str | bytes) -> Edit:
    """An edit that replaces a prediction file."""

    def edit(predictions: Path, labels: Path) -> None:
        path = predictions / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return edit


BAD_INPUT: dict[str, tuple[str, Edit, str]] = {
    "wrong count": (
        "xnli",
        overwrite("xnli/test-de.tsv", "neutral\nneutral\n"),
        "predictions/xnli/test-de.tsv:2: expected 4 predictions",
    ),
    "surplus prediction": (
        "xnli",
        overwrite("xnli/test-en.tsv", "neutral\n" * 4),
        "predictions/xnli/test-en.tsv:3: expected 2 predictions",
    ),
    "wrong sentence count": (
        "udpos",
        overwrite("udpos/test-wo.tsv", "PRON\nVERB\n\nNOUN\n"),
        "predictions/udpos/test-wo.tsv:4: expected 1 sentences",
    ),
    "wrong tag count": (
        "udpos",
        overwrite("udpos/test-fi.tsv", "DET\nNOUN\nVERB\nPUNCT\n\nNOUN\n"),
        "predictions/udpos/test-fi.tsv:6: expected 2 tags in sentence 2",
    ),
    "unknown task": ("xnli", overwrite("xnil/test-de.tsv", "neutral\n"), "predictions/xnil: unknown task folder"),
    "unknown language": (
        "xnli",
        overwrite("xnli/test-xx.tsv", "neutral\n"),
        "predictions/xnli/test-xx.tsv: unknown file; expected test-<language>.tsv",
    ),
    "wrong extension": (
        "xnli",
        overwrite("xnli/test-fr.json", "{}"),
        "predictions/xnli/test-fr.json: unknown file; expected test-<language>.tsv",
    ),
    "truncated JSON": (
        "tydiqa",
        overwrite("tydiqa/test-ko.json", '{\n"q1": "'),
        "predictions/tydiqa/test-ko.json:2: expected JSON",
    ),
    "unknown question": (
        "tydiqa",
        overwrite("tydiqa/test-ko.json", '{"q1": "a",\n"q9": "b"}'),
        "predictions/tydiqa/test-ko.json:2: expected a question id of",
    ),
    "unknown query": (
        "mewslix",
        overwrite("mewslix/test-ta.json", '{"m9": []}'),
        "predictions/mewslix/test-ta.json:1: expected a query id of",
    ),
    "missing prediction file": (
        "xnli",
        lambda predictions, labels: (predictions / "xnli" / "test-de.tsv").unlink(),
        "predictions/xnli/test-de.tsv: expected this file",
    ),
    "missing label file": (
        "xnli",
        lambda predictions, labels: (labels / "xnli" / "test-de.tsv").unlink(),
        "labels/xnli/test-de.tsv: expected this file",
    ),
    "not UTF-8": (
        "xnli",
        overwrite("xnli/test-de.tsv", b"neutral\n\xe9\n"),
        "predictions/xnli/test-de.tsv:2: expected UTF-8",
    ),
    "empty file": (
        "xnli",
        overwrite("xnli/test-de.tsv", ""),
        "predictions/xnli/test-de.tsv: expected at least one line",
    ),
    "unknown label": (
        "xnli",
        overwrite("xnli/test-en.tsv", "neutral\n2\n"),
        "predictions/xnli/test-en.tsv:2: expected one of contradiction",
    ),
    "two right entities": (
        "mewslix",
        lambda predictions, labels: (labels / "mewslix" / "test-ta.json").write_text('{"m3": ["Q1", "Q2"]}'),
        "labels/mewslix/test-ta.json:1: expected one right entity for m3",
    ),
    "a label id for a tag": (
        "panx",
        overwrite("panx/test-de.tsv", "B-PER\nI-PER\n6\n6\n\n6\n0\n"),
        "predictions/panx/test-de.tsv:3: expected one of B-LOC, B-ORG, B-PER, I-LOC, I-ORG, I-PER, O, got '6'",
    ),
    "words for gold tags": (
        "udpos",
        lambda predictions, labels: (labels / "udpos" / "test-wo.tsv").write_text("Moom\nlekk\n"),
        "labels/udpos/test-wo.tsv:1: expected one of ADJ",
    ),
    "sentences for gold labels": (
        "xnli",
        lambda predictions, labels: (labels / "xnli" / "test-en.tsv").write_text("A cat.\tIt sat.\n"),
        "labels/xnli/test-en.tsv:1: expected one of contradiction",
    ),
    "one blank answer": (
        "xquad",
        lambda predictions, labels: (labels / "xquad" / "test-el.json").write_text(squad({"q1": ["a"], "q2": [""]})),
        "labels/xquad/test-el.json:1: expected at least one right answer to question q2",
    ),
    "nothing but withheld gold": (
        "mlqa",
        lambda predictions, labels: [
            (labels / "mlqa" / f"test-{code}.json").write_text(squad({"q1": [""]})) for code in ("zh", "es")
        ],
        "labels: gold is withheld in every language of mlqa: nothing to score",
    ),
    "no gold pairs": (
        "bucc2018",
        lambda predictions, labels: (labels / "bucc2018" / "test-zh.tsv").write_text(""),
        "labels/bucc2018/test-zh.tsv: expected at least one gold pair",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_ends_with_one_line_and_status_2(one_task: Write, case: str) -> None:
    task, edit, message = BAD_INPUT[case]
    predictions, labels = one_task(task)
    edit(predictions, labels)
    done = run(predictions, labels, "--benchmark", "xtreme" if task == "bucc2018" else "xtreme-r")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (predictions.parent / "report.json").exists()


def test_no_such_folder(tmp_path: Path) -> None:
    done = run(tmp_path / "predictions", tmp_path / "labels", "--benchmark", "xtreme")
    assert done.returncode == 2
    assert "predictions: expected a folder with one folder per task" in done.stderr


def test_strict_asks_for_every_language(one_task: Write) -> None:
    done = run(*one_task("xnli"), "--benchmark", "xtreme-r", "--strict")
    assert done.returncode == 2
    assert "test-ar.tsv: expected this file, because xnli has the language ar" in done.stderr


BLANKED = {
    "tydiqa/test-sw.json": squad({"q1": [""]}),
    "xcopa/test-et.jsonl": '{"idx": 0}\n' * 4,
    "mewslix/test-ar.json": '{"m1": [], "m2": []}',
    "lareqa/test-en.json": '{"q1_en": [], "q2_en": []}',
    "lareqa/test-th.json": '{"q1_th": []}',
}


def test_withheld_gold_is_said_and_not_scored(one_task: Write) -> None:
    """XTREME blanks its test sets: of TyDiQA, XCOPA and Mewsli-X one language is left of two, of LAReQA none."""
    predictions, labels = one_task("tydiqa", "xcopa", "mewslix", "lareqa")
    for name, content in BLANKED.items():
        (labels / name).write_text(content)
    done = run(predictions, labels, "--benchmark", "xtreme-r", "--any-language")
    assert done.returncode == 0, done.stderr
    report = json.loads((predictions.parent / "report.json").read_text())
    assert report["withheld"] == {"xcopa": ["et"], "tydiqa": ["sw"], "lareqa": ["en", "th"], "mewslix": ["ar"]}
    assert set(report["tasks"]) == {"xcopa", "tydiqa", "mewslix"}
    assert report["tasks"]["tydiqa"]["scores"]["f1"] == {"ko": 100}
    assert report["tasks"]["tydiqa"]["averages"]["avg_metric"] == 100
    assert not report["tasks"]["tydiqa"]["complete"]
    assert "tydiqa: gold withheld, not scored: sw" in done.stdout
    strict = run(predictions, labels, "--benchmark", "xtreme-r", "--any-language", "--strict")
    assert strict.returncode == 2 and "test-et.jsonl: gold is withheld" in strict.stderr
