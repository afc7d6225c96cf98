"""The reference path (XLT_FAST=0) sorts nothing: losses over twenty steps and predictions agree to rounding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from xlt.config.regimes import Bottleneck, Full
from xlt.data import batching
from xlt.data.features import Feature
from xlt.families import FAMILIES, SUPERVISED
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.outputs import outputs_of
from xlt.modeling.sentence_embeddings import embed
from xlt.training.trainer import TrainingArguments, fit

BUDGET = 40


def features(family: str) -> list[Feature]:
    """Forty inputs of 4 to 16 tokens in no order."""
    draw = np.random.default_rng(3)
    made = []
    for number in range(40):
        lengths = draw.integers(4, 17, 3 if family == "choice" else 1)
        rows = [[0, *map(int, draw.integers(4, 60, length - 2)), 2] for length in lengths]
        target: Any = number % 3
        if family == "tagging":
            target = [number % 3] * len(rows[0])
        elif family == "span":
            target = (1, 2)
        made.append(Feature(number, rows, [[0] * len(row) for row in rows], target))
    return made


def make(encoder: Path, family: str, tuning: Any) -> TransferModel:
    """A model without dropout, whose draws would depend on the order of rows."""
    model = build_model(encoder, family=FAMILIES[family], labels=3, tuning=tuning, pooling="mean", seed=1)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0
    return model


@pytest.mark.parametrize("family", SUPERVISED)
def test_predictions_agree(family: str, mini_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(mini_encoder, family, Full(kind="full"))
    fast = outputs_of(model, features(family), budget=BUDGET, title="t")
    monkeypatch.setattr(batching, "FAST", False)
    plain = outputs_of(model, features(family), budget=BUDGET, title="t")
    for a, b in zip(fast, plain, strict=True):
        assert np.allclose(a, b, atol=1e-5)
        assert a.argmax() == b.argmax()
    assert len({output.tobytes() for output in plain}) > 20


@pytest.mark.parametrize("tuning", [Full(kind="full"), Bottleneck(kind="bottleneck")], ids=["full", "adapter"])
@pytest.mark.parametrize("family", SUPERVISED)
def test_losses_agree_over_twenty_steps(
    family: str, tuning: Any, mini_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingArguments(
        epochs=4,
        batch_size=8,
        learning_rate=1e-3,
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=1,
        token_budget=BUDGET,
    )
    losses = []
    for fast in (True, False):
        monkeypatch.setattr(batching, "FAST", fast)
        model = make(mini_encoder, family, tuning)
        history = fit(model, features(family), settings, None, title="t")
        assert history.steps == 20
        losses.append(history.losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][0] != losses[0][-1]


def test_embeddings_agree(mini_encoder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["cat", "the old red house by the river", "dog", "Anna and Bob sat on the mat", "it"]
    model = make(mini_encoder, "tatoeba", Full(kind="full")).encoder
    fast = embed(model, tokenizer, texts, batch_tokens=20)
    monkeypatch.setattr(batching, "FAST", False)
    assert np.allclose(fast, embed(model, tokenizer, texts, batch_tokens=20), atol=1e-5)


def test_the_reference_path_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # budget 12: 0 and 1 make 2 x 6; 2 would make 3 x 6; 2 and 3 make 2 x 6 although 2 alone is narrower
    monkeypatch.setattr(batching, "FAST", False)
    assert batching.by_token_budget([0, 1, 2, 3], [1] * 4, [6, 2, 2, 6], 12) == [[0, 1], [2, 3]]
    assert batching.by_token_budget([0, 1], [1] * 2, [2, 9], 12) == [[0], [1]]


@pytest.mark.parametrize(("value", "fast"), [("0", False), ("1", True)])
def test_the_environment_chooses(value: str, fast: bool) -> None:
    code = "from xlt.data.batching import FAST; print(FAST)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"XLT_FAST": value, "PYTHONPATH": "src"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{fast}\n"
