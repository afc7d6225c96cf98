"""One kind of error for everything a user can put right: one clear line, exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


class InputError(Exception):
    """Something the user gave (a file, a config, an option) is not what was expected.

    The message says what was expected and what to do; ``path`` and ``line`` (counted from 1) say where.
    """

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.line = line

    def __str__(self) -> str:
        where = "" if self.path is None else f"{self.path}: "
        if self.path is not None and self.line is not None:
            where = f"{self.path}:{self.line}: "
        return where + self.message


def exit_status(main: Callable[[], int | None]) -> int:
    """Run a script's ``main`` and return its exit status: its own or 0, 2 for an input error, 130 when interrupted."""
    try:
        return main() or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: finished runs are kept; run the same command again to go on", file=sys.stderr)
        return 130
