"""One kind of error for everything a user can put right: one clear line, exit status 2."""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask to stop: Ctrl-C, a scheduler's pre-emption, a lost terminal."""
OF_THE_DISK = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "EFBIG", "ENOTDIR", "EISDIR", "ESTALE")
}
"""System errors that say something about the user's disk, not about a mistake in this code."""

LONGEST = 800
"""Characters of a message; of a longer one the middle is left out."""


class InputError(Exception):
    """Something the user gave (a file, a config, an option) is not what was expected.

    The message says what was expected and what to do; ``path`` and ``line`` (counted from 1) say where. It is one line of
    readable length, whatever a file that it quotes contains.
    """

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None) -> None:
        message = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in message)
        if len(message) > LONGEST:
            message = f"{message[: LONGEST - 200]} ... {message[-200:]}"
        super().__init__(message)
        self.message = message
        self.path = path
        self.line = line

    def __str__(self) -> str:
        where = "" if self.path is None else f"{self.path}: "
        if self.path is not None and self.line is not None:
            where = f"{self.path}:{self.line}: "
        return where + self.message


class NotFinite(InputError):
    """The loss or the gradient of a training step is not a number; the step was not taken."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_status(main: Callable[[], int | None]) -> int:
    """Run a script's ``main`` and return its exit status: its own or 0, 2 for an input error, 128 + n after signal n."""
    try:
        with handling(_stop):
            return main() or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, Interrupted) else int(signal.SIGINT)
        name = signal.Signals(number).name
        print(f"interrupted ({name}): finished runs are kept; run the same command again to go on", file=sys.stderr)
        return 128 + number
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            raise
        print(f"error: {InputError(f'{error.strerror}; make room or correct it', error.filename)}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
            raise
        print("error: out of memory; use fewer jobs at a time, a smaller model or a larger machine", file=sys.stderr)
        return 2


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


@contextlib.contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals that ask to stop for a while; one that is ignored (nohup) stays so. In the main thread only."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
