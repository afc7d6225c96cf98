"""What the Slurm queue knows about this plan's jobs, and the file that says which job does what."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from xlt.errors import InputError
from xlt.files import digest, read_json, to_json, write_atomic

FOLDER = "slurm"
"""Below a plan's root: what was submitted, and a log per job."""


class Queued(NamedTuple):
    """One entry of the queue: Slurm's state (PENDING, RUNNING, ...), its reason, and the node."""

    state: str
    reason: str
    node: str


@dataclass
class Submitted:
    """The job (``12_3``: the fourth of array 12) that does each folder's work, and the one that collects each goal."""

    root: Path
    jobs: dict[str, str]
    collecting: dict[str, str]

    @classmethod
    def read(cls, root: Path) -> Submitted:
        """What was submitted for this plan so far."""
        path = root / FOLDER / "submitted.json"
        saved = read_json(path) if path.exists() else {"jobs": {}, "collecting": {}}
        return cls(root, saved["jobs"], saved["collecting"])

    def save(self) -> None:
        """Write it down, so that a second submission and ``make status`` know."""
        state = {"jobs": self.jobs, "collecting": self.collecting}
        write_atomic(self.root / FOLDER / "submitted.json", to_json(state))

    def log(self, folder: str) -> Path:
        """What the job of that folder wrote."""
        return self.root / FOLDER / f"{self.jobs[folder]}.log"


def job_name(root: Path) -> str:
    """The name of all jobs of one plan, by which they are found in the queue."""
    return f"xlt-{digest(str(root.resolve()))}"


def call(command: Sequence[str], text: str | None = None) -> str:
    """Standard output of one of Slurm's commands; its complaint in one line, if it has one."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError(f"expected Slurm's {command[0]} on PATH; run this on a host of the cluster") from None
    if done.returncode != 0:
        raise InputError(f"{command[0]}: {' '.join(done.stderr.split()) or f'exit status {done.returncode}'}")
    return done.stdout


def queue(root: Path) -> dict[str, Queued]:
    """The plan's jobs that wait or run, by job."""
    wanted = ["--user", str(os.getuid()), "--name", job_name(root)]
    lines = call(["squeue", "--noheader", "--array", *wanted, "--format", "%i|%T|%r|%N"]).splitlines()
    return {job: Queued(*rest) for job, *rest in (line.strip().split("|") for line in lines)}
