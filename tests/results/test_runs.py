"""Run folders: what is read, and what is refused with one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xlt.errors import InputError
from xlt.results.cost import cost
from xlt.results.run_folders import load_plan, load_regime, seed_of

SCORES = {"xnli": {"accuracy": {"en": 80.0, "de": 60.0}}}


@pytest.fixture
def one_run(folders: Callable[..., Any]) -> tuple[Any, Path]:
    folder = folders()
    folder.regime("full")
    return folder, folder.run("full", "mnli", 1, SCORES)


def load(folder: Any, regime: str = "full") -> Any:
    return load_regime(folder.root, load_plan(folder.root), regime)


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_reads_a_run(one_run: tuple[Any, Path]) -> None:
    regime = load(one_run[0])
    assert regime.tasks == ["xnli"]
    assert regime.finished[0].scores.tasks["xnli"].metrics["accuracy"]["de"] == 60.0
    assert not regime.frozen


def test_run_without_scores_did_not_run(one_run: tuple[Any, Path]) -> None:
    folder, path = one_run
    (path / "scores.json").unlink()
    assert load(folder).finished == []
    (path / "config.json").unlink()  # the planner writes one for every run
    with pytest.raises(InputError, match=r"expected the run's config.json; run make plan again"):
        load(folder)


def test_plan_is_required(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make plan"):
        load_plan(tmp_path)


def test_unknown_regime(one_run: tuple[Any, Path]) -> None:
    with pytest.raises(InputError, match="regime: expected one of full, got adapter"):
        load(one_run[0], "adapter")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s["tasks"]["xnli"]["metrics"]["accuracy"].update(de=160.0),
            "expected a percentage for accuracy, de",
        ),
        (lambda s: s["tasks"]["xnli"]["metrics"]["accuracy"].update(de=float("nan")), "expected a percentage"),
        (lambda s: s["tasks"]["xnli"]["metrics"]["accuracy"].pop("de"), "no_data for de"),
        (lambda s: s["tasks"]["xnli"]["n"].pop("de"), "expected n for every scored language, none for de"),
        (lambda s: s["tasks"]["xnli"].update(no_data=["de"]), "got both for de"),
        (lambda s: s["tasks"]["xnli"].update(split="train"), "split"),
        (lambda s: s["tasks"].pop("xnli"), "planned task xnli"),
        (lambda s: s.pop("tasks"), "expected the key tasks"),
        (lambda s: s["tasks"]["xnli"]["metrics"].update(f1={"en": 1.0}), "every metric for every language"),
    ],
)
def test_damaged_scores_are_refused(one_run: tuple[Any, Path], change: Callable[[Any], object], message: str) -> None:
    folder, path = one_run
    edit(path / "scores.json", change)
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert str(caught.value).startswith(str(path / "scores.json"))
    assert "\n" not in str(caught.value)


def test_truncated_scores(one_run: tuple[Any, Path]) -> None:
    folder, path = one_run
    text = (path / "scores.json").read_text(encoding="utf-8")
    (path / "scores.json").write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(InputError, match="expected JSON"):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "provenance.json"])
def test_scores_need_their_neighbours(one_run: tuple[Any, Path], name: str) -> None:
    folder, path = one_run
    (path / name).unlink()
    with pytest.raises(InputError, match=name):
        load(folder)


def test_seed_must_be_the_planned_one(one_run: tuple[Any, Path]) -> None:
    folder, path = one_run
    text = (path / "config.json").read_text(encoding="utf-8")
    (path / "config.json").write_text(text.replace('"seed": 1', '"seed": 3'), encoding="utf-8")
    with pytest.raises(InputError, match="expected seed 1 as planned, got 3"):
        load(folder)


def test_two_runs_for_one_task_and_seed(one_run: tuple[Any, Path]) -> None:
    folder, _ = one_run
    folder.run("full", "snli", 1, SCORES)
    with pytest.raises(InputError, match="one run per task and seed"):
        load(folder)


def test_frozen(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("untuned")
    folder.run("untuned", "none", 1, {"tatoeba": {"accuracy": {"de": 98.0}}}, tuning="frozen")
    assert load(folder, "untuned").frozen


def test_seed_of() -> None:
    assert seed_of("runs/full/mnli/seed-12") == 12
    assert seed_of("runs/full/mnli") is None


def test_cost_sums_runs_and_averages_seeds(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.regime("full-itt", upstream=["runs/full/mnli/seed-1", "runs/full/mnli/seed-2"])
    for seed, seconds in ((1, 100.0), (2, 200.0)):
        folder.run("full", "mnli", seed, SCORES, train=seconds, predict=10.0)
        folder.run("full-itt", "squad", seed, SCORES, train=40.0 * seed, predict=5.0, trained=900, total=1000)
        folder.run(
            "full-itt", "copa", seed, {"xcopa": {"accuracy": {"et": 50.0}}}, train=20.0, predict=5.0, trained=950
        )
    plan = load_plan(folder.root)
    regimes = {name: load_regime(folder.root, plan, name) for name in plan.regimes}
    found = cost(regimes["full-itt"], regimes)
    assert found is not None
    # seed 1: 40 + 20 = 60, seed 2: 80 + 20 = 100; mean 80. Prediction 10 in each. Intermediate (100 + 200) / 2.
    assert (found.train, found.predict, found.intermediate) == (80.0, 10.0, 150.0)
    assert found.shared == ("full",)
    assert (found.trained, found.share) == (950, 0.095)
    assert found.runs == (4, 4)
    assert found.peak_memory == 2**30


def test_cost_without_runs(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "mnli", 1, None, tasks=["xnli"])
    assert cost(load(folder), {}) is None


def test_untimed_step(one_run: tuple[Any, Path]) -> None:
    folder, path = one_run
    edit(path / "provenance.json", lambda p: p["wall_seconds"].update(train=None))
    found = cost(load(folder), {})
    assert found is not None
    assert (found.train, found.predict, found.intermediate) == (None, 30.0, None)
