"""The planner: what is rewritten when, what is shared, what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import make_plan

from xlt.config.run_config import RunConfig, Upstream, read_run
from xlt.errors import InputError
from xlt.files import read_json
from xlt.planning.pending import due, planned

Plan = Callable[..., Path]


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are kept at the first plan, however new its data are."""
    monkeypatch.setattr("xlt.digests.SETTLED", -60.0)


@pytest.fixture
def plan(mini_configs: Path, mini_data: Path, mini_encoder: Path, tmp_path: Path) -> Plan:
    """A function that plans on this test's own configs and gives the root folder."""

    def function(*more: str, data: Path | None = None, root: str = "root") -> Path:
        make_plan(mini_configs, data or mini_data, tmp_path / root, mini_encoder, *more)
        return tmp_path / root

    return function


@pytest.fixture
def own_data(mini_data: Path, tmp_path: Path) -> Path:
    """A copy of the data folder that a test may damage."""
    return shutil.copytree(mini_data, tmp_path / "own-data")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(re.findall(old, text)) == 1, f"{old!r} in {path}"
    path.write_text(re.sub(old, new, text), encoding="utf-8")


def edit_profile(configs: Path, **values: Any) -> None:
    path = configs / "profiles" / "mini.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def old(root: Path) -> None:
    """Set the time of every file back, so that what is written from now on shows."""
    for path in root.rglob("*"):
        os.utime(path, ns=(10**9, 10**9))


def written(root: Path) -> set[str]:
    """Files written since ``old``."""
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path.stat().st_mtime_ns != 10**9
    }


@pytest.mark.parametrize("name", ["out é", "it's", "a$b", "a:b", "a#b", "a%b", "two\nlines"])
def test_a_folder_that_make_cannot_carry_is_one_line(plan: Plan, mini_data: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="make cannot carry it"):
        plan(root=name)
    with pytest.raises(InputError, match="make cannot carry it"):
        plan(data=tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["été", "ete\u0301", "数据", "данные,1", "données-α+β@x"])
def test_letters_of_any_script_are_carried(plan: Plan, mini_data: Path, tmp_path: Path, name: str) -> None:
    data = tmp_path / name / "data"
    shutil.copytree(mini_data, data)
    root = plan(data=data, root=f"{name}/root")
    given = ["-f", str(root / "plan.mk"), "PYTHON=python", "ENCODER=/dev/null", f"RUN=--data {data}", "adapter-itt"]
    work = {each.folder: each.command for each in due(given)}
    assert set(work) == set(planned(given).values()) and str(root / "runs/adapter-itt/mnli/seed-1") in work
    assert all(f"{folder} --data {data}" in command for folder, command in work.items())


def configs_of(*runs: str) -> set[str]:
    return {f"runs/{run}/seed-1/config.json" for run in runs}


FIVE = ("full", "adapter", "lora", "full-itt", "adapter-itt")


def training_on(root: Path, recipe: str) -> set[str]:
    """The configs of all runs that train on a recipe, or evaluate weights that were, by reading every config."""
    configs = {path: json.loads(path.read_bytes()) for path in root.glob("runs/*/*/*/config.json")}
    return {
        path.relative_to(root).as_posix()
        for path, config in configs.items()
        if recipe in [stage["recipe"]["name"] for stage in config["stages"]]
    }


def test_planning_twice_rewrites_nothing(plan: Plan) -> None:
    root = plan()
    assert (root / "plan.mk").exists()
    assert (root / "runs/full/mnli/seed-1/config.json").exists()
    old(root)
    plan()
    assert written(root) == set()


def test_a_changed_recipe_changes_the_runs_that_train_on_it_only(plan: Plan, mini_configs: Path) -> None:
    root = plan()
    old(root)
    edit(mini_configs / "recipes" / "udpos.yaml", r"batch_size: 32", "batch_size: 4")
    plan()
    changed = written(root)
    assert changed == training_on(root, "udpos")
    assert changed >= configs_of(*(f"{regime}/udpos" for regime in FIVE))
    assert not {name for name in changed if "/udpos/" not in name}


def test_a_changed_intermediate_recipe_changes_the_upstream_runs(plan: Plan, mini_configs: Path) -> None:
    # The runs after them need no new config: make runs them again because their prerequisite is newer.
    root = plan()
    old(root)
    edit(mini_configs / "recipes" / "siqa.yaml", r"batch_size: 32", "batch_size: 4")
    plan()
    changed = written(root)
    assert changed == training_on(root, "siqa")
    assert changed >= configs_of(*(f"{regime}/copa" for regime in FIVE))  # Social IQa is a stage of these
    assert configs_of("adapter/mnli", "adapter-itt/copa") - changed == configs_of("adapter/mnli")


