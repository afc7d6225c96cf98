"""Faults seeded into real run folders turn the verification red; the honest ones pass. All through the real scripts.

The miniature encoder learns nothing, so its predictions on XNLI are replaced by the gold labels with one in five drawn at
random. All else is what the scripts make of it.
"""

from __future__ import annotations

import importlib
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import make_plan, mini_world, write_mini_configs

from xlt import babel
from xlt.errors import exit_status
from xlt.files import read_json, to_json
from xlt.pipeline import predict_run

REGIMES = ("full", "adapter", "full-gradual")
LABELS = ("entailment", "neutral", "contradiction")
NEW = 1
"""The seed of the run that is verified; those of ``RECORDED`` are recorded."""
RECORDED = (2, 3, 4)


def script(name: str, *arguments: str | Path) -> int:
    """The command line of a script of reproduce/, in this process; its exit status."""
    path, given = list(sys.path), sys.argv
    sys.argv = [name, *map(str, arguments)]
    try:
        return exit_status(importlib.import_module(name).main)
    finally:
        sys.path[:], sys.argv = path, given


class Bench:
    """A world, configs and a root whose runs are honest."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        self.folder, self.encoder = folder, encoder
        self.data, self.configs, self.root = folder / "data", folder / "configs", folder / "root"

    def run(self, regime: str, seed: int = NEW) -> int:
        """reproduce/run.py on the XNLI run of a regime: what is done and current is not repeated."""
        where = ("--data", self.data, "--encoder", self.encoder, "--threads", "1")
        return script("run", self.of(regime, seed), *where)

    def of(self, regime: str, seed: int = NEW) -> Path:
        return self.root / f"runs/{regime}/mnli/seed-{seed}"

    def skilled(self, regime: str, seed: int = NEW) -> None:
        """Replace the predictions: right with probability 0.8."""
        draw = random.Random(f"{regime} {seed}")
        for gold in sorted((self.of(regime, seed) / "labels" / "xnli").glob("*.tsv")):
            labels = gold.read_text(encoding="utf-8").split()
            given = [label if draw.random() < 0.8 else draw.choice(LABELS) for label in labels]
            self.write(regime, seed, gold.name, given)
        self.again(regime, seed)

    def write(self, regime: str, seed: int, name: str, labels: list[str]) -> None:
        text = "".join(f"{label}\n" for label in labels)
        (self.of(regime, seed) / "predictions" / "xnli" / name).write_text(text, encoding="utf-8")

    def again(self, regime: str, seed: int = NEW) -> None:
        """Score once more."""
        (self.of(regime, seed) / "scores.json").unlink()
        assert self.run(regime, seed) == 0

    def plan(self, *seeds: int) -> None:
        make_plan(self.configs, self.data, self.root, self.encoder, "--seeds", " ".join(map(str, seeds)))

    def verify(self) -> tuple[int, dict[str, set[tuple[str, str]]]]:
        """reproduce/verify.py: the exit status, and by verdict the (regime, language) that have it."""
        where = ("--root", self.root, "--configs", self.configs, "--world", self.data)
        code = script("verify", "--table", "faults", *where)
        found: dict[str, set[tuple[str, str]]] = {}
        for verdict in read_json(self.root / "tables" / "faults.verification.json")["verdicts"]:
            found.setdefault(verdict["status"], set()).add((verdict["regime"], verdict["language"]))
        return code, found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, mini_encoder: Path) -> Bench:
    """Expectations of three regimes, recorded from three seeds, and honest runs of another; copy it before changing it."""
    bench = Bench(tmp_path_factory.mktemp("bench"), mini_encoder)
    world = mini_world()
    world["sizes"]["test"] = 60
    babel.write_world(bench.data, world)
    write_mini_configs(bench.configs)
    for folder, kept in (("tasks", ("xnli",)), ("tables", ()), ("regimes", REGIMES), ("reported", ())):
        for path in (bench.configs / folder).glob("*.yaml"):
            if path.stem not in kept:
                path.unlink()
    table = {"name": "faults", "title": "Faults", "regimes": list(REGIMES), "tasks": ["xnli"], "reference": "full"}
    (bench.configs / "tables" / "faults.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    profile = bench.configs / "profiles" / "mini.yaml"
    profile.write_text(profile.read_text(encoding="utf-8").replace("test: 4", "test: 60"), encoding="utf-8")
    seeds = [*RECORDED, NEW]
    bench.plan(*seeds)
    for regime in REGIMES:
        for seed in seeds:
            assert bench.run(regime, seed) == 0
            bench.skilled(regime, seed)
    bench.plan(*RECORDED)
    where = ("--table", "faults", "--root", bench.root, "--configs", bench.configs)
    assert script("expectations", *where, "--world", bench.data, "--encoder", mini_encoder) == 0
    bench.plan(NEW)
    return bench


@pytest.fixture
def bench(recorded: Bench, tmp_path: Path) -> Bench:
    """A copy of a test's own."""
    folder = shutil.copytree(recorded.folder, tmp_path / "bench", symlinks=True)
    return Bench(folder, recorded.encoder)


