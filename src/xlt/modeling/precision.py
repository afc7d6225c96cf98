"""Which arithmetic an encoder computes in: bfloat16 where a GPU has it, single precision elsewhere.

Weights, optimizer, heads, losses and everything after the encoder stay in single precision. ``XLT_FAST=0``
(``make FAST=0``) is the reference path and computes in single precision on every device.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from xlt.data import batching

REDUCED = {"cuda": torch.bfloat16}
"""What an encoder's matrix products are computed in, by device. A CPU without matrix units for it is three times slower."""


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
    return "bfloat16 (autocast)" if is_reduced(device) else "float32"
