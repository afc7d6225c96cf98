"""Which parts of the loss of a batch a process computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xlt.data.features import Feature
from xlt.families.base import MicroBatchLoss
from xlt.modeling import distributed
from xlt.modeling.model import TransferModel


def local_losses(model: TransferModel, features: Sequence[Feature], budget: int) -> Iterator[MicroBatchLoss]:
    """The parts of the loss of one batch that this process computes; those of all processes add up to it.

    What cannot be cut, a contrastive loss, is the first process's.
    """
    if model.family.supervised or distributed.is_main_process():
        yield from model.family.losses(model, features, budget)
