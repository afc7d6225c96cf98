"""Expectations: recorded from several seeds, they pass an honest run and refuse what cannot be recorded or compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.scripts import call

from xlt.artifacts import to_json
from xlt.config import Task, load
from xlt.errors import InputError
from xlt.results.compare import ANOTHER_WORLD
from xlt.results.expectations import STAMP, as_yaml, collect, spread, world_digest
from xlt.results.reported import load_reported
from xlt.results.runs import load_plan, load_regime
from xlt.results.verdicts import Verdict, counts, exit_code, verdicts
from xlt.results.verification import problems, warnings

ROOT = Path(__file__).resolve().parents[2]
TASKS = {name: load(Task, ROOT / "configs" / "tasks" / f"{name}.yaml") for name in ("xnli", "xcopa")}
LANGUAGES = ("en", "qaa", "qab", "qac", "qad")
REGIMES = ("full", "adapter", "lora")
RECORDED: dict[str, Any] = {
    "profile": "tiny", "model": "babel", "world": "w1", "seeds": [1, 2, 3], "encoders": [], "commits": [], "platforms": [],
}  # fmt: skip


def draw(seed: int, regime: str, task: str, change: float = 0.0) -> dict[str, float]:
    """Accuracies on 150 examples of a run: by language 40 to 80 %, a seed moves all by 1.5 points and each by 2."""
    generator = np.random.default_rng([seed, REGIMES.index(regime), len(task)])
    common = generator.normal(0, 1.5)
    true = {code: 80.0 - 10 * number for number, code in enumerate(LANGUAGES)}
    drawn = {code: value + change + common + generator.normal(0, 2) for code, value in true.items()}
    return {code: round(value * 1.5) / 1.5 for code, value in drawn.items()}


@pytest.fixture
def runs(tmp_path: Path, folders: Callable[..., Any]) -> Callable[..., Path]:
    """A root with runs of three regimes on two tasks for each seed; ``change``: points by (regime, task)."""

    def make(name: str, seeds: list[int], change: Mapping[tuple[str, str], float] | None = None) -> Path:
        made = folders(profile="tiny", model="babel")
        made.root = tmp_path / name
        made.plan |= {"regimes": {}, "seeds": seeds}
        made.profile["splits"] = {}
        for regime in REGIMES:
            made.regime(regime)
            for seed in seeds:
                for task, recipe in (("xnli", "mnli"), ("xcopa", "copa")):
                    scores = draw(seed, regime, task, (change or {}).get((regime, task), 0.0))
                    made.run(regime, recipe, seed, {task: {"accuracy": scores}}, n=150)
        return Path(made.root)

    return make


def record(folder: Path, *roots: Path) -> Path:
    """The folder with the expectations of all regimes below the roots."""
    text = as_yaml(collect(roots, REGIMES, TASKS), {name: name for name in REGIMES}, "table2", RECORDED)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    return folder


def judged(root: Path, reported: Path, world: str | None = "w1") -> list[Verdict]:
    plan = load_plan(root)
    regimes = {name: load_regime(root, plan, name) for name in plan.regimes}
    return verdicts(plan, regimes, TASKS, load_reported(reported), {}, world=world)


def test_an_honest_run_of_another_seed_is_verified(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("three", [1, 2, 3]))
    found = judged(runs("new", [4]), reported)
    assert len(found) == 3 * 2 * (5 + 1)
    assert set(counts(found)) <= {"reproduced", "near"}
    assert exit_code(found) == 0
    assert {verdict.basis.split(",")[0] for verdict in found} == {"one seed; 3 recorded runs"}
    # a recorded seed again, as on the machine that recorded it: no further off than another one
    assert exit_code(judged(runs("again", [1]), reported)) == 0


def test_honest_runs_are_rarely_flagged(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("three", [1, 2, 3]))
    codes = [exit_code(judged(runs(f"new{seed}", [seed]), reported)) for seed in range(10, 30)]
    assert sum(codes) <= 1  # 1 % each


def test_a_change_in_one_run_is_found(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("three", [1, 2, 3]))
    worse = judged(runs("worse", [4], {("adapter", "xnli"): -25.0}), reported)
    assert {(v.regime, v.task) for v in worse if v.status == "lower"} == {("adapter", "xnli")}
    assert exit_code(worse) == 1
    lines = problems(worse, most=2)
    assert lines[0].startswith("lower: adapter, xnli, accuracy, en: ") and " against " in lines[0]
    assert lines[-1] == f"and {sum(v.status == 'lower' for v in worse) - 2} more"
    better = judged(runs("better", [4], {("lora", "xcopa"): 18.0}), reported)
    assert {(v.regime, v.task) for v in better if v.status == "higher"} == {("lora", "xcopa")}
    assert exit_code(better) == 0
    assert warnings(better)[0].startswith("higher than reported, which is no success, something differs: lora, xcopa")


def test_what_the_file_holds_is_the_mean_the_spread_and_the_origin(runs: Any, tmp_path: Path) -> None:
    root = runs("three", [1, 2, 3])
    content = yaml.safe_load((record(tmp_path / "reported", root) / "tiny.yaml").read_text(encoding="utf-8"))
    assert content["recorded"]["seeds"] == [1, 2, 3]
    row = next(r for r in content["tables"][0]["rows"] if (r["regime"], r["task"]) == ("lora", "xcopa"))
    own = [draw(seed, "lora", "xcopa") for seed in (1, 2, 3)]
    assert row["seeds"] == 3
    for code in LANGUAGES:
        assert row["values"][code] == pytest.approx(np.mean([scores[code] for scores in own]), abs=1e-4)
        assert row["std"][code] == pytest.approx(np.std([scores[code] for scores in own], ddof=1), abs=1e-4)
    means = [np.mean(list(scores.values())) for scores in own]
    assert row["averages"][0]["value"] == pytest.approx(np.mean(means), abs=1e-4)
    assert row["averages"][0]["std"] == pytest.approx(np.std(means, ddof=1), abs=1e-4)
    # 3 regimes of one task with 2 degrees of freedom each at most, and the cell's own 2
    assert 2 < row["freedom"]["languages"] <= 2 + 3 * 2
    assert 2 < row["freedom"]["averages"] <= 2 + 6 * 2


def test_several_roots_are_one_sample(runs: Any) -> None:
    together = collect([runs("all", [1, 2, 3])], REGIMES, TASKS)
    apart = collect([runs("first", [1]), runs("others", [2, 3])], REGIMES, TASKS)
    assert together == apart


def test_recording_needs_finished_runs_of_different_seeds(runs: Any) -> None:
    one = runs("one", [1])
    with pytest.raises(InputError, match="at least two seeds, each once, got 1"):
        collect([one], REGIMES, TASKS)
    with pytest.raises(InputError, match="each once, got 1, 1"):
        collect([one, runs("same", [1])], REGIMES, TASKS)
    two = runs("two", [1, 2])
    (two / "runs/adapter/mnli/seed-2/scores.json").unlink()
    with pytest.raises(InputError, match="expected finished runs of adapter on xnli"):
        collect([two], REGIMES, TASKS)
    with pytest.raises(InputError, match="expected runs of this table"):
        collect([one], ["madx"], TASKS)


def test_the_same_run_under_another_seed_is_refused(runs: Any) -> None:
    rows = collect([runs("three", [1, 2, 3])], REGIMES, TASKS)
    for cells in rows.values():
        for cell in cells.values():
            cell.values = dict.fromkeys(cell.values, 50.0)
    with pytest.raises(InputError, match="the same run is there twice"):
        spread(rows)


def test_another_world_is_never_green(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("three", [1, 2, 3]))
    new = runs("new", [4])
    found = judged(new, reported, world="w2")
    assert counts(found) == {"not comparable": len(found)}
    assert {verdict.reason for verdict in found} == {ANOTHER_WORLD}
    assert exit_code(found) == 2
    assert "make expectations" in warnings(found)[0]
    # other profiles and tables know nothing of expectations
    assert counts(judged(new, reported, world=None)) == {"not reported": len(found)}


def test_a_language_that_was_recorded_and_has_no_score_now_is_not_passed_over(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("three", [1, 2, 3]))
    new = runs("new", [4])
    path = new / "runs/full/mnli/seed-4/scores.json"
    scores = json.loads(path.read_text(encoding="utf-8"))
    del scores["tasks"]["xnli"]["metrics"]["accuracy"]["qac"], scores["tasks"]["xnli"]["n"]["qac"]
    path.write_text(json.dumps(scores), encoding="utf-8")
    with pytest.raises(InputError, match="expected a score or an entry in no_data for qac"):
        judged(new, reported)
    scores["tasks"]["xnli"]["no_data"] = ["qac"]
    path.write_text(json.dumps(scores), encoding="utf-8")
    found = judged(new, reported)
    assert [(v.regime, v.task, v.reason) for v in found if v.status == "not run"] == [
        ("full", "xnli", "qac: recorded with a score, has none here")
    ]
    average = [v for v in found if (v.regime, v.task, v.language) == ("full", "xnli", "avg")]
    assert [(v.status, v.reason) for v in average] == [("not comparable", "average over other languages")]
    assert exit_code(found) == 2


def write_world(folder: Path, text: str = "one", config: str = "c1") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.tsv").write_text(text, encoding="utf-8")
    (folder / "languages.yaml").write_text("{}\n", encoding="utf-8")
    (folder / STAMP).write_text(to_json({"config": config, "files": ["a.tsv", "languages.yaml"]}), encoding="utf-8")
    return folder


def test_the_world_s_digest_knows_its_files_and_its_dials(tmp_path: Path) -> None:
    first = world_digest(write_world(tmp_path / "a"))
    assert world_digest(write_world(tmp_path / "b")) == first
    others = [
        world_digest(write_world(tmp_path / "c", text="two")),
        world_digest(write_world(tmp_path / "d", config="x")),
    ]
    assert len({first, *others}) == 3
    (tmp_path / "a" / "a.tsv").unlink()
    with pytest.raises(InputError, match=r"expected a\.tsv of the generated world"):
        world_digest(tmp_path / "a")


def test_the_script_writes_the_file_or_one_line(runs: Any, tmp_path: Path) -> None:
    root = runs("three", [1, 2, 3])
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "prepared.json").write_text(to_json({"sha256": {"model.safetensors": "abcd"}}), encoding="utf-8")
    given = ["--world", write_world(tmp_path / "w"), "--encoder", encoder, "--configs", ROOT / "configs"]
    given += ["--output", tmp_path / "tiny.yaml"]
    done = call("expectations", *given, "--root", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path}/tiny.yaml: 36 cells of 3 regimes, seeds 1, 2, 3\n"
    written = yaml.safe_load((tmp_path / "tiny.yaml").read_text(encoding="utf-8"))["recorded"]
    assert (written["encoders"], written["world"]) == (["abcd"], world_digest(tmp_path / "w"))
    bad = call("expectations", *given, "--root", runs("one", [1]))
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1
    assert "at least two seeds" in bad.stderr
