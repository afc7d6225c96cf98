"""Training of planned runs: what moves from stage to stage and run to run, and when a run counts as trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from xlt.config.run_config import read_run, write_config
from xlt.data.features import Feature
from xlt.data.records import CandidateEntity
from xlt.errors import InputError
from xlt.files import read_json
from xlt.modeling.model import TransferModel
from xlt.modeling.pretrained import load_tokenizer
from xlt.pipeline import train_run as training
from xlt.pipeline.context import Context
from xlt.pipeline.steps import make_context
from xlt.pipeline.train_run import (
    TRAINED,
    WEIGHTS,
    features_of,
    is_trained,
    load_trained,
    make_model,
    size_of,
    train,
    training_key,
    training_records,
    training_set,
)
from xlt.training.trainer import History, TrainingArguments

TrainingState = dict[str, torch.Tensor]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[TrainingState]:
    """Stand-in for the training loop: notes the trainable tensors a stage starts from, and adds 1 to each."""
    seen: list[TrainingState] = []

    def fit(
        model: TransferModel, features: Sequence[Feature], settings: TrainingArguments, evaluate: Any, **plugins: Any
    ) -> History:
        assert features
        seen.append(model.trained_state())
        with torch.no_grad():
            for parameter in model.trained_parameters().values():
                parameter.add_(1)
        return History()

    monkeypatch.setattr(training, "fit", fit)
    return seen


def fresh(context: Context, stage: int) -> TrainingState:
    """The tensors of a new model for a stage."""
    return make_model(context, context.config.stages[stage]).trained_state()


def part(state: TrainingState, prefix: str) -> TrainingState:
    return {name: tensor for name, tensor in state.items() if name.startswith(prefix)}


def same(first: TrainingState, second: TrainingState, plus: float = 0) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n] + plus, second[n]) for n in first)


@pytest.mark.parametrize("regime", ["full", "adapter", "lora"])
def test_social_iqa_hands_encoder_and_head_to_copa(
    open_run: Callable[[str], Context], starts: list[TrainingState], regime: str
) -> None:
    context = open_run(f"{regime}/copa/seed-1")
    assert [stage.recipe.name for stage in context.config.stages] == ["siqa", "copa"]
    train(context)
    siqa, copa = starts
    assert same(siqa, fresh(context, 0))
    assert part(siqa, "head.") and part(siqa, "encoder.")
    assert same(siqa, copa, plus=1)
    assert same(copa, load_file(context.folder / WEIGHTS), plus=1)
    assert list(read_json(context.folder / TRAINED)["stages"]) == ["siqa", "copa"]


@pytest.mark.parametrize("regime", ["full-itt", "adapter-itt"])
@pytest.mark.parametrize("recipe", ["mnli", "udpos"])
def test_continue_hands_on_the_encoder_s_tensors_and_no_head(
    open_run: Callable[[str], Context], starts: list[TrainingState], regime: str, recipe: str
) -> None:
    context = open_run(f"{regime}/{recipe}/seed-1")
    upstream = f"runs/{regime.removesuffix('-itt')}/mnli/seed-1"
    assert [up.folder for up in context.config.upstream] == [upstream]
    train(open_run(upstream.removeprefix("runs/")))
    train(context)
    intermediate, target = starts
    given = load_file(context.root / upstream / WEIGHTS)
    assert same(part(target, "encoder."), part(given, "encoder."))
    assert same(part(target, "encoder."), part(intermediate, "encoder."), plus=-1) or same(
        part(intermediate, "encoder."), part(target, "encoder."), plus=1
    )
    assert same(part(target, "head."), part(fresh(context, 0), "head."))
    assert not same(part(target, "head."), part(given, "head."))  # not even where the tasks are the same


def test_a_run_needs_the_intact_weights_of_its_upstream(
    open_run: Callable[[str], Context], starts: list[TrainingState]
) -> None:
    context, upstream = open_run("full-itt/udpos/seed-1"), open_run("full/mnli/seed-1")
    with pytest.raises(InputError, match="expected the weights another run needs") as caught:
        train(context)
    assert str(caught.value.path).endswith("runs/full/mnli/seed-1")
    train(upstream)
    weights = upstream.folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(InputError, match=r"expected the weights named in trained.json"):
        train(context)


def test_trained_means_weights_intact_and_made_from_this_config(
    open_run: Callable[[str], Context], starts: list[TrainingState]
) -> None:
    context = open_run("adapter/udpos/seed-1")
    assert not is_trained(context)
    train(context)
    assert is_trained(context)
    weights = context.folder / WEIGHTS
    intact = weights.read_bytes()
    weights.write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))
    assert not is_trained(context)
    weights.write_bytes(intact)
    assert is_trained(context)
    weights.unlink()
    assert not is_trained(context)


def changed(context: Context, **values: Any) -> Context:
    """The context with other values in its first stage."""
    stages = [context.config.stages[0].model_copy(update=values), *context.config.stages[1:]]
    return replace(context, config=context.config.model_copy(update={"stages": stages}))


def test_the_training_key_depends_on_what_training_depends_on(open_run: Callable[[str], Context]) -> None:
    context = open_run("full/udpos/seed-1")
    config, stage = context.config, context.config.stages[0]
    key = training_key(context)
    others = [
        changed(context, learning_rate=1e-3),
        changed(context, recipe=stage.recipe.model_copy(update={"epochs": 9})),
        changed(context, caps=stage.caps.model_copy(update={"train": 3})),
        changed(context, caps=stage.caps.model_copy(update={"dev": 3})),
        changed(context, train=stage.train.model_copy(update={"sha256": {"x": "0"}})),
        replace(context, config=config.model_copy(update={"seed": 2})),
        open_run("adapter/udpos/seed-1"),
    ]
    keys = {training_key(other) for other in others}
    assert len(keys) == len(others)
    assert key not in keys
    unchanged = [
        changed(context, caps=stage.caps.model_copy(update={"test": 3})),
        changed(context, recipe=stage.recipe.model_copy(update={"title": "other"})),
        replace(context, config=config.model_copy(update={"evaluations": [], "tasks": []})),
        replace(context, config=config.model_copy(update={"regime": config.regime.model_copy(update={"title": "x"})})),
    ]
    assert {training_key(other) for other in unchanged} == {key}


def test_the_training_key_of_a_later_run_depends_on_its_upstream_s_weights(
    open_run: Callable[[str], Context], starts: list[TrainingState]
) -> None:
    context, upstream = open_run("adapter-itt/udpos/seed-1"), open_run("adapter/mnli/seed-1")
    train(upstream)
    train(context)
    key = training_key(context)
    assert is_trained(context)
    again = changed(upstream, learning_rate=0.5)
    train(again)  # the stand-in loop does not look at the rate: same weights
    assert training_key(context) == key
    train(replace(upstream, config=upstream.config.model_copy(update={"seed": 2})))
    assert training_key(context) != key
    assert not is_trained(context)


def test_a_trained_run_loads_as_it_was(open_run: Callable[[str], Context]) -> None:
    context = open_run("adapter/udpos/seed-1")
    model = train(context)
    assert same(model.trained_state(), load_trained(context).trained_state())
    assert not same(model.trained_state(), fresh(context, 0))
    summary = read_json(context.folder / TRAINED)
    assert (summary["trainable_parameters"], summary["total_parameters"]) == model.parameter_counts()
    stage = summary["stages"]["udpos"]
    assert stage["examples"] == 8  # the cap of the profile
    assert len(stage["dev_scores"]) == len(stage["losses"]) == 1
    assert 0 <= stage["dev_scores"][0] <= 100


def test_an_untuned_encoder_trains_nothing(open_run: Callable[[str], Context]) -> None:
    context = open_run("untuned/none/seed-1")
    assert context.config.stages == []
    train(context)
    assert load_file(context.folder / WEIGHTS) == {}
    assert read_json(context.folder / TRAINED)["trainable_parameters"] == 0
    assert is_trained(context)
    assert load_trained(context).trained_state() == {}


@pytest.mark.parametrize("recipe", ["mnli", "copa", "udpos", "panx", "squad", "tydiqa", "lareqa", "mewslix"])
def test_every_recipe_has_features(open_run: Callable[[str], Context], recipe: str) -> None:
    context = open_run(f"full/{recipe}/seed-1")
    stage = context.config.stages[-1]
    records = training_records(stage, context.data)
    features = features_of(stage, records, load_tokenizer(context.encoder), "query: ")
    assert features
    assert max(feature.length for feature in features) <= stage.recipe.max_length
    cap = stage.caps.train
    examples = [record for record in records if not isinstance(record, CandidateEntity)]
    assert len(examples) == cap
    rows = {"copa": 2, "lareqa": 2, "mewslix": 2}
    assert {len(feature.rows) for feature in features} == {rows.get(recipe, 1)}


def test_a_training_set_says_how_much_of_it_was_left_out(
    open_run: Callable[[str], Context], starts: list[TrainingState]
) -> None:
    context = open_run("adapter/mnli/seed-1")
    (stage,) = context.config.stages
    everything = stage.model_copy(update={"caps": stage.caps.model_copy(update={"train": None})})
    records = training_records(everything, context.data)
    scored = {text for record in records[:2] for text in (record.text_a, record.text_b)}
    expected = sum(not scored.isdisjoint((record.text_a, record.text_b)) for record in records)
    apart = {"en": [stage.train.model_copy(update={"take": 2})]}
    kept_apart = everything.model_copy(update={"train": stage.train.model_copy(update={"apart": apart})})
    kept = training_records(kept_apart, context.data)
    assert expected >= 2 and len(kept) == len(records) - expected
    assert size_of(kept_apart, kept, [], context.data) == {"examples": len(kept), "tokens": 0, "left_out": expected}
    train(replace(context, config=context.config.model_copy(update={"stages": [kept_apart]})))
    assert read_json(context.folder / TRAINED)["stages"]["mnli"]["left_out"] == expected


def test_bad_training_examples_are_noted(
    open_run: Callable[[str], Context], mini_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = open_run("full/panx/seed-1")
    (stage,) = context.config.stages
    assert stage.train.format == "wikiann" and "on_error" not in stage.train.model_dump()
    data = Path(shutil.copytree(mini_data, tmp_path / "data"))
    path = data / stage.train.files[0]
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    path.write_text("\n".join([*lines, "", "en:today\tB-DATE", ""]), encoding="utf-8")
    monkeypatch.setattr("xlt.data.readers.faults.MOST", 0.5)  # the miniature set has few sentences
    dropping = stage.model_copy(update={"train": stage.train.model_copy(update={"on_error": "drop"})})
    tokenizer = load_tokenizer(context.encoder)
    before, size = training_set(stage, context, tokenizer)
    features, noted = training_set(dropping, replace(context, data=data), tokenizer)
    assert [feature.rows for feature in features] == [feature.rows for feature in before]
    assert noted == {**size, "faults": [f"unknown labels, dropped: 1 (train line {len(lines) + 2})"]}
    changed_key = changed(context, train=dropping.train)
    assert training_key(changed_key) != training_key(context)


def test_too_few_development_examples_are_an_input_error(
    open_run: Callable[[str], Context], starts: list[TrainingState]
) -> None:
    context = open_run("full/udpos/seed-1")
    dev = context.config.stages[0].dev
    assert dev is not None
    with pytest.raises(InputError, match="recipe udpos: expected development examples after the first 999"):
        train(changed(context, dev=dev.model_copy(update={"skip": 999})))
    assert not (context.folder / TRAINED).exists()


def test_a_run_config_survives_writing_and_reading(open_run: Callable[[str], Context]) -> None:
    context = open_run("adapter-itt/copa/seed-1")
    assert not write_config(context.config, context.folder)
    assert read_run(context.folder) == context.config


def test_an_unprepared_encoder_is_an_input_error(planned: Path, mini_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a prepared encoder"):
        make_context(planned / "runs/full/udpos/seed-1", mini_data, tmp_path, 1)
