"""Run a command on a GPU that no other run of this project has, waiting for one: what makes ``make -jN`` spread over GPUs.

A GPU is held by a lock on a file of its name; the system lets go of it when the command ends, however it ends.
"""

from __future__ import annotations

import csv
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from xlt.errors import InputError
from xlt.locks import lacks_locks

SECONDS_BETWEEN_TRIES = 0.5
EVERYONE = 0o666


def gpus(allowed: str | None) -> list[str]:
    """Unique names of the GPUs that may be used: all of this machine's, or those of CUDA_VISIBLE_DEVICES.

    Raises:
        InputError: there are none, or CUDA_VISIBLE_DEVICES names one that is not there.
    """
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"expected nvidia-smi to list this machine's GPUs: {error}") from None
    found = dict(csv.reader(listed.splitlines(), skipinitialspace=True))
    wanted = list(found) if allowed is None else [part.strip() for part in allowed.split(",") if part.strip()]
    names = [found.get(part, part) for part in wanted]
    missing = [name for name in names if name not in found.values()]
    if missing or not names:
        raise InputError(f"expected GPUs of this machine ({', '.join(found) or 'it has none'}), got {allowed!r}")
    return names


def opened(path: Path) -> int:
    """A lock file, open; another user's is not opened to be made, which Linux refuses in a folder like /tmp."""
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        lock = os.open(path, os.O_RDWR | os.O_CREAT)
        os.chmod(path, EVERYONE)  # whatever the umask: another user's run must be able to take the lock after this one
        return lock


def take(folder: Path, names: list[str], each: int, wanted: int = 1) -> list[str] | None:
    """Lock ``wanted`` of the GPUs, each of which ``each`` runs may have, for as long as this process lives.

    Returns:
        Their names, or None where so many are not free; then none is held, or two runs could wait for each other's.
    """
    held: dict[str, int] = {}
    for slot in range(each):
        for name in names:
            if name in held or len(held) == wanted:
                continue
            lock = opened(folder / f"{name}.{slot}")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            except OSError as error:
                if not lacks_locks(error):
                    raise
                raise InputError(
                    "no locks on this disk; set XLT_GPU_LOCKS to a folder on another one", folder
                ) from None
            held[name] = lock
    if len(held) < wanted:
        for lock in held.values():
            os.close(lock)
        return None
    for lock in held.values():
        os.set_inheritable(lock, True)  # the locks live on in the command that takes this process's place
    return list(held)


def lock_folder() -> Path:
    """Where the locks of this machine are, for every user."""
    folder = Path(os.environ.get("XLT_GPU_LOCKS") or Path(tempfile.gettempdir()) / "xlt-gpus")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return folder  # or another run made it just now
    folder.chmod(0o1777)
    return folder


def run_on_gpus(command: list[str], each: int, wanted: int) -> None:
    """Wait for so many GPUs, each of which ``each`` runs may have, and become the command.

    Raises:
        InputError: this machine has fewer, or the command cannot be run.
    """
    names, folder, waiting = gpus(os.environ.get("CUDA_VISIBLE_DEVICES")), lock_folder(), False
    if len(names) < wanted:
        raise InputError(f"expected {wanted} GPUs for one run, got {len(names)}; use fewer processes")
    while (taken := take(folder, names, each, wanted)) is None:
        if not waiting:
            why = f"all {len(names)} are taken" if wanted == 1 else f"no {wanted} of {len(names)} are free"
            print(f"waiting for a GPU: {why}", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(SECONDS_BETWEEN_TRIES)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        raise InputError(f"expected a command that can be run, got {command[0]}: {error.strerror}") from None
