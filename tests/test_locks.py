"""A lock says whose it is, is never held by the dead, and works where the disk has none."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from xlt import locks
from xlt.errors import InputError
from xlt.locks import locked


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that has no locks; this host's own, where the temporary files are, has them."""
    real = fcntl.flock

    def flock(file: Any, operation: int) -> None:
        name = Path(f"/proc/self/fd/{file if isinstance(file, int) else file.fileno()}").readlink().name
        if not name.startswith("xlt-"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        real(file, operation)

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_TRIES", 0.01)


def left_by(marker: Path, **changes: Any) -> dict[str, Any]:
    """A lock as this very process would write it, but for ``changes``."""
    owner = json.loads(locks._own()) | changes
    marker.write_text(json.dumps(owner), encoding="utf-8")
    return owner


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_file_that_was_copied_along_holds_nobody_up(tmp_path: Path, capsys: Any) -> None:
    left_by(tmp_path / ".lock", host="elsewhere")
    with locked(tmp_path / ".lock", "busy", wait=False):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert capsys.readouterr().err == ""


def test_who_holds_it_is_named(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock", "busy"), pytest.raises(InputError) as caught:  # noqa: SIM117
        with locked(tmp_path / ".lock", "x: another process works on it", wait=False):
            pytest.fail("it is held")
    who = f"process {os.getpid()} on {platform.node()}"
    assert str(caught.value) == f"x: another process works on it ({who}); wait for it to end"


@pytest.mark.usefixtures("no_locks")
class TestWithoutLocksOfTheDisk:
    def test_a_file_is_the_lock_and_goes_with_it(self, tmp_path: Path) -> None:
        marker = tmp_path / ".lock.held"
        with locked(tmp_path / ".lock", "busy"):
            assert json.loads(marker.read_text())["pid"] == os.getpid()
            held = rf"busy \(process {os.getpid()} on .*remove {marker}"
            with pytest.raises(InputError, match=held):  # noqa: SIM117
                with locked(tmp_path / ".lock", "busy", wait=False):
                    pytest.fail("it is held")
        assert not marker.exists()

    @pytest.mark.parametrize("reused", [False, True])
    def test_that_of_a_dead_process_of_this_host_is_taken_over(self, tmp_path: Path, capsys: Any, reused: bool) -> None:
        marker = tmp_path / ".lock.held"
        left_by(marker, **({"started": "0"} if reused else {"pid": ended_process()}))
        with locked(tmp_path / ".lock", "busy"):
            assert json.loads(marker.read_text()) == json.loads(locks._own())
        assert not marker.exists() and capsys.readouterr().err == ""

    @pytest.mark.parametrize("elsewhere", [{"host": "node7"}, {"pids": "pid:[1]"}])  # another host; another container
    def test_that_of_another_host_is_waited_for_and_the_way_out_is_said(
        self, tmp_path: Path, capsys: Any, elsewhere: dict[str, str]
    ) -> None:
        marker = tmp_path / ".lock.held"
        owner = left_by(marker, pid=ended_process(), **elsewhere)
        threading.Thread(target=lambda: (time.sleep(0.2), marker.unlink())).start()
        with locked(tmp_path / ".lock", "busy"):
            assert json.loads(marker.read_text())["pid"] == os.getpid()
        said = f"busy (process {owner['pid']} on {owner['host']}); waiting for it to end. "
        assert capsys.readouterr().err == f"{said}If that process is over, remove {marker}\n"
