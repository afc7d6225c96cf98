"""Token ids as padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xlt.data.features import Feature
from xlt.modeling.architectures import architecture_of


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Padded sequences: ``input_ids``, ``attention_mask`` (1 = real) and ``token_type_ids``, each [rows, tokens]."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor

    def to(self, device: torch.device | str) -> TokenBatch:
        """The same batch on another device."""
        return TokenBatch(self.input_ids.to(device), self.attention_mask.to(device), self.token_type_ids.to(device))

    def beside_ids(self, encoder: Any) -> dict[str, Tensor]:
        """The further arguments of ``encoder``, with ``input_ids`` or with embeddings in their place."""
        mask = {"attention_mask": self.attention_mask}
        return {**mask, "token_type_ids": self.token_type_ids} if architecture_of(encoder.config).segments else mask


def pad_rows(rows: Sequence[Sequence[int]], types: Sequence[Sequence[int]], pad_id: int) -> TokenBatch:
    """Pad token ids on the right to the longest row."""
    input_ids = torch.full((len(rows), max(map(len, rows))), pad_id, dtype=torch.long)
    token_type_ids, attention_mask = torch.zeros_like(input_ids), torch.zeros_like(input_ids)
    for number, (row, kind) in enumerate(zip(rows, types, strict=True)):
        input_ids[number, : len(row)] = torch.tensor(row)
        token_type_ids[number, : len(row)] = torch.tensor(kind)
        attention_mask[number, : len(row)] = 1
    return TokenBatch(input_ids, attention_mask, token_type_ids)


def rows_of(features: Sequence[Feature], pad_id: int) -> TokenBatch:
    """All rows of some features, in order, padded together."""
    return pad_rows(
        [row for feature in features for row in feature.rows], [row for f in features for row in f.types], pad_id
    )