def test_a_changed_cap_changes_the_runs_that_use_it_only(plan: Plan, mini_configs: Path) -> None:
    root = plan()
    old(root)
    profile = mini_configs / "profiles" / "mini.yaml"
    content = yaml.safe_load(profile.read_text(encoding="utf-8"))
    content.setdefault("caps", {})["udpos"] = {"train": 3}
    profile.write_text(yaml.safe_dump(content), encoding="utf-8")
    plan()
    changed = written(root)
    assert changed == training_on(root, "udpos")
    assert changed >= configs_of(*(f"{regime}/udpos" for regime in FIVE))


def test_a_changed_regime_changes_its_own_runs_only(plan: Plan, mini_configs: Path) -> None:
    root = plan()
    old(root)
    edit(mini_configs / "regimes" / "adapter-adv.yaml", r"steps: 2 ", "steps: 3 ")
    plan()
    changed = written(root)
    assert changed
    assert all(name.startswith("runs/adapter-adv/") for name in changed)


def test_changed_data_changes_the_runs_that_read_it(plan: Plan, own_data: Path) -> None:
    root = plan(data=own_data)
    old(root)
    path = own_data / "xcopa" / "data" / "qaa" / "test.qaa.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    plan(data=own_data)
    changed = written(root)
    assert changed >= configs_of(*(f"{regime}/copa" for regime in FIVE))
    assert not {name for name in changed if "/copa" not in name} - {"data-digests.json"}  # kept of settled files


def test_the_rules_make_the_upstream_run_first(plan: Plan) -> None:
    root = plan()
    rules = (root / "plan.mk").read_text(encoding="utf-8")
    target = f"{root}/runs/full-itt/udpos/seed-1"
    needs = f"{target}/config.json $(ENCODER) {root}/runs/full/mnli/seed-1/scores.json"
    assert f"{target}/scores.json: {needs}\n" in rules
    assert f"{root}/runs/full/mnli/seed-1/scores.json: {root}/runs/full/mnli/seed-1/config.json $(ENCODER)\n" in rules


@pytest.mark.parametrize(("regime", "plain"), [("full-itt", "full"), ("adapter-itt", "adapter")])
def test_an_intermediate_run_is_shared_with_the_plain_regime(plan: Plan, regime: str, plain: str) -> None:
    root = plan("--seeds", "1 2")
    for seed in (1, 2):
        for recipe in ("mnli", "udpos", "copa", "squad"):
            config = read_run(root / f"runs/{regime}/{recipe}/seed-{seed}")
            assert config.upstream == [Upstream(recipe="mnli", folder=f"runs/{plain}/mnli/seed-{seed}")]
            assert (config.seed, config.regime.name) == (seed, regime)
    assert not (root / "runs" / f"{regime}-plain").exists()
    listed = read_json(root / "plan.json")["regimes"][regime]
    assert listed["upstream"] == [f"runs/{plain}/mnli/seed-{seed}" for seed in (1, 2)]


def test_an_intermediate_run_that_no_regime_has_is_planned_for_itself(plan: Plan, mini_configs: Path) -> None:
    edit(mini_configs / "regimes" / "adapter-itt.yaml", r"reduction_factor: 16 ", "reduction_factor: 8 ")
    root = plan()
    config = read_run(root / "runs/adapter-itt/udpos/seed-1")
    assert [up.folder for up in config.upstream] == ["runs/adapter-itt-plain/mnli/seed-1"]
    upstream = read_run(root / config.upstream[0].folder)
    assert upstream.regime.intermediate is None
    assert upstream.regime.tuning == config.regime.tuning
    assert (upstream.tasks, upstream.upstream) == ([], [])


def test_a_run_says_everything_it_depends_on(plan: Plan, mini_data: Path) -> None:
    config = read_run(plan() / "runs/full/copa/seed-1")
    assert [stage.recipe.name for stage in config.stages] == ["siqa", "copa"]
    assert [stage.recipe.epochs for stage in config.stages] == [1, 1]  # the profile's
    assert config.stages[1].caps.train == 8
    assert config.stages[1].learning_rate == 2e-5
    assert config.tasks == ["xcopa"]
    (evaluation,) = config.evaluations
    assert set(evaluation.files) == {"qaa", "qag"}  # XCOPA has no English test file
    for files in (*evaluation.files.values(), *(stage.train for stage in config.stages)):
        assert all((mini_data / path).is_file() for path in files.files)
        assert set(files.files) <= set(files.sha256)
        assert all(len(value) == 64 for value in files.sha256.values())


def test_the_world_gives_the_languages(plan: Plan) -> None:
    config: RunConfig = read_run(plan() / "runs/full/mnli/seed-1")
    assert config.languages == {"xnli": ["en", "qaa", "qag"]}


