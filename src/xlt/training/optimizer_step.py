"""One optimizer step: all micro-batches of a batch, or none of it where something went wrong on the way."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from xlt.data import batching
from xlt.data.features import Feature
from xlt.errors import InputError, NotFinite
from xlt.families.base import MicroBatchLoss
from xlt.modeling import distributed
from xlt.modeling.model import TransferModel
from xlt.modeling.sparse_embeddings import gathered_embeddings
from xlt.training.checkpoint_state import dropout_state, restore_dropout_state
from xlt.training.gradients import over_processes

EXAMPLES_NAMED = 8
"""How many examples of a bad batch an error names."""

_log = logging.getLogger(__name__)


class Perturbation(Protocol):
    """A way of robust training: how a step sees its input."""

    def loss(self, model: TransferModel, part: MicroBatchLoss) -> Tensor:
        """The loss of one micro-batch under the perturbation; its gradient is what the step follows."""

    def state(self) -> tuple[Tensor, float | None]:
        """What the next step depends on: the state of its random numbers, and a size that it measured, if it did."""

    def restore(self, generator: Tensor, measured: float | None) -> None:
        """Go on from what ``state`` gave."""


@dataclass(slots=True)
class MicroBatches:
    """Padded tokens that a micro-batch may have, halved when memory does not do; ``halved`` are the steps before which."""

    tokens: int
    halved: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class StepBatch:
    """What one step sees: the model, ``parts`` by the tokens of a micro-batch, and the examples for an error to name."""

    model: TransferModel
    parts: Callable[[int], Iterator[MicroBatchLoss]]
    features: Sequence[Feature]
    title: str
    step: int


def optimizer_step(
    batch: StepBatch,
    micro_batches: MicroBatches,
    optimizer: torch.optim.Optimizer,
    max_grad_norm: float,
    perturbation: Perturbation | None = None,
) -> float:
    """One optimizer step on one batch; returns its mean loss, without the penalty.

    Where memory does not do, micro-batches are halved for good and the batch begins again: each is divided by the size of
    the whole batch, so the step is the same up to rounding and the draws of dropout. The processes of a run take
    the step together and return, or raise, the same.

    Raises:
        InputError: memory does not do for a single example, or for a batch that cannot be cut.
        NotFinite: the loss or the gradient is not a number. Model and random numbers are as before the step.
    """
    before = RngSnapshot(batch.model.device, perturbation)
    while True:
        own: float | None = None
        try:
            own = _gradients(batch, micro_batches.tokens, optimizer, perturbation)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        loss = over_processes(own, optimizer, perturbation)
        if loss is not None:  # what an exception holds on to is free only here
            break
        optimizer.zero_grad(set_to_none=True)
        before.restore()
        _halve(batch, micro_batches)
    trained = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = float(nn.utils.clip_grad_norm_(trained, max_grad_norm))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        optimizer.zero_grad(set_to_none=True)
        before.restore()
        raise NotFinite(
            f"{batch.title}: loss {loss} at step {batch.step} (gradient norm {norm}; {_named(batch.features)}); "
            "try a lower learning rate"
        )
    optimizer.step()
    return loss


class RngSnapshot:
    """The random numbers that a step depends on, as they are before it."""

    def __init__(self, device: torch.device, perturbation: Perturbation | None) -> None:
        self.device, self.perturbation = device, perturbation
        self.dropout = dropout_state(device)
        self.own = None if perturbation is None else perturbation.state()

    def restore(self) -> None:
        """Let the step draw the same numbers again."""
        restore_dropout_state(self.device, self.dropout)
        if self.perturbation is not None and self.own is not None:
            self.perturbation.restore(*self.own)


def _gradients(
    batch: StepBatch, tokens: int, optimizer: torch.optim.Optimizer, perturbation: Perturbation | None
) -> float:
    """Gradients of this process's part of the mean loss of a batch and of the penalty; returns the loss alone."""
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    parts = list(batch.parts(tokens))
    with (
        gathered_embeddings(batch.model, batch.features)
        if batching.FAST and batch.features and len(parts) > 1
        else nullcontext()
    ):
        for part in parts:
            loss = part() if perturbation is None else perturbation.loss(batch.model, part)
            loss.backward()
            total += float(loss.detach())
    penalty = batch.model.penalty()
    if penalty is not None and distributed.is_main_process():
        penalty.backward()
    return total


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch says that a device's or the machine's memory did not do (on the CPU a plain RuntimeError)."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return "can't allocate memory" in str(error) or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)


def _halve(batch: StepBatch, micro_batches: MicroBatches) -> None:
    """Halve the micro-batches until the batch is cut into more of them."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    before = _cut(batch, micro_batches)
    while _cut(batch, micro_batches) == before:
        micro_batches.tokens //= 2
        if micro_batches.tokens < 1:
            raise InputError(
                f"{batch.title}: out of memory at step {batch.step}, and the batch cannot be cut into smaller parts; "
                "use a smaller model or a larger machine"
            )
    micro_batches.halved.append(batch.step)
    _log.warning(
        "%s: out of memory at step %d; micro-batches have at most %d tokens from here on, the mathematics stays",
        batch.title,
        batch.step,
        micro_batches.tokens,
    )


def _cut(batch: StepBatch, micro_batches: MicroBatches) -> float:
    """How many parts all processes have of a batch together."""
    return distributed.total(sum(1 for _ in batch.parts(micro_batches.tokens)))


def _named(features: Sequence[Feature]) -> str:
    """Which examples a batch has, as numbers in the training set (from 1)."""
    if not features:
        return "masked text"
    numbers = sorted({feature.record + 1 for feature in features})
    more = ", ..." if len(numbers) > EXAMPLES_NAMED else ""
    return f"training examples {', '.join(map(str, numbers[:EXAMPLES_NAMED]))}{more}"
