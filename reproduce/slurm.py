#!/usr/bin/env python3
"""Submit what a plan still has to run as Slurm job arrays, and collect the results: ``make table2 LAUNCH=slurm``.

Runs that are made from the same other runs form one array, which waits for exactly those (``afterok``). A job that was
pre-empted or lost its node goes back to the queue, and does what its run has not done yet. A last job writes the table.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from xlt.errors import InputError, exit_status
from xlt.locks import locked
from xlt.options import count
from xlt.planning.pending import Work, due
from xlt.planning.slurm_queue import FOLDER, Submitted, call, job_name, queue

LARGEST_ARRAY = 1000
"""Slurm's own default limit of an array is 1001 (MaxArraySize)."""


def script(commands: Sequence[str]) -> str:
    """A batch script: the array's n-th job does the n-th command."""
    cases = "\n".join(f"  {index}) exec {command} ;;" for index, command in enumerate(commands))
    return f'#!/bin/bash\ncase "$SLURM_ARRAY_TASK_ID" in\n{cases}\nesac\n'


def grouped(work: Iterable[Work]) -> list[list[Work]]:
    """Work with the same needs, in an order in which needs come first; no group is larger than an array may be."""
    groups: dict[tuple[tuple[str, ...], int], list[Work]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    for each in work:
        chunk = sizes.get(each.needs, 0) // LARGEST_ARRAY
        sizes[each.needs] = sizes.get(each.needs, 0) + 1
        groups.setdefault((each.needs, chunk), []).append(each)
    return in_order(list(groups.values()))


def in_order(groups: list[list[Work]]) -> list[list[Work]]:
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

    def array(self, group: list[Work]) -> None:
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


def submit(root: Path, make: Sequence[str], options: Sequence[str], threads: int, dry_run: bool) -> int:
    """Submit what is due and not in the queue yet; with nothing due, let make write the table here and now."""
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


def main() -> int:
    """Command line of the submission."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the plan, e.g. out/tiny/babel")
    parser.add_argument("--options", default="", help='options for sbatch, e.g. "--gres=gpu:1 --time=8:00:00"')
    parser.add_argument("--threads", type=count("--threads"), default=1, help="CPUs of each job")
    parser.add_argument("--dry-run", action="store_true", help="only show the arrays")
    parser.add_argument("--collect", action="store_true", help="what the last job does: write the table if all is done")
    parser.add_argument("make", nargs="+", help="arguments for make: -f <plan.mk> VARIABLE=value ... GOAL")
    options = parser.parse_args()
    if options.collect:
        return collect(options.make)
    with locked(
        options.root / ".slurm.lock", f"{options.root}: another submission of this plan is under way", wait=False
    ):
        own = shlex.split(options.options)
        return submit(options.root, options.make, own, options.threads, options.dry_run)


if __name__ == "__main__":
    sys.exit(exit_status(main))
