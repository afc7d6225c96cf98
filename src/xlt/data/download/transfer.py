"""What every download shares: how long to try, what may pass, and what a message may say."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from xlt.errors import InputError

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
CHUNK = 1 << 16
"""Bytes that are read at a time."""
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""Answers that another try may not get."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to try: attempts, seconds before the second one (doubled each time), the longest wait, time-outs."""

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 120.0
    connect: float = 15.0
    silence: float = 30.0


DEFAULT_POLICY = RetryPolicy()


class Unavailable(Exception):
    """A source cannot give the file; the message says why. The next source is tried."""


class TransientError(Exception):
    """A transient error: another try may succeed; ``wait`` is how many seconds the server asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Mismatch(Exception):
    """What came is not what was expected."""


def pause(seconds: float) -> None:
    """Wait before another try."""
    time.sleep(seconds)


def offline() -> bool:
    """Whether the user forbade the network, by the variable that huggingface_hub heeds."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def persist(action: Callable[[], T], policy: RetryPolicy, label: str, target: Path) -> T:
    """What ``action`` returns: tried again after a transient error, and once more after a mismatch.

    Raises:
        Unavailable: all attempts failed, or the server asks for a longer wait than the policy allows.
        InputError: what comes is twice not what it must be (``label`` says what), or ``target`` cannot be written.
    """
    attempt = 0
    wrong = 0
    while True:
        try:
            return action()
        except Mismatch as error:
            wrong += 1
            if wrong == 2:
                raise InputError(f"{label}: {error}, twice; nothing was put in place") from None
        except TransientError as fault:
            attempt += 1
            wait = fault.wait if fault.wait is not None else policy.first_wait * 2 ** (attempt - 1)
            if attempt >= policy.attempts:
                raise Unavailable(f"{fault} ({attempt} attempts)") from None
            if wait > policy.longest_wait and fault.wait is not None:
                raise Unavailable(f"{fault}; the server asks to wait {wait:.0f} s") from None
            pause(min(wait, policy.longest_wait) * random.uniform(1.0, 1.25))
        except OSError as error:
            raise InputError(f"cannot write: {error.strerror or error}", target) from None


def reason(error: Exception) -> str:
    """What went wrong in words, without the address that a library's message may hold."""
    from requests import exceptions

    if "timed out" in str(error).lower():
        return "the server stopped sending"
    words = {
        exceptions.Timeout: "the server stopped sending",
        exceptions.ChunkedEncodingError: "the connection was cut",
        exceptions.SSLError: "no valid certificate",
        exceptions.ConnectionError: "no connection",
        exceptions.TooManyRedirects: "too many redirects",
    }
    return next((text for kind, text in words.items() if isinstance(error, kind)), type(error).__name__)


def of_status(answer: requests.Response) -> Exception:
    """What an answer that is not the file means; a server that is busy may say when to ask again (Retry-After)."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    if answer.status_code not in TRANSIENT:
        return Unavailable(f"HTTP {answer.status_code}")
    asked = answer.headers.get("Retry-After")
    try:
        wait = None if asked is None else Retry().parse_retry_after(asked)
    except InvalidHeader:
        wait = None
    return TransientError(f"HTTP {answer.status_code}", wait)


def git_blob(path: Path) -> str:
    """The name git gives a file's content: the SHA-1 of a header and the content."""
    sha = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(CHUNK):
            sha.update(block)
    return sha.hexdigest()
