"""The scripts of ``reproduce/`` in the tests' own process: to start one and import what it needs takes seconds each time."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from xlt.errors import exit_status

REPRODUCE = Path(__file__).resolve().parents[1] / "reproduce"
UNSEEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""The warnings that Python does not show of itself."""


def call(name: str, *arguments: str | Path, at: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``python reproduce/<name>.py ARGUMENTS`` in the folder ``at``: what it says, warnings too, and its exit status."""
    out, err = io.StringIO(), io.StringIO()
    command = [f"{name}.py", *map(str, arguments)]
    with (
        contextlib.chdir(at or Path.cwd()),
        _called(command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("default")
        for category in UNSEEN:
            warnings.simplefilter("ignore", category)
        try:
            status: int = exit_status(_main(name))
        except SystemExit as end:  # argparse
            status = int(end.code or 0)
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue() + "".join(map(str, told)))


@contextlib.contextmanager
def _called(command: list[str]) -> Iterator[None]:
    """The command line, and where the scripts find each other; last, since their tabulate.py must hide no package."""
    path, given = list(sys.path), sys.argv
    sys.path.append(str(REPRODUCE))
    sys.argv = command
    try:
        yield
    finally:
        sys.path[:], sys.argv = path, given


@functools.cache
def _main(name: str) -> Callable[[], int | None]:
    """A script's ``main``. The file is named, for a module ``tabulate`` there is elsewhere."""
    spec = importlib.util.spec_from_file_location(f"reproduce.{name}", REPRODUCE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    path = list(sys.path)
    sys.path.insert(0, "")  # the scripts replace the first entry
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = path
    main: Callable[[], int | None] = module.main
    return main
