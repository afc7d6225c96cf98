"""Planned runs with intermediate training, from plan to scores: which tensors moved on, what was frozen, what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.conftest import make_plan, write_mini_configs

from xlt.data.dataset import load_split
from xlt.errors import InputError
from xlt.families import SUPERVISED
from xlt.files import read_json
from xlt.layout import TRAINED, WEIGHTS
from xlt.modeling.model import TransferModel
from xlt.modeling.pretrained import load_tokenizer
from xlt.pipeline.context import Context
from xlt.pipeline.steps import make_context, predict_step, score_step, train_step
from xlt.pipeline.train_run import is_trained, load_trained, make_model, train, upstream_state

TUNINGS: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "adapter": {"kind": "bottleneck"},
    "lora": {"kind": "lora"},
}
MULTI = {"recipes": ["mnli", "siqa"]}
MASKED = {"recipes": ["mnli"], "masked_text": {"share": 0.5, "max_length": 32}}
REGIMES: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"{tuning}-multi": (tuning, MULTI) for tuning in TUNINGS},
    "adapter-multi-stack": ("adapter", {**MULTI, "transfer": "stack"}),
    **{f"{tuning}-masked": (tuning, MASKED) for tuning in TUNINGS},
    "adapter-stacked": ("adapter", {"recipes": ["mnli"], "transfer": "stack"}),
    "adapter-fused": ("adapter", {"recipes": ["mnli", "siqa"], "transfer": "fuse", "learning_rate": 0.01}),
}
TrainingState = dict[str, torch.Tensor]
Open = Callable[[str], Context]


def write_regimes(configs: Path) -> None:
    """Only the plain regimes and those of this file; no tables, so that plans are small."""
    shutil.rmtree(configs / "regimes")
    shutil.rmtree(configs / "tables")
    (configs / "regimes").mkdir()
    (configs / "tables").mkdir()
    plain: dict[str, tuple[str, Any]] = {tuning: (tuning, None) for tuning in TUNINGS}
    for name, (tuning, intermediate) in (plain | REGIMES).items():
        regime = {"name": name, "title": name, "description": name, "tuning": TUNINGS[tuning]}
        regime |= {} if intermediate is None else {"intermediate": intermediate}
        (configs / "regimes" / f"{name}.yaml").write_text(yaml.safe_dump(regime), encoding="utf-8")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, mini_encoder: Path, mini_data: Path) -> Iterator[Path]:
    """A folder with configs and the plan; runs are shared by the tests of this file."""
    folder = tmp_path_factory.mktemp("passing-on")
    write_regimes(write_mini_configs(folder / "configs"))
    make_plan(folder / "configs", mini_data, folder / "root", mini_encoder)
    yield folder


@pytest.fixture
def open_here(here: Path, mini_data: Path, mini_encoder: Path) -> Open:
    """The context of a run, trained already if it has been."""
    return lambda name: make_context(here / "root" / "runs" / name / "seed-1", mini_data, mini_encoder, 1)


def trained(context: Context, open_here: Open) -> TrainingState:
    """Train a run and what it is made from; its weights."""
    for upstream in context.config.upstream:
        trained(open_here(upstream.folder.removeprefix("runs/").removesuffix("/seed-1")), open_here)
    train_step(context)
    return load_file(context.folder / WEIGHTS)


def part(state: TrainingState, text: str) -> TrainingState:
    return {name: tensor for name, tensor in state.items() if text in name}


def same(first: TrainingState, second: TrainingState) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("kind", ["multi", "masked"])
def test_only_what_is_shared_moves_on_from_a_mixture(open_here: Open, tuning: str, kind: str) -> None:
    run, target = open_here(f"{tuning}-{kind}/intermediate"), open_here(f"{tuning}-{kind}/udpos")
    assert [up.folder for up in target.config.upstream] == [f"runs/{tuning}-{kind}/intermediate/seed-1"]
    fresh = make_model(run, run.config.stages[0])
    before = fresh.trained_state()
    weights = trained(run, open_here)
    assert weights.keys() == {name for name in before if name.startswith("encoder.")}  # no head of any kind
    moved = {name for name in weights if not torch.equal(weights[name], before[name])}
    assert any(".layer.0." in name for name in moved) and any(".layer.1." in name for name in moved)
    if tuning == "full":
        assert "encoder.embeddings.word_embeddings.weight" in moved
    assert tuning == "full" or all(".task." in name for name in weights)
    passed = upstream_state(target)
    assert passed is not None and same(passed, weights)
    model = make_model(target, target.config.stages[0])
    loaded = model.load_trained_state(passed, with_head=False)
    assert set(loaded) == weights.keys()
    assert same(
        part(model.trained_state(), "head."), part(make_model(target, target.config.stages[0]).trained_state(), "head.")
    )
    summary = read_json(run.folder / TRAINED)
    assert list(summary["stages"]) == (["mnli", "siqa"] if kind == "multi" else ["mnli", "masked text"])
    steps = [stage["steps"] for stage in summary["stages"].values()]
    # 8 examples in a batch of 32 and one epoch: one step for each recipe; masked text: as many again
    assert sum(steps) == 2
    assert is_trained(run)
    assert same(part(load_trained(run).trained_state(), "encoder."), weights)


def test_a_mixture_is_planned_once_and_shared(here: Path) -> None:
    runs = {path.parent.name for path in (here / "root" / "runs").glob("*/intermediate")}
    # adapter-multi and adapter-multi-stack have the same intermediate training
    assert runs == {f"{tuning}-{kind}" for tuning in TUNINGS for kind in ("multi", "masked")}


def written(root: Path) -> set[str]:
    return {
        p.parent.relative_to(root / "runs").as_posix()
        for p in root.rglob("config.json")
        if p.stat().st_mtime_ns > 10**9
    }


def test_a_changed_intermediate_recipe_changes_the_runs_that_train_on_it(
    here: Path, tmp_path: Path, mini_encoder: Path, mini_data: Path
) -> None:
    shutil.copytree(here / "configs", tmp_path / "configs")
    root = tmp_path / "root"
    make_plan(tmp_path / "configs", mini_data, root, mini_encoder)
    for path in root.rglob("*"):
        os.utime(path, ns=(10**9, 10**9))
    recipe = tmp_path / "configs" / "recipes" / "siqa.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("batch_size: 32", "batch_size: 4"), encoding="utf-8")
    make_plan(tmp_path / "configs", mini_data, root, mini_encoder)
    everywhere = {f"{name}/copa/seed-1" for name in [*TUNINGS, *REGIMES]}  # Social IQa is a stage of XCOPA's runs
    mixtures = {f"{tuning}-multi/intermediate/seed-1" for tuning in TUNINGS}
    assert written(root) == everywhere | mixtures | {"adapter/siqa/seed-1"}
    rules = (root / "plan.mk").read_text(encoding="utf-8")
    for name in ("adapter-multi", "adapter-multi-stack"):  # and make runs again what is made from them
        target = f"{root}/runs/{name}/udpos/seed-1"
        mixture = f"{root}/runs/adapter-multi/intermediate/seed-1/scores.json"
        assert f"{target}/scores.json: {target}/config.json $(ENCODER) {mixture}\n" in rules


def frozen_tensors(model: TransferModel) -> TrainingState:
    return {name: p.detach().clone() for name, p in model.named_parameters() if name not in model.trainable}


@pytest.mark.parametrize("regime", ["adapter-stacked", "adapter-multi-stack", "adapter-fused"])
def test_earlier_adapters_stay_bit_for_bit_and_predictions_survive_loading(open_here: Open, regime: str) -> None:
    context = open_here(f"{regime}/mnli")
    weights = trained(context, open_here)
    upstream = {up.recipe: load_file(context.root / up.folder / WEIGHTS) for up in context.config.upstream}
    before = frozen_tensors(make_model(context, context.config.stages[0]))
    model = train(context)
    assert same(frozen_tensors(model), before)
    for recipe, state in upstream.items():
        name = f"intermediate-{recipe}"
        if regime == "adapter-fused" and recipe == context.config.upstream[-1].recipe:
            name = "task"
        own = part(dict(model.named_parameters()), f".adapters.{name}.")
        given = {key.replace(".task.", f".{name}."): t for key, t in state.items() if not key.startswith("head.")}
        assert own and same({key: p.detach() for key, p in own.items()}, given)
    fusion = ".adapter_fusion_layer." if regime == "adapter-fused" else ".adapters.task."
    assert all(name.startswith("head.") or fusion in name for name in weights)
    loaded = load_trained(context)
    assert same(loaded.trained_state(), model.trained_state())
    assert predictions(context, model) == predictions(context, loaded)


def predictions(context: Context, model: TransferModel) -> list[str]:
    """The labels of the English development data."""
    (stage,) = context.config.stages
    assert stage.dev is not None
    records = load_split(context.data, stage.dev, "en", stage.recipe.labels)
    tokenizer = load_tokenizer(context.encoder)
    return SUPERVISED[stage.recipe.family].predict(model, tokenizer, records, stage.recipe, budget=512, title="t")


def test_fusion_takes_the_target_s_own_adapter_last_and_its_own_rate(open_here: Open) -> None:
    folders = {name: f"runs/adapter/{name}/seed-1" for name in ("mnli", "siqa", "udpos", "copa")}

    def upstream(recipe: str) -> list[str]:
        return [up.folder for up in open_here(f"adapter-fused/{recipe}").config.upstream]

    assert upstream("udpos") == [folders["mnli"], folders["siqa"], folders["udpos"]]
    assert upstream("mnli") == [folders["siqa"], folders["mnli"]]  # once, and last
    assert upstream("copa") == [folders["mnli"], folders["siqa"], folders["copa"]]
    fused = open_here("adapter-fused/udpos").config
    assert {stage.learning_rate for stage in fused.stages} == {1.0e-2}
    assert open_here("adapter/udpos").config.stages[0].learning_rate == 5.0e-4


def test_the_target_s_own_adapter_must_be_trained(
    here: Path, tmp_path: Path, mini_data: Path, mini_encoder: Path
) -> None:
    root = shutil.copytree(here / "root", tmp_path / "root", ignore=shutil.ignore_patterns("*.safetensors", TRAINED))
    context = make_context(root / "runs/adapter-fused/udpos/seed-1", mini_data, mini_encoder, 1)
    with pytest.raises(InputError, match="expected the weights another run needs"):
        train(context)


@pytest.mark.parametrize("regime", ["adapter-multi", "adapter-masked", "adapter-stacked", "adapter-fused"])
def test_from_plan_to_scores(open_here: Open, regime: str) -> None:
    context = open_here(f"{regime}/udpos")
    trained(context, open_here)
    for upstream in context.config.upstream:  # runs of no task of their own have scores, too: make waits for the file
        before = open_here(upstream.folder.removeprefix("runs/").removesuffix("/seed-1"))
        predict_step(before, None)
        score_step(before)
    predict_step(context, None)
    scores = score_step(context)
    assert set(scores["tasks"]) == set(context.config.tasks)
