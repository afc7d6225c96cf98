"""Noise on word embeddings: how large an encoder's embeddings are, which tokens are left alone, and balls to draw from."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from xlt.modeling.collate import TokenBatch
from xlt.modeling.model import TransferModel
from xlt.modeling.trained_rows import whole_table

Norm = Literal["l2", "linf"]


def embedding_scale(model: TransferModel, norm: Norm) -> float:
    """The length that radii and step sizes are relative to.

    For ``l2`` the mean L2 norm of the encoder's word embeddings over its vocabulary; for ``linf`` that norm divided by
    the root of the width, the size of one coordinate.
    """
    weight = whole_table(model.encoder)
    mean = float(weight.float().norm(dim=1).mean())
    return mean if norm == "l2" else mean / weight.shape[1] ** 0.5


def special_token_ids(tokenizer: Any) -> frozenset[int]:
    """Special tokens that stand for no word (begin, end, separator, padding, mask). The unknown token stands for one."""
    return frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}


def words_of(rows: TokenBatch, markers: frozenset[int]) -> Tensor:
    """Which tokens are perturbed: [rows, tokens, 1], 1.0 for real tokens of words, 0.0 for padding and markers."""
    special = torch.isin(rows.input_ids, torch.tensor(sorted(markers), device=rows.input_ids.device))
    return ((rows.attention_mask == 1) & ~special).unsqueeze(-1).float()


def uniform_in_ball(shape: torch.Size, norm: Norm, radius: float, generator: torch.Generator) -> Tensor:
    """Uniform draws from the ball of ``radius`` in the last dimension.

    In L2 a direction uniform on the sphere (a normalised Gaussian vector) times ``radius * u ** (1 / d)``, u uniform on
    [0, 1): volume grows with the d-th power of the radius. In L-infinity every coordinate is uniform by itself.
    """
    if norm == "linf":
        return (2 * torch.rand(shape, generator=generator) - 1) * radius
    direction = torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)
    length = torch.rand((*shape[:-1], 1), generator=generator, dtype=torch.float64) ** (1 / shape[-1])
    return direction * (radius * length).float()


def project(deltas: Tensor, norm: Norm, radius: float) -> Tensor:
    """The nearest point of the ball of ``radius``, vector by vector along the last dimension."""
    if norm == "linf":
        return deltas.clamp(-radius, radius)
    return torch.renorm(deltas.flatten(0, -2), p=2, dim=0, maxnorm=radius).view_as(deltas)


def ascent_direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The direction of length 1 in ``norm`` along which a linear function grows fastest: g / |g|, or the signs of g."""
    return gradient.sign() if norm == "linf" else torch.nn.functional.normalize(gradient, dim=-1)