def test_an_untuned_encoder_has_one_run_on_what_needs_no_head(plan: Plan) -> None:
    root = plan("--seeds", "1 2")
    (path,) = root.glob("runs/untuned/*/*/config.json")
    config = read_run(path.parent)
    assert (config.recipe.name, config.stages, config.tasks) == ("none", [], ["tatoeba"])


def test_a_task_without_files_has_no_run(plan: Plan, own_data: Path) -> None:
    shutil.rmtree(own_data / "x-final", ignore_errors=True)
    shutil.rmtree(own_data / "mewsli_x")
    for path in (own_data / "xquad").iterdir():
        path.unlink()
    root = plan(data=own_data)
    assert not list(root.glob("runs/*/mewslix"))
    planned = read_json(root / "plan.json")["regimes"]["full"]["runs"]
    tasks = {task for run in planned for task in run["tasks"]}
    assert "xquad" not in tasks
    assert {"mlqa", "xnli", "udpos"} <= tasks


def real_data(plan: Plan, configs: Path, data: Path) -> Path:
    """Plan as for official data: languages are the benchmark's, and files may be missing."""
    edit_profile(configs, languages_from=None)
    return plan(data=data)


def test_a_language_without_files_is_named(plan: Plan, mini_configs: Path, own_data: Path) -> None:
    (own_data / "xquad" / "xquad.de.json").write_bytes((own_data / "xquad" / "xquad.en.json").read_bytes())
    config = read_run(real_data(plan, mini_configs, own_data) / "runs/full/squad/seed-1")
    (xquad,) = [evaluation for evaluation in config.evaluations if evaluation.task.name == "xquad"]
    assert set(xquad.files) == {"en", "de"}
    assert xquad.no_data == ["es", "el", "ru", "tr", "ar", "vi", "th", "zh", "hi", "ro"]
    assert config.languages["xquad"] == ["en", "de", *xquad.no_data]


def test_without_training_files_nothing_is_planned(plan: Plan, own_data: Path) -> None:
    shutil.rmtree(own_data / "ud")
    assert not list(plan(data=own_data).glob("runs/*/udpos"))


def test_without_intermediate_files_a_regime_has_no_runs_rather_than_others(plan: Plan, own_data: Path) -> None:
    for path in own_data.rglob("multinli*"):
        if path.is_file():
            path.unlink()
    root = plan(data=own_data)
    assert not list(root.glob("runs/*-itt"))
    assert (root / "runs/full/udpos/seed-1/config.json").exists()
    assert read_json(root / "plan.json")["regimes"]["adapter-itt"]["runs"] == []


def test_seeds_may_be_given(plan: Plan) -> None:
    for given, seeds in (("3", [3]), ("4 5", [4, 5]), ("6,7", [6, 7])):
        root = plan("--seeds", given, root=f"root-{seeds[0]}")
        assert read_json(root / "plan.json")["seeds"] == seeds
        names = {path.name for path in root.glob("runs/full/*/*")}
        assert names == {f"seed-{seed}" for seed in seeds}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("one", "expected whole numbers up to 4294967295 such as 1 2 3, got 'one'"),
        ("1 1", "expected distinct seeds"),
        ("-1", "got '-1'"),
        ("4294967296", "got '4294967296'"),
        (" , ", "got ' , '"),
    ],
)
def test_bad_seeds_are_refused(plan: Plan, given: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan("--seeds", given)


@pytest.mark.parametrize(
    ("file", "pattern", "new", "message"),
    [
        ("tables/table2.yaml", r"\[full, full-average,", "[full, adaptor,", "regimes: expected one of .*, got adaptor"),
        ("tables/table2.yaml", r"\[xnli,", "[xlni,", "tasks: no task xlni"),
        ("tasks/xnli.yaml", r"recipe: mnli", "recipe: mnil", "recipe: no recipe mnil"),
        ("tasks/xnli.yaml", r"recipe: mnli", "recipe: udpos", "family: expected tagging, as recipe udpos trains"),
        ("recipes/copa.yaml", r"after: siqa", "after: sica", "recipe copa: after: expected one of .*, got sica"),
        (
            "regimes/full-itt.yaml",
            r"recipes: \[mnli\]",
            "recipes: [mnil]",
            "intermediate.recipes: expected .*, got mnil",
        ),
        ("regimes/full-itt.yaml", r"transfer: continue", "transfer: stock", "'continue', 'stack', 'fuse', got 'stock'"),
        ("recipes/udpos.yaml", r"learning_rate: \{full: 2.0e-5, ", "learning_rate: {", "no learning_rate for full"),
    ],
)
def test_names_that_do_not_exist_are_refused(
    plan: Plan, mini_configs: Path, file: str, pattern: str, new: str, message: str
) -> None:
    edit(mini_configs / file, pattern, new)
    with pytest.raises(InputError, match=message):
        plan()


@pytest.mark.parametrize("key", ["caps", "epochs", "splits", "sources"])
def test_a_profile_s_entries_must_name_tasks_or_recipes(plan: Plan, mini_configs: Path, key: str) -> None:
    entry: dict[str, Any] = {"caps": {"test": 1}, "epochs": 1, "splits": "dev", "sources": {"dev": []}}
    edit_profile(mini_configs, **{key: {"xnlii": entry[key]}})
    with pytest.raises(InputError, match=f"{key}: expected one of .*, got xnlii"):
        plan()


def test_a_task_in_another_order_of_labels_is_planned_as_it_stands(plan: Plan, mini_configs: Path) -> None:
    edit(mini_configs / "tasks" / "xnli.yaml", r"labels: \[.*\]", "labels: [neutral, contradiction, entailment]")
    run = read_run(plan() / "runs/full/mnli/seed-1")
    assert run.evaluations[0].task.labels == ["neutral", "contradiction", "entailment"]
    assert run.head is not None and run.head.labels == ["contradiction", "entailment", "neutral"]


def test_a_missing_data_folder_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the folder of data files"):
        plan(data=tmp_path / "absent")


def test_digests_follow_the_content_of_files(plan: Plan, own_data: Path, tmp_path: Path) -> None:
    import hashlib

    plan(data=own_data)
    path = own_data / "copa" / "train.jsonl"
    before = read_run(tmp_path / "root/runs/full/copa/seed-1").stages[1].train.sha256["copa/train.jsonl"]
    assert before == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))  # the same size
    plan(data=own_data)
    after = read_run(tmp_path / "root/runs/full/copa/seed-1").stages[1].train.sha256["copa/train.jsonl"]
    assert after == hashlib.sha256(path.read_bytes()).hexdigest() != before


