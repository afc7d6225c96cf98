"""One optimizer step by several processes: gradients summed over them, and what is decided is decided by all.

There is no DistributedDataParallel here: it averages over the processes what each gets from a loss of its own, so that all
need the same number of examples (in tagging: of labelled words) and of backward passes. Each part of a batch is divided by
the count of the whole batch already, so shares may be unequal or empty, and the sum over the processes is the gradient
that one process would have, up to the order of the additions. Clipping and AdamW are then done by every process alike.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from xlt.modeling import distributed

if TYPE_CHECKING:
    from xlt.training.optimizer_step import Perturbation


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
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
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
