"""Task heads. Full fine-tuning, adapters and LoRA all use the same ones, so that only the tuning differs.

The adapters library gives adapter models other default heads than transformers gives plain models; comparing those
would not be like with like.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SequenceHead(nn.Module):
    """Scores of a whole sequence from its first token: dropout, dense, tanh, dropout, linear (the XLM-R head)."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """[rows, tokens, width] -> [rows, outputs]."""
        state = torch.tanh(self.dense(self.dropout(hidden[:, 0])))
        return self.out(self.dropout(state))


class TokenHead(nn.Module):
    """Scores of every token: dropout, linear. Tagging: one output per label; span: start and end."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """[rows, tokens, width] -> [rows, tokens, outputs]."""
        return self.out(self.dropout(hidden))


class ScaleHead(nn.Module):
    """The learned factor before the softmax of a dual encoder; starts at 100 as XTREME's retrieval model does."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(100.0))


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """A sentence vector from token states: the mean over real tokens, or the first token.

    Args:
        hidden: [rows, tokens, width].
        mask: [rows, tokens], 1 for real tokens.
        pooling: "mean" or "cls".

    Returns:
        [rows, width], not normalised.
    """
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def make_head(family: str, width: int, labels: int, dropout: float) -> nn.Module:
    """The head of a task family, freshly initialised."""
    if family == "classification":
        return SequenceHead(width, labels, dropout)
    if family == "choice":
        return SequenceHead(width, 1, dropout)
    if family == "tagging":
        return TokenHead(width, labels, dropout)
    if family == "span":
        return TokenHead(width, 2, dropout)
    return ScaleHead()
