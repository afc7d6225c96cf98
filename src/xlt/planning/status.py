"""Which runs of a table or regime are done, run, wait or failed, and why: ``make status TABLE=table2``."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from xlt.files import read_json
from xlt.layout import FAILURE
from xlt.planning.pending import PendingWork, due, planned
from xlt.planning.slurm import Queued, Submitted, queue

STATES = ("done", "running", "queued", "failed", "to do")


class RunState(NamedTuple):
    """One run's state, one of STATES, and what there is to say about it."""

    word: str
    why: str = ""


def last_line(log: Path) -> str | None:
    """The last line a job wrote, where Slurm itself says so when it ended the job."""
    if not log.exists():
        return None
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "ended without a word"


def state_of(
    work: PendingWork, submitted: Submitted, active: Mapping[str, Queued], before: Mapping[str, RunState]
) -> RunState:
    """The state of one run that is not done; ``before`` has those it is made from."""
    job = submitted.jobs.get(work.folder)
    if job is not None and job in active:
        entry = active[job]
        if entry.state == "PENDING":
            return RunState("queued", f"job {job}: {entry.reason}")
        return RunState(
            "running", f"job {job} on {entry.node or '?'}" + f", {entry.state}" * (entry.state != "RUNNING")
        )
    failure = Path(work.folder) / FAILURE
    if failure.exists():
        return RunState("failed", str(read_json(failure)["message"]))
    broken = [need for need in work.needs if before[need].word == "failed"]
    if broken:
        return RunState("to do", f"made from {', '.join(broken)}, which failed")
    said = None if job is None else last_line(submitted.log(work.folder))
    return RunState("to do") if said is None else RunState("failed", f"job {job} ended without a result: {said}")


def states(root: Path, make: Sequence[str]) -> dict[str, RunState]:
    """The state of every run and job of the goal, by folder."""
    submitted = Submitted.read(root)
    active = queue(root) if submitted.jobs and shutil.which("squeue") else {}
    found = {folder: RunState("done") for folder in planned(make).values()}
    for work in due(make):
        found[work.folder] = state_of(work, submitted, active, found)
    return found


def report(goal: str, found: Mapping[str, RunState]) -> str:
    """One line with the counts, then a line for each run that is not done."""
    counts = Counter(state.word for state in found.values())
    lines = [f"{goal}: {len(found)} runs: " + ", ".join(f"{counts[word]} {word}" for word in STATES)]
    for word in STATES[1:]:
        lines += [f"  {word:8} {folder}  {state.why}".rstrip() for folder, state in found.items() if state.word == word]
    return "\n".join(lines)
