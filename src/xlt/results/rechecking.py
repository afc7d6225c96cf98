"""A run trained again, held against the recorded runs of the same regime and recipe by the statistics of the verdicts."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlt.errors import InputError
from xlt.files import read_json
from xlt.layout import SCORES
from xlt.records import SUFFIX, contents, finished_in
from xlt.results.statistics import half_width, holm, prediction_scale, two_sided
from xlt.results.verdicts import INSIDE, OUTSIDE


@dataclass(frozen=True)
class Rechecked:
    """A metric of a task, its mean over languages in percent: recorded over ``seeds`` runs, and in the run trained again.

    ``tolerance``: half of the 95 % prediction interval; ``p``: adjusted for all that were compared together.
    """

    task: str
    metric: str
    seeds: int
    recorded: float
    anew: float
    tolerance: float
    p: float

    @property
    def agrees(self) -> bool:
        """Whether chance explains the difference."""
        return self.p >= 1 - OUTSIDE


def recheck(run: Path, records: Path) -> list[Rechecked]:
    """Compare a finished run with the recorded ones of its regime and recipe, the same seed among them.

    Another machine's run with the same seed differs by rounding that training amplifies, so it counts as another seed.

    Args:
        run: the folder of the run that was trained again, ``.../runs/<regime>/<recipe>/seed-<n>``.
        records: the folder of records of the same profile and model.

    Raises:
        InputError: no run of this regime and recipe is recorded.
    """
    folder = records / run.relative_to(run.parents[3]).parent
    found = [_scores(path) for path in sorted(folder.glob(f"seed-*{SUFFIX}")) if finished_in(path)]
    if not found:
        raise InputError("expected recorded runs; RUN is one of those below", folder)
    anew = read_json(run / SCORES)["tasks"]
    compared = [_compare(task, metric, found, anew) for task, entry in anew.items() for metric in entry["metrics"]]
    adjusted = holm([line.p for line in compared])
    return [Rechecked(**{**vars(line), "p": p}) for line, p in zip(compared, adjusted, strict=True)]


def _scores(record: Path) -> Mapping[str, Any]:
    return dict(json.loads(dict(contents(record))[SCORES])["tasks"])


def _compare(task: str, metric: str, recorded: list[Mapping[str, Any]], anew: Mapping[str, Any]) -> Rechecked:
    means = [statistics.fmean(scores[task]["metrics"][metric].values()) for scores in recorded]
    ours = statistics.fmean(anew[task]["metrics"][metric].values())
    std = statistics.stdev(means) if len(means) > 1 else None
    smallest = min(
        anew[task]["n"].values()
    )  # languages are translations of each other: together they say little more than one
    error, freedom = prediction_scale(1, None, len(means), std, ours / 100, smallest)
    mean = statistics.fmean(means)
    tolerance = half_width(error, freedom, INSIDE)
    return Rechecked(task, metric, len(means), mean, ours, tolerance, two_sided(ours - mean, error, freedom))
