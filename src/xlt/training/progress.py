"""How far a training is: a bar on a terminal, elsewhere a line of the log at each epoch and twice a minute."""

from __future__ import annotations

import logging
import math
import time

from tqdm import tqdm

from xlt.modeling.distributed import is_main_process
from xlt.run_log import Progress

SECONDS = 30.0
"""Between two lines of the log within an epoch."""
_log = logging.getLogger(__name__)


class TrainingProgress:
    """Tells the steps and epochs of a training; ``begun`` says how far an earlier process came."""

    def __init__(self, begun: Progress) -> None:
        self.now = begun
        self.told = -math.inf
        quiet = None if is_main_process() else True  # None: without a terminal
        self.bar = tqdm(
            total=begun.steps,
            initial=begun.step,
            desc=begun.title,
            unit="step",
            mininterval=2.0,
            dynamic_ncols=True,
            disable=quiet,
        )
        self._tell()

    def step(self, epoch: int, done: int, loss: float) -> None:
        """A step was taken; ``epoch`` counts from 0."""
        self.now = self.now._replace(epoch=epoch + 1, step=done, loss=loss)
        self.bar.set_postfix(epoch=epoch + 1, loss=f"{loss:.3f}", refresh=False)
        self.bar.update()
        if time.monotonic() - self.told >= SECONDS:
            self._tell()

    def end_epoch(self, score: float | None) -> None:
        """An epoch ended with this mean development score in percent."""
        self.now = self.now._replace(score=score)
        self._tell()

    def _tell(self) -> None:
        self.told = time.monotonic()
        _log.info("%s", self.now)
