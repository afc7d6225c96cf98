"""Which arithmetic an encoder computes in: bfloat16 where that is faster, single precision elsewhere.

Weights, optimizer, heads, losses and everything after the encoder stay in single precision. ``XLT_PRECISION``
(``make PRECISION=...``) is ``auto``, ``float32`` or ``bfloat16``; ``auto`` is bfloat16 on a GPU that has it, and on a CPU
where a short timing shows that it pays, as on those with instructions for it. ``XLT_FAST=0`` (``make FAST=0``) is the
reference path and computes in single precision on every device.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from xlt.data import batching
from xlt.errors import InputError

REDUCED = {"cuda": torch.bfloat16}
"""What an encoder's matrix products are computed in, by device; ``settle`` decides for a run."""
PRECISIONS = ("auto", "float32", "bfloat16")
SINGLE = "float32"
WORTH = 1.15
"""How many times faster bfloat16 must be on a CPU to be chosen; the timing is that sure on a busy machine."""
_TOKENS, _WIDTH, _ROUNDS = 512, 384, 5


def settle(device: torch.device, before: str | None = None) -> None:
    """Decide what encoders on ``device`` compute in from now on.

    Args:
        device: where the encoder is.
        before: what this run has computed in so far (``name_of``), which it goes on with under ``auto``.

    Raises:
        InputError: ``XLT_PRECISION`` is unknown, or the GPU has no bfloat16.
    """
    asked = os.environ.get("XLT_PRECISION", SINGLE if device.type == "cpu" else "auto")
    if asked not in PRECISIONS:
        raise InputError(f"PRECISION: expected one of {', '.join(PRECISIONS)}, got {asked}")
    if asked == "auto" and before is not None:
        asked = SINGLE if before == SINGLE else "bfloat16"
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        if asked == "bfloat16" and not able:
            raise InputError("PRECISION=bfloat16: this GPU has no bfloat16; use float32 or auto")
        reduced = able and asked != SINGLE
    else:
        reduced = asked == "bfloat16" or (asked == "auto" and speedup() >= WORTH)
    REDUCED.pop(device.type, None)
    if reduced:
        REDUCED[device.type] = torch.bfloat16


def is_timed(device: torch.device) -> bool:
    """Whether a timing decides on ``device``, which another time may come out otherwise."""
    return device.type == "cpu" and os.environ.get("XLT_PRECISION") == "auto"


def speedup() -> float:
    """How many times faster this CPU is in bfloat16 than in single precision: a feed-forward block, forward and backward."""
    with torch.random.fork_rng(devices=[]):
        block = nn.Sequential(nn.Linear(_WIDTH, 4 * _WIDTH), nn.GELU(), nn.Linear(4 * _WIDTH, _WIDTH))
    states = torch.zeros(_TOKENS, _WIDTH)

    def seconds(reduced: bool) -> float:
        started = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=reduced):
            out = block(states)
        out.float().sum().backward()
        return time.perf_counter() - started

    rounds = [(seconds(False), seconds(True)) for _ in range(_ROUNDS)]
    single, reduced = (min(each) for each in zip(*rounds[1:], strict=True))  # the first warms up
    return single / reduced


def is_reduced(device: torch.device) -> bool:
    """Whether an encoder on ``device`` computes in fewer bits than single precision."""
    if device.type not in REDUCED or not batching.FAST:
        return False
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def arithmetic(device: torch.device) -> AbstractContextManager[Any]:
    """The context in which an encoder on ``device`` runs forward; its last states are to be made ``float()``."""
    return torch.autocast(device.type, dtype=REDUCED[device.type]) if is_reduced(device) else nullcontext()


def name_of(device: torch.device) -> str:
    """What a run's provenance says of its arithmetic."""
    return "bfloat16 (autocast)" if is_reduced(device) else SINGLE
