"""A finished folder of the generated world, made once more by a Slurm cluster of two nodes on loopback, of which one dies.

    python tests/slurm_world.py --compare out --out /tmp/there -- make table2 PROFILE=tiny LAUNCH=slurm

copies the data and the encoder of ``--compare`` to ``--out``, runs the command with OUT set to that folder, kills a node and
its job once a part of the runs is done, brings the node back, waits for the end, and compares weights, predictions, scores
and tables with those of ``--compare``, byte for byte. Needs root and Slurm. Exit status 1 if anything differs or is missing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slurm_cluster import Cluster, cluster, missing

from xlt.files import read_json, sha256_file

ROOT = Path(__file__).resolve().parents[1]

REQUEUED = re.compile(r"^\[[^]]*\] (.*\b[Rr]equeue.*)$", re.MULTILINE)
COMPARED = ("scores.json", "weights.safetensors", "predictions/**/*", "labels/**/*")
"""The files of a run that must be equal; provenance and costs hold times."""
STEP = 2.0
"""Seconds between two looks at the queue."""


@dataclass
class Watch:
    """The runs that were submitted, by job, and what happened to them."""

    slurm: Cluster
    jobs: dict[str, Path]
    events: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Print and keep something that happened, with the seconds since the submission."""
        self.events.append(f"{time.monotonic() - self.started:6.0f} s  {text}")
        print(self.events[-1], flush=True)

    def done(self) -> int:
        """How many runs have their scores."""
        return sum((folder / "scores.json").exists() for folder in self.jobs.values())

    def queue(self) -> dict[str, tuple[str, str, str]]:
        """State, reason and node of every job in the queue."""
        answer = self.slurm.call("squeue", "--noheader", "--array", "--format=%i|%T|%r|%N")
        return {job: (state, reason, node) for job, state, reason, node in (r.split("|") for r in answer.splitlines())}

    def wait_until_done(self, part: float) -> tuple[str, str]:
        """Wait until so many of the runs are done and one runs that is not; that one's job and node."""
        while True:
            queue = self.queue()
            if self.done() >= part * len(self.jobs):
                for job, (state, _, node) in queue.items():
                    if state == "RUNNING" and job in self.jobs and not (self.jobs[job] / "scores.json").exists():
                        return job, node
            if not queue:
                raise SystemExit("every job ended before the node could be killed; take a smaller --kill-at")
            time.sleep(STEP / 10)

    def kill(self, part: float, down: float) -> None:
        """Kill the node of a running job once ``part`` of the runs are done, and bring it back ``down`` seconds later."""
        job, node = self.wait_until_done(part)
        time.sleep(STEP)  # into its training
        self.slurm.kill_node(node)
        self.say(f"{self.done()} of {len(self.jobs)} runs done; node {node} killed under job {job}: {self.jobs[job]}")
        time.sleep(down)
        self.slurm.start(node, "slurmd", "-c", "-D", "-N", node)
        self.say(f"node {node} is back")

    def wait(self) -> None:
        """Wait until the queue is empty, and note every job that went back from running to waiting."""
        running: set[str] = set()
        while queue := self.queue():
            for job in sorted(running):
                if job in queue and queue[job][0] == "PENDING":
                    self.say(f"job {job} waits again: {queue[job][1]}")
            running = {job for job, (state, _, _) in queue.items() if state == "RUNNING"}
            time.sleep(STEP)
        self.say(f"the queue is empty; {self.done()} of {len(self.jobs)} runs done")


def copy_world(there: Path, here: Path) -> None:
    """The data and the encoder of ``here``, newer than the code that makes them, so that make leaves them alone."""
    for name, stamp in (("tiny/data", "babel.stamp.json"), ("cache/babel", "prepared.json")):
        shutil.copytree(here / name, there / name)
        (there / name / stamp).touch()


def submit(command: list[str], slurm: Cluster, out: Path) -> Path:
    """Run the command, which submits the runs and returns; the root folder of the plan."""
    subprocess.run([*command, f"OUT={out}", "THREADS=1"], cwd=ROOT, env=slurm.environment, check=True)
    (submitted,) = out.glob("*/*/slurm/submitted.json")
    return submitted.parents[1]


def differences(there: Path, here: Path, runs: list[Path]) -> Iterator[str]:
    """Files of the runs and scores of the tables in ``there`` that ``here`` has otherwise or not, as lines to print."""
    files = {path for run in runs for pattern in COMPARED for path in (there / run).glob(pattern) if path.is_file()}
    files |= set((there / "tables").glob("*.csv"))
    for run in runs:
        if not {there / run / "scores.json", there / run / "weights.safetensors"} <= files:
            yield f"{run}: did not finish"
    if not list((there / "tables").glob("*.csv")):
        yield "tables: none was written"
    for path in sorted(files):
        name = path.relative_to(there)
        if not (here / name).exists():
            yield f"{name}: not in {here}"
        elif sha256_file(path) != sha256_file(here / name):
            yield f"{name}: differs"


def main() -> int:
    """Copy, submit, kill, wait, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", type=Path, required=True, help="OUT of a finished local run of the same command")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--kill-at", type=float, default=0.5, help="part of the runs done when a node dies (0.5)")
    parser.add_argument("--down", type=float, default=30.0, help="seconds until the node is back (30)")
    parser.add_argument("command", nargs="+", help="after --: make ... LAUNCH=slurm")
    options = parser.parse_args()
    here, out = options.compare.resolve(), options.out.resolve()
    if missing() is not None:
        parser.error(str(missing()))
    if out.exists():
        parser.error(f"{out}: expected a folder that is not there yet")
    copy_world(out, here)
    with cluster() as slurm:
        root = submit(options.command, slurm, out)
        submitted = read_json(root / "slurm" / "submitted.json")["jobs"].items()
        jobs = {job: Path(folder) for folder, job in submitted if root / "runs" in Path(folder).parents}
        watch = Watch(slurm, jobs)
        watch.say(f"{len(jobs)} runs submitted")
        watch.kill(options.kill_at, options.down)
        watch.wait()
        requeued = REQUEUED.findall((slurm.folder / "slurmctld.log").read_text(encoding="utf-8"))
    runs = [folder.relative_to(root) for folder in jobs.values()]
    provenances = [
        read_json(root / run / "provenance.json") for run in runs if (root / run / "provenance.json").exists()
    ]
    found = list(differences(root, here / root.relative_to(out), runs))
    print("\n".join(["", *watch.events, "", "Slurm's own words:", *(f"  {line}" for line in requeued), "", *found]))
    resumed = sum(each["resumed"] > 0 for each in provenances)
    print(f"{len(runs)} runs, {resumed} resumed from a checkpoint; {len(requeued)} lines of Slurm's about requeueing")
    print(f"{len(found)} differences from {here}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
