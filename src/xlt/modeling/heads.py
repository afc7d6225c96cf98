"""Task heads. Full fine-tuning, adapters and LoRA all use the same ones, so that only the tuning differs.

The adapters library gives adapter models other default heads than transformers gives plain models; comparing those
would not be like with like.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SequenceHead(nn.Module):
    """Scores of a whole sequence from its first token: dropout, dense, tanh, dropout, linear (the XLM-R head).

    ``input_dropout``: the first one. BERT's head has none: there dense and tanh are the encoder's own pooler.
    """

    def __init__(self, width: int, outputs: int, dropout: float, *, input_dropout: bool = True) -> None:
        super().__init__()
        self.input_dropout = nn.Dropout(dropout if input_dropout else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """[rows, tokens, width] -> [rows, outputs]."""
        state = torch.tanh(self.dense(self.input_dropout(hidden[:, 0])))
        return self.out(self.dropout(state))


class TokenHead(nn.Module):
    """Scores of every token: dropout, linear. Tagging: one output per label; span, without dropout: start and end."""

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


class PoolerHead(ScaleHead):
    """The same, and the pooler of the reference's dual encoder (``third_party/bert.py``): dense and tanh of the first token.

    Its weights start as those of a checkpoint without pooler do there: drawn with a standard deviation of 0.02.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        nn.init.normal_(self.dense.weight, std=0.02)
        nn.init.zeros_(self.dense.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """[rows, tokens, width] -> [rows, width]."""
        return torch.tanh(self.dense(hidden[:, 0]))


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
