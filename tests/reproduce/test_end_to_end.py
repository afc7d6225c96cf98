"""Whole runs on the miniature encoder and data, through the scripts and through make."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT, make_plan

from xlt.config.run_config import read_run
from xlt.errors import exit_status
from xlt.files import read_json
from xlt.pipeline import steps
from xlt.pipeline.context import Context
from xlt.pipeline.train_run import is_trained


def run_here(root: Path, name: str, data: Path, encoder: Path, *more: str) -> int:
    """The command line of reproduce/run.py in this process; its exit status."""
    main = importlib.import_module("run").main
    before = sys.argv
    given = [str(root / "runs" / name), "--data", str(data), "--encoder", str(encoder), "--threads", "1"]
    sys.argv = ["run.py", *given, *more]
    try:
        return exit_status(main)
    finally:
        sys.argv = before


def times(folder: Path) -> dict[str, int]:
    """Modification times of everything a run wrote, but for its lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in files}


def rewritten(folder: Path, before: dict[str, int]) -> set[str]:
    """First part of the path of each file that is new or newer than ``before``."""
    return {name.split("/")[0] for name, stamp in times(folder).items() if before.get(name) != stamp}


@pytest.fixture
def root(planned: Path, tmp_path: Path) -> Path:
    """A copy of the plan of this test's own."""
    return shutil.copytree(planned, tmp_path / "root")


def test_every_task_of_full_fine_tuning_runs(root: Path, mini_data: Path, mini_encoder: Path) -> None:
    planned = read_json(root / "plan.json")["regimes"]["full"]["runs"]
    tasks = {}
    for run in planned:
        assert run_here(root, run["dir"].removeprefix("runs/"), mini_data, mini_encoder) == 0
        scores = read_json(root / run["dir"] / "scores.json")["tasks"]
        planned_languages = read_run(root / run["dir"]).languages
        assert {name: set(task["n"]) for name, task in scores.items()} == {
            name: set(codes) for name, codes in planned_languages.items()
        }
        tasks.update(scores)
        provenance = read_json(root / run["dir"] / "provenance.json")
        assert provenance["trainable_parameters"] == provenance["total_parameters"]
        assert provenance["wall_seconds"]["train"] > 0
        assert provenance["encoder"] == "drawn at random for the tests"
    assert set(tasks) == {
        "xnli", "xcopa", "udpos", "panx", "xquad", "mlqa", "tydiqa", "lareqa", "mewslix", "tatoeba",
        "pawsx", "xnli-pairs", "pawsx-pairs", "mlqa-pairs", "xquad-pairs", "lareqa-pairs",
    }  # fmt: skip
    for name, task in tasks.items():
        for metric, values in task["metrics"].items():
            assert values, (name, metric)
            assert all(0 <= value <= 100 for value in values.values())


