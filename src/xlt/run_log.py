"""A run's log, ``run.log`` in its folder, and the lines of a training in it, which the display of a goal reads again."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from xlt.layout import LOG

ASKED_FOR = "XLT_RUN_LOG"
"""The environment variable with which the display of a goal asks its runs to write their logs."""
WHEN = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
"""The time before a line of the log that is not a result or an error."""
LINE = re.compile(
    r"^(?P<title>\S.*): epoch (?P<epoch>\d+) of (?P<epochs>\d+), step (?P<step>\d+) of (?P<steps>\d+)"
    r"(, loss (?P<loss>\S+?))?(, development (?P<score>[\d.]+))?$"
)


class Progress(NamedTuple):
    """How far a training is: ``epoch`` counts from 1; ``score`` is the last development score, in percent."""

    title: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None = None
    score: float | None = None

    def __str__(self) -> str:
        line = f"{self.title}: epoch {self.epoch} of {self.epochs}, step {self.step} of {self.steps}"
        line += "" if self.loss is None else f", loss {self.loss:.3f}"
        return line + ("" if self.score is None else f", development {self.score:.2f}")


def parse(line: str) -> Progress | None:
    """The progress that a line of a log, without its time, tells; None where it tells none."""
    found = LINE.match(line)
    if found is None:
        return None
    epoch, epochs, step, steps = (int(found[name]) for name in ("epoch", "epochs", "step", "steps"))
    loss, score = (None if found[name] is None else float(found[name]) for name in ("loss", "score"))
    return Progress(found["title"], epoch, epochs, step, steps, loss, score)


def begin(folder: Path) -> None:
    """Send what this process and its children say to the folder's log, behind what is there, if a display asks for it.

    Where no terminal shows bars, lines take their place.
    """
    if os.environ.get(ASKED_FOR) and folder.is_dir():
        log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
    if not sys.stderr.isatty():
        logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
        logging.getLogger("xlt").setLevel(logging.INFO)
