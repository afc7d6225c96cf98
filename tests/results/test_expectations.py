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

from xlt.config.benchmark import Task, load
from xlt.errors import InputError
from xlt.files import to_json
from xlt.layout import WORLD_STAMP
from xlt.results.comparability import ANOTHER_WORLD
from xlt.results.expectations import as_yaml, collect, world_digest
from xlt.results.page_tests import page_tests
from xlt.results.recording import load_recording
from xlt.results.reported import load_reported
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.spreads import TAILS
from xlt.results.verdicts import Verdict, counts, exit_code, verdicts
from xlt.results.verification import problems, warnings

ROOT = Path(__file__).resolve().parents[2]
TASKS = {name: load(Task, ROOT / "configs" / "tasks" / f"{name}.yaml") for name in ("xnli", "xcopa")}
LANGUAGES = ("en", "qaa", "qab", "qac", "qad")
REGIMES = ("full", "adapter", "lora")
ORIGIN: dict[str, Any] = {"world": "w1", "encoders": [], "commits": [], "platforms": []}
SEEDS = [2, 3, 4, 5, 6]
"""The recorded ones; seed 1 is verified."""


def draw(seed: int, regime: str, task: str, change: float = 0.0) -> dict[str, float]:
    """Accuracies on 150 examples of a run: by language 40 to 80 %, a seed moves all by 1.5 points and each by 2."""
    generator = np.random.default_rng([seed, REGIMES.index(regime), len(task)])
    common = generator.normal(0, 1.5)
    true = {code: 80.0 - 10 * number for number, code in enumerate(LANGUAGES)}
    drawn = {code: value + change + common + generator.normal(0, 2) for code, value in true.items()}
    return {code: round(min(max(value, 0), 100) * 1.5) / 1.5 for code, value in drawn.items()}


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
    found = collect(roots, REGIMES, TASKS, verified=[1])
    text = as_yaml(found, {name: name for name in REGIMES}, "table2", "tiny", "babel", ORIGIN)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    return folder


def judged(root: Path, reported: Path, world: str | None = "w1") -> list[Verdict]:
    plan = load_plan(root)
    regimes = {name: load_regime(root, plan, name) for name in plan.regimes}
    return verdicts(plan, regimes, TASKS, load_reported(reported), {}, world=world)


def test_an_honest_run_of_another_seed_is_verified(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("five", SEEDS))
    found = judged(runs("new", [1]), reported)
    assert len(found) == 3 * 2 * (5 + 1)
    assert set(counts(found)) <= {"reproduced", "near"}
    assert exit_code(found) == 0
    assert {verdict.basis.split(",")[0] for verdict in found} == {"one seed; 5 recorded runs"}


def test_honest_runs_are_rarely_flagged(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("five", SEEDS))
    codes = [exit_code(judged(runs(f"new{seed}", [seed]), reported)) for seed in range(10, 30)]
    assert sum(codes) == 0  # 0.01 % each


def test_a_change_in_one_run_is_found(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("five", SEEDS))
    worse = judged(runs("worse", [1], {("adapter", "xnli"): -40.0}), reported)
    assert {(v.regime, v.task) for v in worse if v.status == "lower"} == {("adapter", "xnli")}
    assert exit_code(worse) == 1
    lines = problems(worse, [], most=2)
    assert lines[0].startswith("lower: adapter, xnli, accuracy, en: ") and " against " in lines[0]
    assert lines[-1] == f"and {sum(v.status == 'lower' for v in worse) - 2} more"
    better = judged(runs("better", [1], {("lora", "xcopa"): 35.0}), reported)
    assert {(v.regime, v.task) for v in better if v.status == "higher"} == {("lora", "xcopa")}
    assert exit_code(better) == 0
    assert warnings(better)[0].startswith("higher than reported, which is no success, something differs: lora, xcopa")


def test_the_file_holds_every_score_and_the_rest_is_derived(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("five", SEEDS))
    content = yaml.safe_load((reported / "tiny.yaml").read_text(encoding="utf-8"))
    assert content["recorded"]["runs"] == [{"seed": seed, "kernel": "AVX2"} for seed in SEEDS]
    row = next(r for r in content["rows"] if (r["regime"], r["task"]) == ("lora", "xcopa"))
    own = [draw(seed, "lora", "xcopa") for seed in SEEDS]
    assert row["scores"] == {code: [round(scores[code], 2) for scores in own] for code in LANGUAGES}
    assert set(row) == {"regime", "method", "task", "metric", "scores"}
    entries = {e.language: e for e in load_reported(reported) if (e.regime, e.task) == ("lora", "xcopa")}
    for code in LANGUAGES:
        assert entries[code].value == pytest.approx(np.mean(row["scores"][code]))
        assert entries[code].std == pytest.approx(np.std(row["scores"][code], ddof=1))
    means = np.mean(list(row["scores"].values()), axis=0)
    assert entries["avg"].value == pytest.approx(np.mean(means))
    assert entries["avg"].std == pytest.approx(np.std(means, ddof=1))
    assert entries["avg"].average_over == LANGUAGES
    assert {e.seeds for e in entries.values()} == {5}
    # 4 degrees of freedom of the cell's own, and more from cells like it, up to what heavy tails allow
    assert all(e.freedom is not None and 4 < e.freedom <= TAILS for e in entries.values())