def test_the_same_run_twice_gives_the_same_files(
    root: Path, mini_data: Path, mini_encoder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(root, tmp_path / "other")
    found = []
    for folder in (root, other):
        assert run_here(folder, "lora/copa/seed-1", mini_data, mini_encoder) == 0
        own = folder / "runs/lora/copa/seed-1"
        names = sorted(path for path in own.rglob("*") if path.is_file() and "predictions" in path.parts)
        found.append([(own / "weights.safetensors").read_bytes(), (own / "scores.json").read_bytes()])
        found[-1] += [path.read_bytes() for path in names]
    assert found[0] == found[1]
    assert len(found[0]) == 4


def test_an_adapter_chain_is_resumed_step_by_step(root: Path, mini_data: Path, mini_encoder: Path) -> None:
    upstream, name = "adapter/mnli/seed-1", "adapter-itt/mnli/seed-1"
    assert run_here(root, name, mini_data, mini_encoder) == 2  # its upstream has not run
    assert run_here(root, upstream, mini_data, mini_encoder) == 0
    assert run_here(root, name, mini_data, mini_encoder) == 0
    folder = root / "runs" / name
    upstream_times, before = times(root / "runs" / upstream), times(folder)
    scores = (folder / "scores.json").read_bytes()

    (folder / "scores.json").unlink()  # only scoring is repeated
    assert run_here(root, name, mini_data, mini_encoder) == 0
    assert rewritten(folder, before) == {"scores.json", "provenance.json", "examples.npz"}
    assert (folder / "scores.json").read_bytes() == scores

    before = times(folder)
    (folder / "predicted.json").unlink()  # prediction is repeated, training is not
    assert run_here(root, name, mini_data, mini_encoder) == 0
    assert "predictions" in rewritten(folder, before)
    assert not rewritten(folder, before) & {"weights.safetensors", "trained.json"}
    assert (folder / "scores.json").read_bytes() == scores

    before, weights = times(folder), (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(weights[:-1])  # damaged: trained again, bit for bit
    assert run_here(root, name, mini_data, mini_encoder) == 0
    assert {"weights.safetensors", "trained.json"} <= rewritten(folder, before)
    assert "predictions" not in rewritten(folder, before)  # they were made from the same weights
    assert (folder / "weights.safetensors").read_bytes() == weights
    assert (folder / "scores.json").read_bytes() == scores
    assert times(root / "runs" / upstream) == upstream_times


def test_a_changed_config_takes_the_old_scores_away_before_anything_can_fail(
    root: Path, mini_data: Path, mini_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "adapter/udpos/seed-1"
    folder = root / "runs" / name
    assert run_here(root, name, mini_data, mini_encoder) == 0
    config = (folder / "config.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(config.replace('"batch_size": 32', '"batch_size": 2'), encoding="utf-8")

    def interrupted(context: Context, *_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "train", interrupted)
    assert run_here(root, name, mini_data, mini_encoder) == 130
    assert not (folder / "scores.json").exists()
    monkeypatch.undo()
    assert run_here(root, name, mini_data, mini_encoder) == 0
    assert (folder / "scores.json").exists()


def test_a_killed_run_leaves_nothing_that_looks_finished(
    root: Path, mini_data: Path, mini_encoder: Path, mini_configs: Path
) -> None:
    # Long enough (many epochs) that it is surely killed while it trains.
    profile = mini_configs / "profiles" / "mini.yaml"
    profile.write_text(profile.read_text(encoding="utf-8").replace("default: 1", "default: 100000"), encoding="utf-8")
    make_plan(mini_configs, mini_data, root, mini_encoder)
    folder = root / "runs/full/udpos/seed-1"
    command = [sys.executable, str(ROOT / "reproduce" / "run.py"), str(folder)]
    command += ["--data", str(mini_data), "--encoder", str(mini_encoder), "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "epoch 1 of " not in process.stderr.readline():  # training has begun
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert {path.name for path in folder.iterdir()} == {"config.json", ".lock"}
    context = steps.make_context(folder, mini_data, mini_encoder, 1)
    assert not is_trained(context)


def make(out: Path, data: Path, encoder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """``make`` with a plan's rules, as the Makefile calls it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    values = [f"PYTHON={sys.executable}", f"ENCODER={encoder}/prepared.json", "REPORTED=", "LAUNCH="]
    values += [f"RUN=--data {data} --encoder {encoder} --threads 1"]
    return subprocess.run(
        ["make", "-j1", "-f", str(out / "plan.mk"), *values, *targets],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_runs_what_is_due_and_bad_data_stops_one_run_only(
    mini_configs: Path, mini_data: Path, mini_encoder: Path, tmp_path: Path
) -> None:
    for path in (mini_configs / "tasks").glob("*.yaml"):  # two tasks are enough
        if path.stem not in ("xnli", "udpos"):
            path.unlink()
    for path in (mini_configs / "tables").glob("*.yaml"):
        path.unlink()
    data, root = shutil.copytree(mini_data, tmp_path / "data"), tmp_path / "root"
    nli = data / "multinli_1.0" / "multinli_1.0_train.jsonl"
    good = nli.read_text(encoding="utf-8")

    (tags,) = data.glob("ud/UD_*/qaa_*-ud-test.conllu")
    lines = tags.read_text(encoding="utf-8").splitlines(keepends=True)
    wrong = next(number for number, line in enumerate(lines, 1) if line.startswith("2\t"))
    lines[wrong - 1] = lines[wrong - 1].replace("\t", " ", 1)
    tags.write_text("".join(lines), encoding="utf-8")
    make_plan(mini_configs, data, root, mini_encoder)
    done = make(
        root,
        data,
        mini_encoder,
        "-k",
        f"{root}/runs/lora/mnli/seed-1/scores.json",
        f"{root}/runs/lora/udpos/seed-1/scores.json",
    )
    assert done.returncode == 2
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message.startswith(f"error: {tags}:{wrong}: expected")
    assert "Traceback" not in done.stderr
    finished = root / "runs/lora/mnli/seed-1"
    assert (finished / "scores.json").exists()
    assert not (root / "runs/lora/udpos/seed-1/scores.json").exists()
    kept = times(finished)

    lines[wrong - 1] = lines[wrong - 1].replace(" ", "\t", 1)
    tags.write_text("".join(lines), encoding="utf-8")
    make_plan(mini_configs, data, root, mini_encoder)
    due = make(root, data, mini_encoder, "-n", "lora").stdout
    assert "runs/lora/udpos/seed-1" in due
    assert f"run.py {finished} " not in due
    assert run_here(root, "lora/udpos/seed-1", data, mini_encoder) == 0
    done = make(root, data, mini_encoder, "lora")
    assert done.returncode == 0, done.stderr
    assert times(finished) == kept
    assert (root / "tables" / "regime-lora.md").exists()

    make_plan(mini_configs, data, root, mini_encoder)
    assert make(root, data, mini_encoder, "-q", "lora").returncode == 0  # nothing is due
    assert "reproduce/" not in make(root, data, mini_encoder, "-n", "lora").stdout
    (finished / "scores.json").unlink()
    due = make(root, data, mini_encoder, "-n", "lora").stdout
    assert f"run.py {finished} " in due
    assert "runs/lora/udpos/seed-1" not in due

    nli.write_text(good.replace("neutral", "neutrale", 1), encoding="utf-8")
    make_plan(mini_configs, data, root, mini_encoder)
    due = make(root, data, mini_encoder, "-n", "adapter-itt").stdout
    order = [due.index(f"{root}/runs/{name} ") for name in ("adapter/mnli/seed-1", "adapter-itt/udpos/seed-1")]
    assert order == sorted(order)


def test_predict_without_weights_is_an_input_error(
    root: Path, mini_data: Path, mini_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(root, "lora/udpos/seed-1", mini_data, mini_encoder, "--only", "predict") == 2
    assert capsys.readouterr().err == (
        f"error: {root}/runs/lora/udpos/seed-1: expected current weights in this run; use --only train first\n"
    )


def test_train_predict_and_score_may_be_done_one_by_one(
    root: Path, mini_data: Path, mini_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "lora/udpos/seed-1"
    assert run_here(root, name, mini_data, mini_encoder, "--only", "train") == 0
    assert {path.name for path in (root / "runs" / name).iterdir()} == {
        ".lock", "config.json", "weights.safetensors", "trained.json", "cost.json"
    }  # fmt: skip
    assert run_here(root, name, mini_data, mini_encoder, "--only", "score") == 2
    assert capsys.readouterr().err.endswith("expected current predictions in this run; use --only predict first\n")
    assert run_here(root, name, mini_data, mini_encoder, "--only", "predict") == 0
    assert not (root / "runs" / name / "scores.json").exists()
    before = times(root / "runs" / name)
    assert run_here(root, name, mini_data, mini_encoder, "--only", "score") == 0
    assert rewritten(root / "runs" / name, before) == {"scores.json", "provenance.json", "examples.npz"}
