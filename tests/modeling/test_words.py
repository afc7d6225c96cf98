"""The word vectors of a batch apart from their table: the same losses and gradients, nothing where there is nothing to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xlt.config.regimes import Bottleneck, Full
from xlt.data.features import Feature
from xlt.families import FAMILIES
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.sparse_embeddings import gathered_embeddings

FEATURES = [
    Feature(number, [[0, *words, 2]], [[0] * (len(words) + 2)], number % 3)
    for number, words in enumerate([[7, 8, 7], [9], [8, 30, 31, 32], [7, 59]])
]


def make(encoder: Path, tuning: Any) -> TransferModel:
    return build_model(
        encoder, family=FAMILIES["classification"], labels=3, tuning=tuning, pooling="mean", seed=1
    ).eval()


def gradients(model: TransferModel, *, apart: bool) -> tuple[float, dict[str, Tensor]]:
    """The loss over micro-batches of two examples, and what it left in ``grad``."""
    model.zero_grad()
    total = 0.0

    def run() -> None:
        nonlocal total
        parts = list(model.family.losses(model, FEATURES, 10))
        assert len(parts) > 1
        for part in parts:
            loss = part()
            loss.backward()
            total += float(loss.detach())

    if apart:
        with gathered_embeddings(model, FEATURES):
            run()
            assert model.encoder.get_input_embeddings().weight.grad is None
    else:
        run()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return total, found


def test_losses_and_gradients_are_the_same(mini_encoder: Path) -> None:
    model = make(mini_encoder, Full(kind="full"))
    loss, plain = gradients(model, apart=False)
    again, apart = gradients(model, apart=True)
    assert again == loss
    assert apart.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(apart[name], gradient, rtol=1e-5, atol=1e-8)
    table = next(gradient for name, gradient in apart.items() if "word_embeddings" in name)
    read = {0, 2, 7, 8, 9, 30, 31, 32, 59}
    assert {i for i in range(len(table)) if table[i].any()} == read  # padding (1) was read too, and is not trained
    assert not gradients(model, apart=False)[1].keys() ^ plain.keys()  # the hook is gone


def test_gradients_of_before_are_added_to(mini_encoder: Path) -> None:
    model = make(mini_encoder, Full(kind="full"))
    table = model.encoder.get_input_embeddings().weight
    gradient = gradients(model, apart=True)[1]["encoder.embeddings.word_embeddings.weight"]
    with gathered_embeddings(model, FEATURES):
        for part in model.family.losses(model, FEATURES, 10):
            part().backward()
    torch.testing.assert_close(table.grad, 2 * gradient)


def test_a_frozen_table_stays_without_gradient(mini_encoder: Path) -> None:
    model = make(mini_encoder, Bottleneck(kind="bottleneck"))
    _, found = gradients(model, apart=True)
    assert found
    assert not any("word_embeddings" in name for name in found)


def test_an_error_leaves_no_hook_and_no_gradient(mini_encoder: Path) -> None:
    model = make(mini_encoder, Full(kind="full"))
    table = model.encoder.get_input_embeddings()
    with pytest.raises(RuntimeError, match="stop"), gathered_embeddings(model, FEATURES):
        next(model.family.losses(model, FEATURES, 10))().backward()
        raise RuntimeError("stop")
    assert table.weight.grad is None
    assert not table._forward_hooks
