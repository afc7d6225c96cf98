"""Numbers on the command line of a script: what makes no sense is refused in one line."""

from __future__ import annotations

import math
from collections.abc import Callable

from xlt.errors import InputError

LARGEST = 9999
"""Threads, runs or processes that anyone means; a job on a cluster may have THREADS times PROCESSES."""


def count(option: str) -> Callable[[str], int]:
    """What reads an option's number of threads, runs or processes: 1 to ``LARGEST``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= LARGEST):
            raise InputError(f"{option}: expected a whole number from 1 to {LARGEST}, got {text!r}")
        return int(text)

    return read


def seconds(option: str) -> Callable[[str], float]:
    """What reads an option's number of seconds, 0 or more."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise InputError(f"{option}: expected a number of seconds, got {text!r}")
        return value

    return read
