"""Token ids as padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xlt.data.features import Feature


@dataclass(frozen=True, slots=True)
class Rows:
    """Padded token ids of some sequences: ``ids``, ``mask`` (1 = real) and ``types``, each [rows, tokens]."""

    ids: Tensor
    mask: Tensor
    types: Tensor

    def to(self, device: torch.device | str) -> Rows:
        """The same rows on another device."""
        return Rows(self.ids.to(device), self.mask.to(device), self.types.to(device))


def pad_rows(rows: Sequence[Sequence[int]], types: Sequence[Sequence[int]], pad_id: int) -> Rows:
    """Pad token ids on the right to the longest row."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    kinds = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, (row, kind) in enumerate(zip(rows, types, strict=True)):
        ids[number, : len(row)] = torch.tensor(row)
        kinds[number, : len(row)] = torch.tensor(kind)
        mask[number, : len(row)] = 1
    return Rows(ids, mask, kinds)


def rows_of(features: Sequence[Feature], pad_id: int) -> Rows:
    """All rows of some features, in order, padded together."""
    return pad_rows(
        [row for feature in features for row in feature.rows], [row for f in features for row in f.types], pad_id
    )
