"""make submission: the leaderboard layout from finished runs, and the same scores when it is read back."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xlt.errors import exit_status
from xlt.files import read_json, to_json
from xlt.modeling.pretrained import load_tokenizer
from xlt.pipeline.predict_run import predict, score
from xlt.pipeline.steps import make_context
from xlt.pipeline.train_run import make_model

Run = Callable[..., int]
RECIPES = {"mnli": ["xnli"], "udpos": ["udpos"], "lareqa": ["lareqa", "tatoeba"]}


@pytest.fixture(scope="module")
def finished(planned: Path, mini_data: Path, mini_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of which three runs of the regime ``adapter`` are scored, predicted with untrained heads."""
    root = shutil.copytree(planned, tmp_path_factory.mktemp("submission") / "root")
    plan = read_json(root / "plan.json")
    plan["regimes"]["adapter"]["runs"] = [run for run in plan["regimes"]["adapter"]["runs"] if run["recipe"] in RECIPES]
    (root / "plan.json").write_text(to_json(plan), encoding="utf-8")
    for recipe in RECIPES:
        context = make_context(root / f"runs/adapter/{recipe}/seed-1", mini_data, mini_encoder, 1)
        model = make_model(context, context.config.stages[-1])
        predict(context, model, load_tokenizer(context.encoder), "w")
        (context.folder / "scores.json").write_text(to_json({"tasks": score(context)}), encoding="utf-8")
    return root


@pytest.fixture
def run(finished: Path, mini_data: Path) -> Run:
    """The command line of reproduce/submission.py in this process; its exit status."""

    def function(*given: str, script: str = "submission", where: tuple[str, ...] | None = None) -> int:
        before = sys.argv, list(sys.path)
        places = ("--root", str(finished), "--data", str(mini_data)) if where is None else where
        sys.argv = [script, *given, *places]
        try:
            return exit_status(importlib.import_module(script).main)
        finally:
            sys.argv, sys.path[:] = before

    return function


def test_a_submission_is_read_back_to_the_scores_of_its_runs(
    run: Run, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--run", "adapter", "--output", str(tmp_path / "s")) == 0
    printed = capsys.readouterr().out
    assert "4 of 10 tasks, scored again with the same figures" in printed
    assert "missing tasks: xcopa, panx, xquad, mlqa, tydiqa, mewslix" in printed
    assert "xnli: only the first 4 examples" in printed
    assert "overall: incomplete" in printed
    summary = read_json(tmp_path / "s" / "submission.json")
    assert summary["tasks"]["tatoeba"]["run"] == "runs/adapter/lareqa/seed-1"
    assert {p.name for p in (tmp_path / "s" / "predictions").iterdir()} == {"xnli", "udpos", "lareqa", "tatoeba"}
    given = ["--predictions", str(tmp_path / "s/predictions"), "--labels", str(tmp_path / "s/labels")]
    report = tmp_path / "report.json"
    more = ("--benchmark", "xtreme-r", "--any-language", "--output", str(report))
    assert run(*given, *more, script="score", where=()) == 0
    found = json.loads(report.read_text(encoding="utf-8"))["tasks"]
    for recipe, tasks in RECIPES.items():
        scores = read_json(finished / f"runs/adapter/{recipe}/seed-1/scores.json")["tasks"]
        for task in tasks:
            for metric in found[task]["scores"]:
                if metric in scores[task]["metrics"]:
                    assert found[task]["scores"][metric] == scores[task]["metrics"][metric]


def test_tatoeba_is_in_the_order_of_the_sorted_english_side(run: Run, tmp_path: Path, mini_data: Path) -> None:
    assert run("--run", "runs/adapter/lareqa/seed-1", "--output", str(tmp_path / "s")) == 0
    english = (mini_data / "tatoeba/v1/tatoeba.qaa-eng.eng").read_text(encoding="utf-8").splitlines()[:4]
    # the label of an English line is the number of the foreign line it translates: here its own, before sorting
    order = sorted(range(4), key=lambda number: english[number])
    labels = (tmp_path / "s/labels/tatoeba/test-qaa.tsv").read_text(encoding="utf-8").split()
    assert labels == [str(number) for number in order]


def test_what_cannot_be_submitted_is_one_clear_line(
    run: Run, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--run", "adaptr") == 2
    assert "RUN: expected one of adapter, " in capsys.readouterr().err
    assert run("--run", "adapter", "--seed", "7") == 2
    assert "expected a planned seed of adapter, got 7; there are 1" in capsys.readouterr().err
    assert run("--run", "full") == 2
    assert "expected a finished run" in capsys.readouterr().err
    path = finished / "runs/adapter/mnli/seed-1/scores.json"
    before = path.read_text(encoding="utf-8")
    changed = json.loads(before)
    changed["tasks"]["xnli"]["metrics"]["accuracy"]["en"] = 12.5
    path.write_text(json.dumps(changed), encoding="utf-8")
    assert run("--run", "adapter", "--output", str(tmp_path / "s")) == 2
    assert "expected accuracy as in the run's scores.json" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
    path.write_text(before, encoding="utf-8")
