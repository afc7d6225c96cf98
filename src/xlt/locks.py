"""Locks between processes: the system's own where the disk has them, else a file that says whose it is.

The system gives its lock back when a process ends, however it ends. A file does not go by itself: that of a dead process of
this host is taken over, that of another host is waited for, and the line about it says what to remove if nobody is there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlt.errors import InputError
from xlt.files import write_atomic

NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
"""What ``flock`` answers on a disk that has no locks."""
SECONDS_BETWEEN_TRIES = 0.5


@contextlib.contextmanager
def locked(path: Path, busy: str, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock ``path``, a file that stays. On a disk without locks ``path`` with ``.held`` behind it is the lock.

    ``busy``: what another holder does, e.g. "out/x: another process works on it". It is said with the holder's host and
    process before this one waits.

    Raises:
        InputError: not ``wait``, and somebody holds it.
        OSError: the file cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if _take(descriptor, path, busy, wait):
            with contextlib.suppress(OSError):  # a full disk: the name is for others to read, the lock is held
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _own().encode(), 0)
            yield
            return
        marker = path.with_name(f"{path.name}.held")
        _take_file(marker, busy, wait)
        try:
            yield
        finally:
            marker.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a child that was forked in the meantime
        os.close(descriptor)


def lacks_locks(error: OSError) -> bool:
    """Whether an error of ``flock`` says that the disk has no locks."""
    return error.errno in NO_LOCKS


def _take(descriptor: int, path: Path, busy: str, wait: bool) -> bool:
    """Take the system's lock; False: the disk has none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say(busy, _owner(path), wait)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if not lacks_locks(error):
            raise
        return False
    return True


def _take_file(marker: Path, busy: str, wait: bool) -> None:
    """Be the one who makes the file ``marker``."""
    said = False
    while not _made(marker):
        owner = _owner(marker)
        if _is_dead(owner) and _taken_over(marker):
            return
        if not said and marker.exists():
            _say(busy, owner, wait, f". If that process is over, remove {marker}")
            said = True
        time.sleep(SECONDS_BETWEEN_TRIES)


def _made(marker: Path) -> bool:
    try:
        descriptor = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_own())
    return True


def _taken_over(marker: Path) -> bool:
    """Put this process in the place of a dead one of this host, unless another process of this host just did."""
    name = hashlib.sha256(os.fsencode(marker.resolve())).hexdigest()[:16]
    guard = Path(tempfile.gettempdir()) / f"xlt-{os.getuid()}-{name}.lock"  # this host's own disk, which has locks
    with guard.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _is_dead(_owner(marker)):
            return False
        write_atomic(marker, _own())
    return True


def _say(busy: str, owner: dict[str, Any], wait: bool, advice: str = "") -> None:
    who = f"process {owner['pid']} on {owner['host']}" if owner else "of unknown name"
    if not wait:
        raise InputError(f"{busy} ({who}); wait for it to end{advice}")
    print(f"{busy} ({who}); waiting for it to end{advice}", file=sys.stderr, flush=True)


def _own() -> str:
    pid = os.getpid()
    return json.dumps({"host": platform.node(), "pids": _pids(), "pid": pid, "started": _started(pid)})


def _owner(path: Path) -> dict[str, Any]:
    """Whose lock it is, as that process wrote it; empty where it does not say."""
    try:
        owner = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) and {"host", "pids", "pid", "started"} <= owner.keys() else {}


def _is_dead(owner: dict[str, Any]) -> bool:
    """Whether the owner was a process of this host (and of this container) that has ended."""
    if not owner or (owner["host"], owner["pids"]) != (platform.node(), _pids()):
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        pass
    return _started(owner["pid"]) != owner["started"]  # a later process has its number


def _pids() -> str | None:
    """Where process numbers are counted: containers may share the name of their host and count their own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process started, in the system's clock ticks (proc(5), field 22 of stat); None: the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return None
