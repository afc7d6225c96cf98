"""The scripts that measure on small runs: that a change of a config arrives, and that each way of a table is another one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import protocol_differences, small_runs
from tests.protocol_differences import by_loss, interval, normal_heads, often_evaluated

from xlt.config.benchmark import Model, load
from xlt.config.regimes import Full
from xlt.config.run_config import read_run
from xlt.data.features import Feature
from xlt.families import FAMILIES
from xlt.modeling.model import TransferModel, build_model
from xlt.pipeline.steps import make_context
from xlt.pipeline.train_run import features_of, make_model, training_records
from xlt.training.trainer import TrainingArguments

FULL = Full(kind="full")


def test_a_change_replaces_values_and_keeps_what_stands_beside_them() -> None:
    content = {"caps": {"siqa": {"train": 800}, "squad": {"train": 9}}, "seeds": [1], "rows": {"a": 1}}
    change = {"caps": {"siqa": {"train": 5, "dev": 2}}, "seeds": [1, 2], "rows": None}
    expected = {"caps": {"siqa": {"train": 5, "dev": 2}, "squad": {"train": 9}}, "seeds": [1, 2], "rows": None}
    assert small_runs.merged(content, change) == expected


def test_any_prepared_encoder_stands_in_with_the_rates_of_the_profile_s_model(
    tmp_path: Path, mini_data: Path, mini_encoder: Path
) -> None:
    root = small_runs.plan(tmp_path, mini_data, mini_encoder, {"profiles/tiny": {"epochs": {"mnli": 7}}})
    run = root / "runs" / "full" / "mnli" / "seed-1"
    (stage,) = read_run(run).stages
    own = load(Model, small_runs.ROOT / "configs" / "models" / "babel.yaml")
    rate = {**own.learning_rate, **own.recipes["mnli"].learning_rate}["full"]
    assert (stage.learning_rate, stage.recipe.batch_size, stage.recipe.epochs) == (rate, own.batch_size, 7)
    make_context(run, mini_data, mini_encoder, 1)  # it is the encoder that the plan names


def classifier(encoder: Path) -> TransferModel:
    return build_model(encoder, family=FAMILIES["classification"], labels=3, tuning=FULL, pooling="mean", seed=1)


def test_heads_are_drawn_as_in_transformers(mini_encoder: Path) -> None:
    plain = classifier(mini_encoder).head
    with normal_heads() as replaced:
        drawn = classifier(mini_encoder).head
    assert replaced.called
    # 256 weights, uniform within 1/4 (standard deviation 1/4 / sqrt(3) = 0.144) and N(0, 0.02)
    assert plain.get_parameter("dense.weight").std().item() == pytest.approx(0.144, abs=0.02)
    assert drawn.get_parameter("dense.weight").std().item() == pytest.approx(0.02, abs=0.004)
    assert not drawn.get_parameter("dense.bias").any() and not drawn.get_parameter("out.bias").any()


def test_the_weights_of_the_best_look_are_kept(mini_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_differences, "EVERY", 2)
    model, states, scores = classifier(mini_encoder), [], [50.0, 80.0, 70.0, 80.0]

    def evaluate() -> float:
        states.append({name: tensor.clone() for name, tensor in model.trained_state().items()})
        return scores[len(states) - 1]

    features = [Feature(0, rows=[[0, 11, 12, 2]], types=[[0] * 4], target=label) for label in (0, 1, 2, 0)]
    asked = TrainingArguments(
        epochs=4, batch_size=2, learning_rate=0.01, warmup_steps=0, weight_decay=0.0, max_grad_norm=1.0, seed=1
    )
    with often_evaluated() as fit:
        history = fit(model, features, asked, evaluate, title="t")
    assert (history.steps, len(states)) == (8, 4)  # 4 epochs of 2 steps, a look after every second one
    kept = model.trained_state()
    assert all(torch.equal(kept[name], states[1][name]) for name in kept)  # the first of the two best
    assert any(not torch.equal(kept[name], states[3][name]) for name in kept)


def test_a_dual_encoder_s_epoch_is_chosen_by_the_mean_loss(open_run: Callable[[str], Any], tokenizer: Any) -> None:
    context = open_run("full/lareqa/seed-1")
    (stage,) = context.config.stages
    model = make_model(context, stage)
    model.head.get_parameter("logit_scale").data.zero_()  # every candidate is as likely
    with by_loss() as development:
        score = development(stage, model, tokenizer, context)()
    held_out = stage.model_copy(update={"train": stage.dev, "caps": stage.caps.model_copy(update={"train": None})})
    pairs = len(features_of(held_out, training_records(held_out, context.data), tokenizer, ""))
    # the reference's way: batches of 16 in micro-batches of 4, a loss of log 4 a pair and log r for the r pairs left over
    assert (context.config.profile.dual_encoder, stage.recipe.batch_size, stage.recipe.micro_batch_size) == (
        "reference",
        16,
        4,
    )
    left = pairs % 4
    losses = (pairs - left) * math.log(4) + (left * math.log(left) if left else 0.0)
    assert pairs > 4 and score == pytest.approx(-losses / pairs, abs=1e-5)


def test_the_interval_by_hand() -> None:
    # of 1, 2 and 6: mean 3, standard deviation sqrt(7) = 2.646, Student's t with 2 degrees of freedom 4.303:
    # 4.303 * 2.646 / sqrt(3) = 6.573
    assert interval([1.0, 2.0, 6.0]) == "+3.0 [-3.6, 9.6]"
    assert interval([-0.25]) == "-0.2"
