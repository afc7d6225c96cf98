"""What a plan still has to run as Slurm job arrays: their submission, and what the queue knows about them.

Runs that are made from the same other runs form one array, which waits for exactly those (``afterok``). A job that was
pre-empted or lost its node goes back to the queue, and does what its run has not done yet. A last job writes the table.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from xlt.errors import InputError
from xlt.files import digest, read_json, to_json, write_atomic
from xlt.locks import locked
from xlt.planning.pending import PendingWork, due

LARGEST_ARRAY = 1000
"""Slurm's own default limit of an array is 1001 (MaxArraySize)."""
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


def script(commands: Sequence[str]) -> str:
    """A batch script: the array's n-th job does the n-th command."""
    cases = "\n".join(f"  {index}) exec {command} ;;" for index, command in enumerate(commands))
    return f'#!/bin/bash\ncase "$SLURM_ARRAY_TASK_ID" in\n{cases}\nesac\n'


def grouped(work: Iterable[PendingWork]) -> list[list[PendingWork]]:
    """Work with the same needs, in an order in which needs come first; no group is larger than an array may be."""
    groups: dict[tuple[tuple[str, ...], int], list[PendingWork]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    for each in work:
        chunk = sizes.get(each.needs, 0) // LARGEST_ARRAY
        sizes[each.needs] = sizes.get(each.needs, 0) + 1
        groups.setdefault((each.needs, chunk), []).append(each)
    return in_order(list(groups.values()))


def in_order(groups: list[list[PendingWork]]) -> list[list[PendingWork]]:
    """Groups so that each comes after those that have what it needs."""
    waiting, ordered = groups, []
    while waiting:
        later = {each.folder for group in waiting for each in group}
        ready = [group for group in waiting if not later & set(group[0].needs)]
        if not ready:
            raise InputError(f"expected runs that can be put in order, got a circle: {', '.join(sorted(later))}")
        ordered += ready
        waiting = [group for group in waiting if group not in ready]
    return ordered


class Submission:
    """One call's jobs: ``options`` are the user's own for sbatch, ``threads`` the CPUs of each job."""

    def __init__(self, root: Path, options: Sequence[str], threads: int) -> None:
        self.known = Submitted.read(root)
        self.root, self.options = root, options
        self.threads = threads
        self.name = job_name(root)

    def sbatch(self, more: Sequence[str], text: str, dependency: str | None) -> str:
        """Submit one script; the job's number."""
        after = [] if dependency is None else [f"--dependency={dependency}"]
        common = ["--parsable", f"--job-name={self.name}", "--requeue", "--open-mode=append"]
        cpus = ["--ntasks=1", f"--cpus-per-task={self.threads}"]
        answer = call(["sbatch", *common, *cpus, *more, *after, *self.options], text)
        return answer.strip().split(";")[0]  # "12" or, on a federation, "12;cluster"

    def array(self, group: list[PendingWork]) -> None:
        """Submit one group and note which job does what."""
        needs = [self.known.jobs[need] for need in group[0].needs]
        dependency = "afterok:" + ":".join(needs) if needs else None
        where = [f"--array=0-{len(group) - 1}", f"--output={self.root / FOLDER}/%A_%a.log", "--kill-on-invalid-dep=yes"]
        number = self.sbatch(where, script([each.command for each in group]), dependency)
        self.known.jobs |= {each.folder: f"{number}_{index}" for index, each in enumerate(group)}
        self.known.save()
        print(f"job {number}: {len(group)} run(s)" + (f", after {' '.join(needs)}" if needs else ""))

    def collector(self, goal: str, command: str, after: Sequence[str]) -> None:
        """Submit the job that writes the table when all others have ended, one way or the other."""
        where = [f"--output={self.root / FOLDER}/%j.log"]
        arrays = dict.fromkeys(job.split("_")[0] for job in after)
        number = self.sbatch(where, f"#!/bin/bash\nexec {command}\n", "afterany:" + ":".join(arrays))
        self.known.collecting[goal] = number
        self.known.save()
        print(f"job {number}: {goal}, after all of them; its log: {self.root / FOLDER}/{number}.log")


def submit(root: Path, make: Sequence[str], options: str, threads: int, dry_run: bool) -> int:
    """Submit what is due and not in the queue yet; with nothing due, let make write the table here and now.

    Args:
        root: the folder of the plan.
        make: arguments for make, the goal last.
        options: the user's own for sbatch, as on a command line.
        threads: CPUs of each job.
        dry_run: only show the arrays.

    Returns:
        The exit status.
    """
    with locked(root / ".slurm.lock", f"{root}: another submission of this plan is under way", wait=False):
        return _submit(root, make, shlex.split(options), threads, dry_run)


def _submit(root: Path, make: Sequence[str], options: Sequence[str], threads: int, dry_run: bool) -> int:
    work = due(make)
    if dry_run:
        for group in grouped(work):
            needs = f", after {' '.join(group[0].needs)}" if group[0].needs else ""
            print("\n".join([f"# an array of {len(group)}{needs}", *(each.command for each in group)]))
        return 0
    if not work:
        return subprocess.run(["make", *make], check=False).returncode
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    submission = Submission(root, options, threads)
    known, active = submission.known, queue(root)
    new = [each for each in work if known.jobs.get(each.folder) not in active]
    for group in grouped(new):
        submission.array(group)
    goal, before = make[-1], known.collecting.get(make[-1])
    if before in active:
        if not new:
            print(f"{goal}: all {len(work)} run(s) that are left are in the queue already; make status shows them")
            return 0
        call(["scancel", str(before)])
    again = [sys.executable, "reproduce/slurm.py", "--root", str(root), "--collect", "--", *make]
    submission.collector(goal, shlex.join(again), [known.jobs[each.folder] for each in work])
    return 0


def collect(make: Sequence[str]) -> int:
    """Let make write the table, unless runs are missing: those are named, not made again here."""
    left = due(make)
    if left:
        names = ", ".join(each.folder for each in left)
        raise InputError(f"{make[-1]}: {len(left)} run(s) ended without a result (make status says why): {names}")
    return subprocess.run(["make", *make], check=False).returncode
