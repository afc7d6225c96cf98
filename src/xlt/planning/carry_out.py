"""Carry out a goal of a plan: make runs what is due, one display shows all of it, and an error is the last thing said."""

from __future__ import annotations

import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xlt.errors import Interrupted
from xlt.planning.display import Display
from xlt.planning.goal import Goal, GoalRun
from xlt.planning.pending import STEP, due, planned
from xlt.run_log import ASKED_FOR

SECONDS_BETWEEN_LOOKS = 0.5
MAKE = re.compile(r"make(\[\d+\])?: ")
"""What begins a line of make's own."""
FAILED = re.compile(r"\*\*\* \[(.*: )?(?P<target>\S+)\] (?P<how>.+)$")
"""What it says of a command that failed: ``*** [plan.mk:57: runs/x/scores.json] Error 2``."""


@dataclass
class Watch:
    """A goal that make carries out, with its display; ``errors`` are what is said last."""

    goal: Goal
    display: Display
    errors: list[str] = field(default_factory=list)
    stopped: str = ""
    """What make said first of why it stopped."""

    def hear(self, line: str) -> None:
        """A line of make or of a command that has no log."""
        if (step := STEP.search(line)) and (run := self.goal.runs.get(step["folder"])):
            run.begin()
            self.display.begun(run)
        elif MAKE.match(line):
            failed = FAILED.search(line)
            if failed and (owner := self.goal.owner(failed["target"])) is not None:
                self.fail(owner, failed["how"])
            elif "***" in line and not line.endswith("...."):
                self.stopped = self.stopped or line
        elif line.startswith("error: "):
            self.errors.append(line)
        elif line and " reproduce/" not in line:
            self.display.say(line)

    def fail(self, run: GoalRun, how: str) -> None:
        """A run has failed, with what make says of it."""
        run.fail(how)
        self.display.ended(run)
        self.errors.append(f"error: {run.folder}: {run.said}; its log: {run.log}")

    def look(self, over: bool) -> None:
        """See how far the runs are. ``over``: make has ended."""
        for run in self.goal.of("running"):
            if run.look(over):
                self.display.ended(run)
        self.display.refresh()


def carry_out(root: Path, make: Sequence[str], workers: int, estimate: str | None, relative: bool) -> int:
    """Let make carry out a goal and show it.

    Args:
        root: the folder of the plan.
        make: arguments for make, the goal last.
        workers: runs at a time.
        estimate: the command that prints the seconds of a goal's runs as JSON, without the goal.
        relative: those seconds are of another machine.

    Returns:
        make's exit status.

    Raises:
        InputError: the plan has no such goal.
        Interrupted: a signal asked to stop; the runs have ended.
    """
    results = {folder: Path(target) for target, folder in planned(make).items()}
    runs = {work.folder: GoalRun(Path(work.folder), results[work.folder]) for work in due(make)}
    goal = Goal(make[-1], runs, len(results) - len(runs), workers, relative)
    estimating = _start([*shlex.split(estimate), make[-1]], stderr=subprocess.DEVNULL) if estimate and runs else None
    watch = Watch(goal, Display(goal))
    process = _start(["make", *make], stderr=subprocess.STDOUT, env={**os.environ, ASKED_FOR: "1"}, close_fds=False)
    try:
        for line in _lines(process):
            watch.look(over=process.poll() is not None)
            if line is not None:
                watch.hear(line.rstrip())
            if estimating is not None and estimating.poll() is not None:
                goal.estimate(_seconds(estimating), root)
                estimating = None
    except KeyboardInterrupt as error:
        watch.display.close()
        if isinstance(error, Interrupted) and error.number != signal.SIGINT:
            process.terminate()  # Ctrl-C reaches the runs by itself
        print("stopping: each run writes a checkpoint", flush=True)
        process.wait()
        raise
    finally:
        watch.display.close()
    status = process.wait()
    for line in watch.errors or [f"error: {watch.stopped}"] * (status != 0):
        print(line, file=sys.stderr, flush=True)
    return status


def _start(command: Sequence[str], **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace", **options)  # type: ignore[call-overload,no-any-return]


def _seconds(estimating: subprocess.Popen[str]) -> dict[str, float]:
    """The estimates by folder; none where it failed: the goal is carried out without."""
    said = estimating.communicate()[0]
    return json.loads(said) if estimating.returncode == 0 else {}


def _lines(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """What a process says, and None twice a second where it says nothing, until it has ended."""
    heard: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        for line in process.stdout or ():
            heard.put(line)
        heard.put(None)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    while True:
        try:
            line = heard.get(timeout=SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            yield None
            continue
        if line is None:
            break
        yield line
    process.wait()
    yield None  # a last look