def test_the_honest_runs_are_green(bench: Bench) -> None:
    code, found = bench.verify()
    assert code == 0
    assert set(found) <= {"reproduced", "near"}
    assert sum(map(len, found.values())) == len(REGIMES) * (3 + 1)  # en, qaa, qag and their average


def test_a_flipped_label_map_differs(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    flipped = {"entailment": "contradiction", "contradiction": "entailment", "neutral": "neutral"}
    for path in (bench.of("adapter") / "predictions" / "xnli").glob("*.tsv"):
        given = path.read_text(encoding="utf-8").split()
        bench.write("adapter", NEW, path.name, [flipped[label] for label in given])
    bench.again("adapter")
    code, found = bench.verify()
    assert code == 1
    outside = {cell for status in ("near", "lower") for cell in found.get(status, ())}
    assert outside >= {("adapter", code) for code in ("en", "qaa", "qag", "avg")}
    assert "differs: average, adapter, xnli: " in capsys.readouterr().out


def test_a_scorer_that_drops_a_language_is_not_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = predict_run.score_run_task

    def dropping(folder: Path, evaluation: Any, done: Any) -> dict[str, Any]:
        scores = honest(folder, evaluation, done)
        for values in (scores["n"], *scores["metrics"].values()):
            del values["qag"]
        return {**scores, "no_data": ["qag"] if quietly else []}

    monkeypatch.setattr(predict_run, "score_run_task", dropping)
    quietly = True
    bench.again("full")
    code, found = bench.verify()
    assert code == 2
    assert found["not run"] == {("full", "qag")}
    assert found["not comparable"] == {("full", "avg")}  # an average over fewer languages passes for no other
    quietly = False
    bench.again("full")
    assert script("verify", "--table", "faults", "--root", bench.root, "--configs", bench.configs) == 2


def swap(bench: Bench, source: str, target: str) -> None:
    """Put the weights of one regime's run into another's folder, and let its papers vouch for them."""
    shutil.copyfile(bench.of(source) / "weights.safetensors", bench.of(target) / "weights.safetensors")
    path = bench.of(target) / "trained.json"
    theirs = read_json(bench.of(source) / "trained.json")["weights_sha256"]
    path.write_text(to_json({**read_json(path), "weights_sha256": theirs}), encoding="utf-8")


def test_weights_of_another_way_of_tuning_are_an_error(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    swap(bench, "full", "adapter")
    assert bench.run("adapter") == 2
    assert "is in only one of checkpoint and model" in capsys.readouterr().err
    code, found = bench.verify()
    assert code == 1
    assert found["error"] == {("adapter", "")}


def test_weights_of_a_regime_of_the_same_shape_are_an_error(bench: Bench) -> None:
    swap(bench, "full", "full-gradual")
    assert bench.run("full-gradual") == 0  # they fit, and are predicted with
    bench.skilled("full-gradual")  # and score as they should
    code, found = bench.verify()
    assert code == 1
    assert found["error"] == {("full", ""), ("full-gradual", "")}


def test_scores_of_other_weights_than_the_trained_ones_are_an_error(bench: Bench) -> None:
    swap(bench, "full", "full-gradual")  # and nothing is predicted again
    code, found = bench.verify()
    assert code == 1
    assert found["error"] == {("full-gradual", "")}


def test_weights_without_papers_are_trained_again(bench: Bench) -> None:
    own = (bench.of("adapter") / "weights.safetensors").read_bytes()
    shutil.copyfile(bench.of("full") / "weights.safetensors", bench.of("adapter") / "weights.safetensors")
    assert bench.run("adapter") == 0
    assert (bench.of("adapter") / "weights.safetensors").read_bytes() == own
    assert bench.verify()[0] == 0


def test_another_world_is_incomplete(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((bench.data / "multinli_1.0").glob("*train.jsonl"))
    path.write_text(path.read_text(encoding="utf-8").replace(" ", "  ", 1), encoding="utf-8")
    code, found = bench.verify()
    assert code == 2
    assert set(found) == {"not comparable"}
    assert "warning: 12 expectations recorded on another generated world" in capsys.readouterr().out
