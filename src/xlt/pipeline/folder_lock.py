"""One process at a time works on the folder of a run or job, and leaves a note when it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from xlt.errors import InputError
from xlt.files import to_json, write_atomic
from xlt.layout import FAILURE
from xlt.locks import locked


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Work on a run or job folder as its only process; a second one waits, and then finds what the first has done.

    The lock is given back when a process ends, however it ends (xlt.locks).
    """
    if not folder.is_dir():
        raise InputError("expected a folder that the planner wrote; run make plan first", folder)
    with locked(folder / ".lock", f"{folder}: another process works on it"):
        yield


@contextlib.contextmanager
def noting_failure(folder: Path) -> Iterator[None]:
    """Leave ``failed.json`` with the message when a step ends with an error, so that a table can say why a cell is empty."""
    note = folder / FAILURE
    try:
        yield
    except Exception as error:
        message = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):  # the disk may be what failed
            write_atomic(note, to_json({"message": message}))
        raise
    note.unlink(missing_ok=True)


@contextlib.contextmanager
def as_one(folder: Path) -> Iterator[None]:
    """Work on a run folder as its only process, or with the others that torchrun started for this very run."""
    from xlt.modeling.distributed import is_main_launched, joined  # torch: slow import

    with alone(folder) if is_main_launched() else contextlib.nullcontext(), noting_failure(folder), joined():
        yield
