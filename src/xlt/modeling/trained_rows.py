"""Only the rows of the word-embedding table that a training reads are trained; all others stay where they are.

A row that no example reads never has a gradient, and without one AdamW (Loshchilov and Hutter 2019, algorithm 2) only
multiplies it by ``1 - rate * decay`` at every step. So a table of the rows that are read, with moments, gradients and norm
of its own size, is the same training; the factor that the other rows are due is applied to them at the end. Of XLM-R's
250,002 rows English training sets read some thousands, and the dense table costs as much time a step as all layers of a small
encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlt.data.features import Feature

WORTH_VALUES = 10_000_000
"""Tables with fewer values are trained whole: they cost next to nothing, and clipping then sums in the usual order."""


class ReadRows(nn.Module):
    """The rows of an embedding table that a training reads, in place of the table; its parameter keeps the table's name.

    Args:
        table: the whole table; it is left as it is until ``merged``.
        ids: the rows that are trained, in rising order.
    """

    def __init__(self, table: nn.Embedding, ids: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(table.weight.detach()[ids], requires_grad=table.weight.requires_grad)
        self.ids = ids
        self.table = [table]  # in a list, so that its parameter is not one of this module
        self.place = torch.full((table.num_embeddings,), -1, device=ids.device)
        self.place[ids] = torch.arange(len(ids), device=ids.device)
        padding = table.padding_idx
        self.padding_idx = None if padding is None else int(self.place[padding])
        self.unread_factor = 1.0

    @property
    def whole(self) -> Tensor:
        """The table as it was before the training: [words, width]."""
        return self.table[0].weight.detach()

    def forward(self, input_ids: Tensor) -> Tensor:
        """Word embeddings: [..., width]. Development texts may have words that the training set lacks."""
        places = self.place[input_ids]
        if self.training:  # an unread row is an index error here: it would have had a gradient
            return functional.embedding(places, self.weight, padding_idx=self.padding_idx)
        read = functional.embedding(places.clamp(min=0), self.weight)
        unread = self.whole[input_ids] * self.unread_factor
        return torch.where((places >= 0).unsqueeze(-1), read, unread)

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Note what every step of ``optimizer`` (AdamW) does to the rows that are not read."""
        (group,) = (each for each in optimizer.param_groups if any(p is self.weight for p in each["params"]))

        def note(*_: Any) -> None:
            if self.weight.grad is not None:  # it has none while it is frozen, and is not decayed then
                self.unread_factor *= 1.0 - group["lr"] * group["weight_decay"]

        optimizer.register_step_post_hook(note)

    @torch.no_grad()
    def merged(self) -> nn.Embedding:
        """The whole table after the training."""
        (table,) = self.table
        if self.unread_factor != 1.0:
            table.weight.mul_(self.unread_factor)
        table.weight[self.ids] = self.weight
        table.weight.requires_grad_(self.weight.requires_grad)
        return table


def places_of(table: Any, ids: Tensor) -> Tensor:
    """Where the rows of some words lie in the parameter of a table, be it whole or ``ReadRows``."""
    return table.place[ids] if isinstance(table, ReadRows) else ids


def whole_table(encoder: Any) -> Tensor:
    """The word-embedding table of an encoder, as it was at the start where a training has only rows of it: [words, width]."""
    table = encoder.get_input_embeddings()
    return table.whole if isinstance(table, ReadRows) else table.weight.detach()


@contextmanager
def read_rows_only(
    encoder: Any, features: Sequence[Feature], pad_id: int, worth: int | None = None
) -> Iterator[ReadRows | None]:
    """Train only the rows of the table that ``features`` read; afterwards the encoder has its whole table again.

    Yields:
        What stands in place of the table; None where it is not trained, is small, or most of it is read.
    """
    table = encoder.get_input_embeddings()
    read = sorted({token for feature in features for row in feature.rows for token in row} | {pad_id})
    least = WORTH_VALUES if worth is None else worth
    if not table.weight.requires_grad or table.weight.numel() < least or 2 * len(read) > table.num_embeddings:
        yield None
        return
    rows = ReadRows(table, torch.tensor(read, device=table.weight.device))
    rows.train(table.training)
    encoder.set_input_embeddings(rows)
    try:
        yield rows
    finally:
        encoder.set_input_embeddings(rows.merged())


ROWS, FACTOR = ".rows", ".factor"
"""What the name of a table is followed by in saved weights: which rows they hold, and what all others were multiplied by."""


def only_moved(
    state: Mapping[str, Tensor], name: str, prepared: Callable[[], Tensor], factor: float
) -> dict[str, Tensor]:
    """Trained tensors to be saved: of the table ``name`` the rows that differ from the prepared encoder's times ``factor``.

    Args:
        state: trained tensors by name.
        name: the word-embedding table, which may not be among them.
        prepared: reads the table of the prepared encoder: [words, width].
        factor: what the last training multiplied the rows by that it did not read.
    """
    table = state.get(name)
    if table is None or table.numel() < WORTH_VALUES:
        return dict(state)
    moved = (table != prepared() * factor).any(dim=1).nonzero().squeeze(1)
    if 2 * len(moved) > len(table):
        return dict(state)
    of_table = {name: table[moved], name + ROWS: moved, name + FACTOR: torch.tensor(factor, dtype=torch.float64)}
    return {**state, **of_table}


def with_all_rows(state: Mapping[str, Tensor], name: str, before: Tensor) -> dict[str, Tensor]:
    """The opposite of ``only_moved``: saved tensors with the whole table. ``before``: the prepared encoder's."""
    whole = dict(state)
    if name + ROWS in whole:
        table = before * float(whole.pop(name + FACTOR))
        table[whole.pop(name + ROWS)] = whole[name]
        whole[name] = table
    return whole
