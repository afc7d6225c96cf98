"""Several processes that carry out one run together, as torchrun starts them; in one process alone nothing is different.

All of them run the same program on the same files and stay in step: each takes its share of a batch or of the test data,
and what the shares give is added up or put together for all. The first one (rank 0) alone writes. docs/running.md.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed

from xlt.errors import InputError, Interrupted

T = TypeVar("T")
P = ParamSpec("P")
BUCKET = 2**24
"""Numbers that are sent together at least, unless there are no more: 64 MiB in float32."""
BEGUN, FAILED, ENDED = "begun", "failed", "ended"
"""What the processes tell each other beside their work, in the store that torchrun keeps."""
LAST_WORDS = timedelta(seconds=10)
"""How long a process that failed waits for the first one to end in its own time; torchrun ends all when one has ended."""


class Lost(InputError):
    """Another process of the run has ended before its time."""


def launched() -> int:
    """How many processes torchrun has started for this run; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def is_main_launched() -> bool:
    """Whether this process is the only one or the first that torchrun has started."""
    return launched() == 1 or os.environ["RANK"] == "0"


def rank() -> int:
    """The number of this process among those of the run, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """How many processes carry out the run."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Work together with the other processes that torchrun has started, if it has.

    The first process to fail says why, the others end without a word and with the same exit status.

    Raises:
        InputError: there are more processes than GPUs.
    """
    if launched() == 1:
        yield
        return
    store, number, processes = next(iter(distributed.rendezvous("env://")))
    if number == 0:
        store.set(BEGUN, "")
    else:  # the first may have to wait for the run's folder
        logging.disable(logging.WARNING)
        store.wait([BEGUN], timedelta(days=365))
    with joining(store, number, processes):
        yield


@contextlib.contextmanager
def joining(store: distributed.Store, number: int, processes: int) -> Iterator[None]:
    """Be process ``number`` of ``processes``, which meet in ``store``."""
    try:
        distributed.init_process_group(_backend(), store=store, rank=number, world_size=processes)
        yield
    except BaseException as error:
        known = _told(store, error)
        if number > 0 and not isinstance(error, Lost):
            with contextlib.suppress(RuntimeError):
                store.wait([ENDED], LAST_WORDS)
        if known:
            raise SystemExit(_status(error)) from None
        raise
    finally:
        if number == 0:
            with contextlib.suppress(RuntimeError):
                store.set(ENDED, "")
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _backend() -> str:
    """NCCL between GPUs, each process its own; small things, and all on a CPU, by gloo."""
    if not torch.cuda.is_available():
        return "gloo"
    local, wanted = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if torch.cuda.device_count() < wanted:
        raise InputError(f"expected a GPU for each of {wanted} processes, got {torch.cuda.device_count()}; start fewer")
    torch.cuda.set_device(local)
    return "cpu:gloo,cuda:nccl"


def device() -> torch.device:
    """Where this process computes."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda") if count() == 1 else torch.device("cuda", torch.cuda.current_device())


def _told(store: distributed.Store, error: BaseException) -> bool:
    """Whether another process has said already why the run ends."""
    try:
        return int(store.add(FAILED, 1)) > 1
    except RuntimeError:  # torchrun itself is gone
        return isinstance(error, Lost)


def _status(error: BaseException) -> int:
    if isinstance(error, Interrupted):
        return 128 + error.number
    return 2 if isinstance(error, InputError) else 1


@contextlib.contextmanager
def _with_the_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo and NCCL have no type of their own for a peer that is gone
        reason = str(error).partition("\n")[0][:200]
        raise Lost(f"another process of this run has ended ({reason}); run the same command again to go on") from error


def wait() -> None:
    """Go on when all processes are here."""
    if count() > 1:
        with _with_the_others():
            distributed.all_reduce(torch.zeros(1))


def add(numbers: Tensor) -> Tensor:
    """The sum of a tensor over the processes, in its place; all of them get the same bits."""
    if count() > 1:
        with _with_the_others():
            distributed.all_reduce(numbers)
    return numbers


def total(number: float) -> float:
    """The sum of a number over the processes."""
    return float(add(torch.tensor([number], dtype=torch.float64)))


def largest(number: int) -> int:
    """The largest of the processes' numbers."""
    if count() == 1:
        return number
    told = torch.tensor([number])
    with _with_the_others():
        distributed.all_reduce(told, distributed.ReduceOp.MAX)
    return int(told)


def broadcast_from_main(make: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What ``make`` gives in the first process; the others wait for it. If it fails there, it fails in all."""
    if count() == 1:
        return make(*given, **named)
    told: list[Any] = [None, None]
    if is_main_process():
        try:
            told[0] = make(*given, **named)
        except Exception as error:
            told[1] = error
    with _with_the_others():
        distributed.broadcast_object_list(told)
    if told[1] is not None:
        raise told[1]
    return told[0]  # type: ignore[no-any-return]


def all_gather(own: Mapping[int, T]) -> dict[int, T]:
    """What all processes have, by number."""
    if count() == 1:
        return dict(own)
    parts: list[Any] = [None] * count()
    with _with_the_others():
        distributed.all_gather_object(parts, dict(own))
    return {number: value for part in parts for number, value in part.items()}


def check_same(what: str, value: object) -> None:
    """Stop where the processes have come apart, which they must not.

    Raises:
        InputError: ``value`` is not the same in all of them.
    """
    if any(other != value for other in all_gather({rank(): value}).values()):
        raise InputError(f"expected the same {what} in all processes of the run; delete its checkpoint, run it again")


def shard(groups: Sequence[T]) -> Iterable[T]:
    """Every n-th group, beginning with another one in each process."""
    return islice(groups, rank(), None, count())


def share(costs: Sequence[int]) -> Sequence[int]:
    """The indices of the examples that are this process's: as many as any other's but one, of about the same cost.

    They are shard from the dearest on, forth and back; the first process has at least one.
    """
    if count() == 1:
        return range(len(costs))
    order = sorted(range(len(costs)), key=lambda index: -costs[index])
    places = [*range(count()), *reversed(range(count()))]
    return sorted(index for place, index in enumerate(order) if places[place % len(places)] == rank())


def add_all(tensors: Sequence[Tensor]) -> None:
    """Sum each of many tensors of one type over the processes, in its place, a bucket of them at a time."""
    bucket: list[Tensor] = []
    for number, tensor in enumerate(tensors):
        bucket.append(tensor)
        if number + 1 < len(tensors) and sum(each.numel() for each in bucket) < BUCKET:
            continue
        if len(bucket) == 1 and tensor.is_contiguous():  # an embedding table: not copied
            add(tensor)
        else:
            flat = add(torch.cat([each.reshape(-1) for each in bucket]))
            for each, summed in zip(bucket, flat.split([each.numel() for each in bucket]), strict=True):
                each.copy_(summed.view_as(each))
        bucket = []
