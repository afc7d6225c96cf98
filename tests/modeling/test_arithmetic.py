"""Reduced precision, which GPUs compute in, tried on the CPU: every path runs, and stays near single precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.test_reference_path import features

from xlt.config.regimes import Bottleneck, Full
from xlt.config.robustness import Adversarial
from xlt.data import batching
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.modeling import precision
from xlt.modeling.model import build_model
from xlt.modeling.outputs import outputs_of
from xlt.modeling.precision import REDUCED, arithmetic, is_reduced, name_of, settle, speedup
from xlt.modeling.pretrained import load_encoder
from xlt.modeling.sentence_embeddings import embed
from xlt.pipeline.steps import make_context
from xlt.training.multitask import fit
from xlt.training.robustness.adversarial import AdversarialTraining
from xlt.training.trainer import TrainingArguments

CPU = torch.device("cpu")


@pytest.fixture
def reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU compute in bfloat16, as a GPU would."""
    monkeypatch.setitem(REDUCED, "cpu", torch.bfloat16)


def test_the_cpu_and_the_reference_path_compute_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_reduced(CPU)
    assert name_of(CPU) == "float32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert name_of(torch.device("cuda")) == "bfloat16 (autocast)"
    monkeypatch.setattr(batching, "FAST", False)
    assert name_of(torch.device("cuda")) == "float32"
    monkeypatch.setattr(batching, "FAST", True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert name_of(torch.device("cuda")) == "float32"


def test_products_are_reduced_inside_only(reduced: None) -> None:
    a = torch.ones(2, 2)
    with arithmetic(CPU):
        assert (a @ a).dtype == torch.bfloat16
    assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize("tuning", [Full(kind="full"), Bottleneck(kind="bottleneck")], ids=["full", "adapter"])
@pytest.mark.parametrize("family", ["classification", "choice", "tagging", "span"])
def test_training_and_prediction(family: str, tuning: Any, mini_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainingArguments(3, 6, 1e-3, 0, 0.0, 1.0, 1, token_budget=30)
    losses, scores = [], []
    for kind in ({}, {"cpu": torch.bfloat16}):
        monkeypatch.setattr("xlt.modeling.precision.REDUCED", kind)
        model = build_model(mini_encoder, family=FAMILIES[family], labels=3, tuning=tuning, pooling="mean", seed=1)
        losses.append(fit(model, features(family), settings, None, title="t").losses)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        scores.append(outputs_of(model, features(family), budget=30, title="t"))
    assert losses[0] != losses[1]  # it did compute in something else
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    for a, b in zip(*scores, strict=True):
        assert b.dtype == np.float32
        assert np.allclose(a, b, atol=0.1)


def test_adversarial_training(mini_encoder: Path, tokenizer: Any, reduced: None) -> None:
    model = build_model(
        mini_encoder, family=FAMILIES["classification"], labels=3, tuning=Full(kind="full"), pooling="mean", seed=1
    )
    values = Adversarial(kind="adversarial", norm="l2", radius=0.1, step_size=0.05, steps=2)
    history = fit(
        model,
        features("classification"),
        TrainingArguments(1, 6, 1e-3, 0, 0.0, 1.0, 1, token_budget=30),
        None,
        title="t",
        perturbation=AdversarialTraining(values, tokenizer, 1),
    )
    assert np.isfinite(history.losses).all()


def test_embeddings(mini_encoder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, texts = load_encoder(mini_encoder), ["one two", "three", "four five six"]
    plain = embed(encoder, tokenizer, texts)
    monkeypatch.setitem(REDUCED, "cpu", torch.bfloat16)
    found = embed(encoder, tokenizer, texts)
    assert found.dtype == np.float32
    assert (found * plain).sum(axis=1) == pytest.approx(np.ones(3), abs=1e-3)
    assert not np.array_equal(found, plain)


@pytest.mark.parametrize(
    ("asked", "faster", "before", "expected"),
    [
        (None, 9.0, None, "float32"),  # scripts by themselves, and tests
        ("float32", 9.0, "bfloat16 (autocast)", "float32"),
        ("bfloat16", 0.1, None, "bfloat16 (autocast)"),
        ("auto", 1.5, None, "bfloat16 (autocast)"),
        ("auto", 1.1, None, "float32"),
        ("auto", 9.0, "float32", "float32"),  # a run goes on as it began
        ("auto", 0.1, "bfloat16 (autocast)", "bfloat16 (autocast)"),
    ],
)
def test_a_timing_decides_on_a_cpu(
    asked: str | None, faster: float, before: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "REDUCED", {"cuda": torch.bfloat16})
    monkeypatch.setattr(precision, "speedup", lambda: faster)
    monkeypatch.delenv("XLT_PRECISION", raising=False)
    if asked is not None:
        monkeypatch.setenv("XLT_PRECISION", asked)
    settle(CPU, before)
    assert name_of(CPU) == expected


def test_a_gpu_without_bfloat16_and_words_that_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    monkeypatch.setattr(precision, "REDUCED", {"cuda": torch.bfloat16})
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setenv("XLT_PRECISION", "bfloat16")
    with pytest.raises(InputError, match="this GPU has no bfloat16"):
        settle(cuda)
    monkeypatch.setenv("XLT_PRECISION", "auto")
    settle(cuda)
    assert name_of(cuda) == "float32"
    monkeypatch.setenv("XLT_PRECISION", "half")
    with pytest.raises(InputError, match="PRECISION: expected one of auto, float32, bfloat16, got half"):
        settle(CPU)


def test_the_timing_times_both_and_draws_no_numbers() -> None:
    before = torch.get_rng_state()
    assert 0.05 < speedup() < 50
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_goes_on_in_what_it_began_with(open_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "REDUCED", {})
    monkeypatch.setenv("XLT_PRECISION", "auto")
    monkeypatch.setattr(precision, "speedup", lambda: 2.0)
    context = open_run("full/mnli/seed-1")
    assert name_of(CPU) == "bfloat16 (autocast)"  # noted before a step is taken
    monkeypatch.setattr(precision, "speedup", lambda: 0.5)
    make_context(context.folder, context.data, context.encoder, 1)
    assert name_of(CPU) == "bfloat16 (autocast)"
    (context.folder / "cost.json").unlink()
    make_context(context.folder, context.data, context.encoder, 1)
    assert name_of(CPU) == "float32"