def test_the_cost_of_a_plan_is_shown(plan: Plan, capsys: pytest.CaptureFixture[str], mini_encoder: Path) -> None:
    root = plan("--show", "adapter-itt", "--encoder", str(mini_encoder))
    shown = capsys.readouterr().out
    listed = read_json(root / "plan.json")["regimes"]["adapter-itt"]
    own = [run for run in listed["runs"] if not any(task.endswith("-pairs") for task in run["tasks"])]
    total = len(own) + 1  # adapter's MNLI run, which it goes on from
    assert shown.count("to run") == total
    assert f"adapter-itt: {total} runs, {total} to do" in shown
    assert "download: nothing" in shown
    with pytest.raises(InputError, match=r"TABLE: expected one of .*table2, .*got table0"):
        plan("--show", "table0")


@pytest.mark.parametrize(("way", "sizes"), [("reference", [4, 8]), ("mean-in-batch", [None, 8])])
def test_dual_encoders_are_made_as_the_profile_says(
    plan: Plan, mini_configs: Path, way: str, sizes: list[int | None]
) -> None:
    edit_profile(mini_configs, dual_encoder=way)
    root = plan()
    runs = {name: read_run(root / "runs" / name / "seed-1") for name in ("full/lareqa", "full/panx", "full/mnli")}
    assert [runs[name].stages[-1].recipe.micro_batch_size for name in ("full/lareqa", "full/panx")] == sizes
    assert [run.profile.dual_encoder for run in runs.values()] == [
        way,
        None,
        None,
    ]  # another way is no news to the others


def test_what_trains_is_kept_apart_from_what_is_scored_and_from_what_chooses_the_epoch(
    plan: Plan, mini_configs: Path
) -> None:
    path, kind = "x-final/en/dev_2k.tsv", "pawsx-tsv"
    train = {"path": path, "format": kind, "take": 10, "apart_from": "pawsx"}
    dev = {**train, "skip": 10}
    edit_profile(mini_configs, sources={"pawsx": {"train": [train], "dev": [dev]}})
    run = read_run(plan() / "runs" / "full" / "pawsx" / "seed-1")
    (evaluation,), (stage,) = run.evaluations, run.stages
    scored = {code: [files] for code, files in evaluation.files.items()}
    assert stage.dev is not None and stage.dev.apart == scored
    chooses = stage.dev.model_copy(update={"apart": {}})
    assert (chooses.skip, chooses.take) == (10, 10)
    assert stage.train.apart == {**scored, "en": [*scored["en"], chooses]}
    edit_profile(mini_configs, sources={"pawsx": {"train": [{**train, "apart_from": "paws"}]}})
    with pytest.raises(InputError, match=r"apart_from: expected one of .*, got paws"):
        plan()
    edit_profile(mini_configs, sources={"pawsx": {"test": [dev]}})
    with pytest.raises(InputError, match=r"sources\.pawsx\.test: expected apart_from in what trains"):
        plan()
