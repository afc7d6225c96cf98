"""One optimizer step: all micro-batches of a batch, or none of it where something went wrong on the way.

Several processes take it together. There is no DistributedDataParallel here: it averages over the processes what each gets
from a loss of its own, so that all need the same number of examples (in tagging: of labelled words) and of backward passes.
Each micro-batch is divided by the count of the whole batch already, so shares may be unequal or empty, and the sum over the
processes is the gradient that one process would have, up to the order of the additions.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

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
    """What one step sees.

    ``losses``: the micro-batches of this process, given the padded tokens that one may have; all of them add up to the mean
    loss of the batch. ``model``: a task's, with its penalty and its embedding table; None in a training that has no task.
    ``features``: its examples. ``name``: what an error calls a batch without any.
    """

    title: str
    step: int
    device: torch.device
    losses: Callable[[int], Iterator[MicroBatchLoss]]
    model: TransferModel | None = None
    features: Sequence[Feature] = ()
    perturbation: Perturbation | None = None
    name: str = "masked text"

    def described(self) -> str:
        """Which examples it has, as numbers in the training set (from 1)."""
        if not self.features:
            return self.name
        numbers = sorted({feature.record + 1 for feature in self.features})
        more = ", ..." if len(numbers) > EXAMPLES_NAMED else ""
        return f"training examples {', '.join(map(str, numbers[:EXAMPLES_NAMED]))}{more}"


def optimizer_step(
    batch: StepBatch,
    micro_batches: MicroBatches,
    optimizer: torch.optim.Optimizer,
    max_grad_norm: float,
    parameters: Sequence[nn.Parameter] | None = None,
) -> float:
    """One optimizer step on one batch; returns its mean loss, without the penalty.

    Where memory does not do, micro-batches are halved for good and the batch begins again: each is divided by the size of
    the whole batch, so the step is the same up to rounding and the draws of dropout. The processes of a run take
    the step together and return, or raise, the same. ``parameters``: in the order in which the norm of their gradients adds
    them up; None for that of the optimizer.

    Raises:
        InputError: memory does not do for a single example, or for a batch that cannot be cut.
        NotFinite: the loss or the gradient is not a number. Model and random numbers are as before the step.
    """
    before = RngSnapshot(batch.device, batch.perturbation)
    while True:
        own: float | None = None
        try:
            own = _gradients(batch, micro_batches.tokens, optimizer)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        loss = over_processes(own, optimizer, batch.perturbation)
        if loss is not None:  # what an exception holds on to is free only here
            break
        optimizer.zero_grad(set_to_none=True)
        before.restore()
        _halve(batch, micro_batches)
    trained = [p for p in parameters or optimized(optimizer) if p.grad is not None]
    norm = float(nn.utils.clip_grad_norm_(trained, max_grad_norm))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        optimizer.zero_grad(set_to_none=True)
        before.restore()
        raise NotFinite(
            f"{batch.title}: loss {loss} at step {batch.step} (gradient norm {norm}; {batch.described()}); "
            "try a lower learning rate"
        )
    optimizer.step()
    return loss


def optimized(optimizer: torch.optim.Optimizer) -> list[Any]:
    """The parameters of an optimizer, group after group."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


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


def _gradients(batch: StepBatch, tokens: int, optimizer: torch.optim.Optimizer) -> float:
    """Gradients of this process's part of the mean loss of a batch and of the penalty; returns the loss alone."""
    optimizer.zero_grad(set_to_none=True)
    model, total, losses = batch.model, 0.0, list(batch.losses(tokens))
    gathered = batching.FAST and batch.features and len(losses) > 1
    with gathered_embeddings(model, batch.features) if model is not None and gathered else nullcontext():
        for micro_batch in losses:
            if batch.perturbation is None or model is None:
                loss = micro_batch()
            else:
                loss = batch.perturbation.loss(model, micro_batch)
            loss.backward()
            total += float(loss.detach())
    penalty = None if model is None else model.penalty()
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
    """How many micro-batches all processes have of a batch together."""
    return distributed.total(sum(1 for _ in batch.losses(micro_batches.tokens)))


def draw_apart(seed: int, step: int, perturbation: Perturbation | None) -> None:
    """Let each process but the first draw numbers of its own in a step: dropout, and what a perturbation draws.

    They follow from the seed, the step and the process, so that a checkpoint need not hold them. The first process draws as
    it would alone.
    """
    if distributed.is_main_process():
        return
    drawn = hashlib.blake2b(f"{seed}/{step}/{distributed.rank()}".encode(), digest_size=12).digest()
    torch.manual_seed(int.from_bytes(drawn[:6], "big"))
    if perturbation is not None:
        own = torch.Generator().manual_seed(int.from_bytes(drawn[6:], "big"))
        perturbation.restore(own.get_state(), perturbation.state()[1])


def over_processes(
    loss: float | None, optimizer: torch.optim.Optimizer, perturbation: Perturbation | None
) -> float | None:
    """Sum loss and gradients over the processes; nothing happens in one process alone.

    Args:
        loss: this process's part of the batch's loss; None where memory did not do.
        optimizer: of the parameters. One that has a gradient in any process has one in all of them afterwards.
        perturbation: what it has measured in the first process, it knows in all of them afterwards.

    Returns:
        The batch's loss, the same in all processes, or None if memory did not do in one of them.
    """
    if distributed.count() == 1:
        return loss
    parameters = optimized(optimizer)
    measured = None if perturbation is None or not distributed.is_main_process() else perturbation.state()[1]
    own = [0.0 if loss is None else loss, loss is None, measured or 0.0, *(p.grad is not None for p in parameters)]
    summed, short, size, *present = distributed.add(torch.tensor(own, dtype=torch.float64)).tolist()
    if short:
        return None
    if perturbation is not None and size:
        perturbation.restore(perturbation.state()[0], size)
    here = [parameter for parameter, holders in zip(parameters, present, strict=True) if holders]
    for parameter in here:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    distributed.add_all([parameter.grad for parameter in here])
    return float(summed)
