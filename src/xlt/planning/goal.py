"""The runs of a goal while make carries it out: which wait, run and are done, how far each is, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xlt.files import read_json
from xlt.layout import FAILURE, LOG
from xlt.run_log import WHEN, Progress, parse

TAIL = 4096
"""Bytes at the end of a log that are looked at."""
GRACE = 5.0
"""Seconds a run may take to say its last line after it wrote its result."""


@dataclass
class GoalRun:
    """A run or job that is due: its ``folder``, the file it ends with, and what is known of it.

    ``estimate``: seconds, from the plan; ``begun`` and ``seconds``: when it began and how long it took.
    """

    folder: Path
    result: Path
    state: str = "waiting"
    estimate: float | None = None
    begun: float = 0.0
    seconds: float = 0.0
    progress: Progress | None = None
    said: str = ""

    def __post_init__(self) -> None:
        """Note an older result and what the log holds of earlier times."""
        self.older, self.skip = changed(self.result), self.log.stat().st_size if self.log.exists() else 0

    @property
    def log(self) -> Path:
        """Where its detail is."""
        return self.folder / LOG

    def begin(self) -> None:
        """make has started it."""
        self.state, self.begun = "running", time.monotonic()

    def look(self, over: bool) -> bool:
        """Read its log and see whether it has its result; whether it has ended just now. ``over``: make has ended."""
        for line in self._lines():
            self.said, self.progress = line, parse(line) or self.progress
        ended = changed(self.result)
        if ended in (None, self.older):
            return False
        last = f"{self.folder}: "  # its last line begins so
        if not self.said.startswith(last) and time.time() - ended / 1e9 < GRACE and not over:
            return False
        self.said = self.said.removeprefix(last) if self.said.startswith(last) else "done"
        self.state, self.seconds = "done", time.monotonic() - self.begun
        return True

    def _lines(self) -> list[str]:
        try:
            with self.log.open("rb") as handle:
                size = handle.seek(0, 2)
                handle.seek(max(self.skip, size - TAIL))
                text = handle.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return [untimed for line in text.splitlines() if (untimed := WHEN.sub("", line).strip())]

    def fail(self, how: str) -> None:
        """make says that its command failed, with ``how``, e.g. ``Error 2`` or ``Killed``."""
        self.state, self.seconds = "failed", time.monotonic() - self.begun
        lines, note = self._lines(), self.folder / FAILURE
        errors = [line for line in lines if line.startswith(("error: ", "interrupted "))]
        if errors:
            self.said = errors[-1].removeprefix("error: ")
        elif note.exists():
            self.said = str(read_json(note)["message"])
        else:
            self.said = f"ended with {how!r}" + (f" after: {lines[-1]}" if lines else " without a word")


def changed(path: Path) -> int | None:
    """When a file was written, in nanoseconds; None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


@dataclass
class Goal:
    """A goal: its name, what is due by folder, how many runs and jobs were done before, and how many run at a time.

    ``relative``: the estimates are of another machine and only say how runs compare.
    """

    name: str
    runs: Mapping[str, GoalRun]
    before: int
    workers: int
    relative: bool = False

    def of(self, state: str) -> list[GoalRun]:
        """The runs in a state: waiting, running, done or failed."""
        return [run for run in self.runs.values() if run.state == state]

    def owner(self, target: str) -> GoalRun | None:
        """The run whose result a target of make is."""
        return next((run for run in self.runs.values() if str(run.result) == target), None)

    def estimate(self, seconds: Mapping[str, float], root: Path) -> None:
        """Take the plan's estimates, by folder below the root."""
        for folder, run in self.runs.items():
            run.estimate = seconds.get(str(Path(folder).relative_to(root)))

    def left(self) -> float | None:
        """Seconds that are left, from the estimates and, as runs finish, what they really took; None without either."""
        todo = [*self.of("running"), *self.of("waiting")]
        done = [run for run in self.of("done") if run.estimate]
        if any(run.estimate is None for run in todo) or (self.relative and not done):
            return None
        factor = sum(run.seconds for run in done) / sum(run.estimate or 0.0 for run in done) if done else 1.0
        now = time.monotonic()
        each = [
            max((run.estimate or 0.0) * factor - (now - run.begun if run.state == "running" else 0.0), 0.0)
            for run in todo
        ]
        return max(sum(each) / self.workers, max(each, default=0.0))

    def counts(self) -> str:
        """How many are done, run and wait, and the time that is left."""
        done, failed = self.before + len(self.of("done")), len(self.of("failed"))
        said = f"{done} of {self.before + len(self.runs)} done, {len(self.of('running'))} running, "
        said += f"{len(self.of('waiting'))} waiting" + (f", {failed} failed" if failed else "")
        left = self.left()
        return said if left is None or not (self.of("running") or self.of("waiting")) else f"{said}; {about(left)} left"


def about(seconds: float) -> str:
    """A time for people: seconds below a minute and a half, minutes below two hours, else hours."""
    if seconds < 90:
        return f"about {max(round(seconds / 10), 1) * 10} seconds"
    return f"about {seconds / 60:.0f} minutes" if seconds < 7200 else f"about {seconds / 3600:.1f} hours"