def test_several_roots_are_one_sample(runs: Any) -> None:
    together = collect([runs("all", SEEDS)], REGIMES, TASKS)
    apart = collect([runs("others", [4, 5, 6]), runs("first", [2, 3])], REGIMES, TASKS)
    assert together.scores == apart.scores
    assert together.seeds == apart.seeds == SEEDS


def test_recording_needs_finished_runs_of_other_seeds_than_the_verified_one(runs: Any) -> None:
    two = runs("two", [2, 3])
    with pytest.raises(InputError, match="at least three seeds, each once, got 2, 3"):
        collect([two], REGIMES, TASKS)
    with pytest.raises(InputError, match="each once, got 2, 3, 3, 4"):
        collect([two, runs("same", [3, 4])], REGIMES, TASKS)
    with pytest.raises(InputError, match="expected other seeds than 2, which is the one that is verified"):
        collect([runs("five", SEEDS)], REGIMES, TASKS, verified=[1, 2])
    three = runs("three", [2, 3, 4])
    (three / "runs/adapter/mnli/seed-2/scores.json").unlink()
    with pytest.raises(InputError, match="expected finished runs of adapter on xnli"):
        collect([three], REGIMES, TASKS)
    with pytest.raises(InputError, match="expected runs of this table"):
        collect([runs("one", [1])], ["madx"], TASKS)


def test_a_seed_is_recorded_with_one_kernel(runs: Any) -> None:
    root = runs("five", SEEDS)
    path = root / "runs/lora/mnli/seed-3/provenance.json"
    path.write_text(path.read_text(encoding="utf-8").replace("AVX2", "DEFAULT"), encoding="utf-8")
    with pytest.raises(InputError, match="seed-3: expected the CPU kernel AVX2 of this seed, got DEFAULT"):
        collect([root], REGIMES, TASKS)


def test_the_same_run_under_another_seed_is_refused(runs: Any, tmp_path: Path) -> None:
    root = runs("five", SEEDS)
    for regime in REGIMES:
        for seed in SEEDS[1:]:
            target = root / f"runs/{regime}/copa/seed-{seed}/scores.json"
            target.write_bytes((root / f"runs/{regime}/copa/seed-2/scores.json").read_bytes())
    with pytest.raises(InputError, match="xcopa accuracy: expected runs that differ; the same run is there twice"):
        load_reported(record(tmp_path / "reported", root))


def test_the_page_is_tested_from_its_verdicts(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("five", SEEDS))
    recording = load_recording(reported, "tiny", "babel")
    assert recording is not None
    assert load_recording(reported, "tiny", "another") is None
    honest = page_tests(judged(runs("new", [1]), reported), recording, TASKS)
    # 6 tasks of regimes, 2 tasks, 3 regimes and the page, and of these 4 the share outside
    assert [test.family for test in honest] == ["average"] * 6 + ["task"] * 2 + ["regime"] * 4 + ["share outside"] * 4
    assert not any(test.differs for test in honest)
    # 12 points less everywhere: no cell alone is so far out, but the page is
    lower = dict.fromkeys(((regime, task) for regime in REGIMES for task in TASKS), -12.0)
    found = judged(runs("lower", [1], lower), reported)
    assert exit_code(found) == 0
    page = page_tests(found, recording, TASKS)
    assert [test.name for test in page if test.differs and test.family == "regime"][-1] == "all"
    assert exit_code(found, differs=True) == 1
    assert problems(found, page)[0].startswith("differs: ")
    # expectations of another world say nothing of the page
    assert page_tests(judged(runs("other", [1]), reported, world="w2"), recording, TASKS) == []


def test_another_world_is_never_green(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("five", SEEDS))
    new = runs("new", [1])
    found = judged(new, reported, world="w2")
    assert counts(found) == {"not comparable": len(found)}
    assert {verdict.reason for verdict in found} == {ANOTHER_WORLD}
    assert exit_code(found) == 2
    assert "make expectations" in warnings(found)[0]
    # other profiles and tables know nothing of expectations
    assert counts(judged(new, reported, world=None)) == {"not reported": len(found)}


def test_a_language_that_was_recorded_and_has_no_score_now_is_not_passed_over(runs: Any, tmp_path: Path) -> None:
    reported = record(tmp_path / "reported", runs("five", SEEDS))
    new = runs("new", [1])
    path = new / "runs/full/mnli/seed-1/scores.json"
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
    (folder / WORLD_STAMP).write_text(
        to_json({"config": config, "files": ["a.tsv", "languages.yaml"]}), encoding="utf-8"
    )
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
    root = runs("five", SEEDS)
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "prepared.json").write_text(to_json({"sha256": {"model.safetensors": "abcd"}}), encoding="utf-8")
    given = ["--world", write_world(tmp_path / "w"), "--encoder", encoder, "--configs", ROOT / "configs"]
    given += ["--output", tmp_path / "tiny.yaml"]
    done = call("expectations", *given, "--root", root)
    assert (done.returncode, done.stderr) == (0, "")
    runs_of = ", ".join(f"{seed} (AVX2)" for seed in SEEDS)
    assert done.stdout == f"{tmp_path}/tiny.yaml: 30 cells of 3 regimes, seeds {runs_of}\n"
    written = yaml.safe_load((tmp_path / "tiny.yaml").read_text(encoding="utf-8"))["recorded"]
    assert (written["encoders"], written["world"]) == (["abcd"], world_digest(tmp_path / "w"))
    bad = call("expectations", *given, "--root", runs("one", [1]))
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1
    assert "expected other seeds than 1" in bad.stderr
