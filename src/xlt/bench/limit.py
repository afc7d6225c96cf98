"""The limit: the bare encoder and head over as many tokens as the inputs have, without padding and without a mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlt.bench.inputs import SPECIAL
from xlt.data.batching import by_token_budget
from xlt.data.features import Feature
from xlt.modeling.model import TransferModel

RATE = 2e-5
"""The learning rate of every step here: what a step computes does not depend on it."""


def equal_batches(features: Sequence[Feature], budget: int, vocabulary: int) -> list[Tensor]:
    """Random ids in batches of rows of one length each, [rows, tokens].

    They are our micro-batches, each with as many rows and, up to rounding that does not add up, as many real tokens:
    every row is as long as the mean of its batch. So what is missing against ours is padding and everything around the
    encoder, not the size of matrices.
    """
    draw = torch.Generator().manual_seed(0)
    lengths = [feature.length for feature in features]
    batches, owed = [], 0.0
    for group in by_token_budget(range(len(lengths)), [1] * len(lengths), lengths, budget):
        real = sum(lengths[i] for i in group) + owed
        width = max(1, round(real / len(group)))
        owed = real - width * len(group)
        batches.append(torch.randint(SPECIAL, vocabulary, (len(group), width), generator=draw))
    return batches


def bare_prediction(model: TransferModel, batches: Sequence[Tensor]) -> None:
    """The forward pass."""
    model.eval()
    with torch.inference_mode():
        for batch in batches:
            model.head(model.encoder(input_ids=batch).last_hidden_state)


def bare_step(model: TransferModel, batches: Sequence[Tensor]) -> None:
    """Forward and backward pass of one batch, cut as given, and a step of AdamW."""
    model.train()
    optimizer = torch.optim.AdamW(model.trained_parameters().values(), lr=RATE, fused=True)
    for batch in batches:
        scores = model.head(model.encoder(input_ids=batch).last_hidden_state)
        if scores.ndim == 3:  # start and end of a span
            scores = scores.transpose(1, 2).flatten(0, 1)
        functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long)).backward()
    nn.utils.clip_grad_norm_(model.trained_parameters().values(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
