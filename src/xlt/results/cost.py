"""What a regime costs: trained parameters, wall time and peak memory, from the provenance of its runs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xlt.results.run_folders import RegimeRuns, seed_of


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a regime. Times are seconds per seed (mean over seeds), summed over its runs; None if untimed.

    ``trained`` is the largest number of trained parameters of a run (runs differ in their heads only) and ``share`` its
    part of that run's parameters. ``intermediate`` is the training time of the intermediate runs it starts from, whole
    even where another regime uses the same run (those are in ``shared``). ``runs`` counts finished and planned runs.
    """

    trained: int
    share: float
    train: float | None
    predict: float | None
    intermediate: float | None
    shared: tuple[str, ...]
    peak_memory: int | None
    runs: tuple[int, int]


def _per_seed(seconds: Iterable[tuple[int | None, float | None]]) -> float | None:
    """Sum by seed, then mean over seeds; None when nothing was timed."""
    sums: dict[int | None, float] = defaultdict(float)
    for seed, value in seconds:
        if value is not None:
            sums[seed] += value
    return statistics.fmean(sums.values()) if sums else None


def cost(regime: RegimeRuns, others: Mapping[str, RegimeRuns]) -> Cost | None:
    """The cost of ``regime``; None when none of its runs finished. ``others`` are all regimes, by name."""
    done = [(run.planned.seed, run.provenance) for run in regime.finished]
    if not done:
        return None
    upstream = [(seed_of(folder), made) for folder, made in regime.upstream.items() if made is not None]
    users = {
        folder: name
        for name, other in others.items()
        if name != regime.name
        for folder in (*other.upstream, *(run.planned.dir for run in other.runs))
    }
    largest = max((provenance for _, provenance in done), key=lambda provenance: provenance.trainable_parameters)
    memory = [provenance.peak_memory_bytes for _, provenance in done if provenance.peak_memory_bytes is not None]
    return Cost(
        trained=largest.trainable_parameters,
        share=largest.trainable_parameters / largest.total_parameters,
        train=_per_seed((seed, made.wall_seconds.train) for seed, made in done),
        predict=_per_seed((seed, made.wall_seconds.predict) for seed, made in done),
        intermediate=_per_seed((seed, made.wall_seconds.train) for seed, made in upstream),
        shared=tuple(sorted({users[folder] for folder in regime.upstream if folder in users})),
        peak_memory=max(memory, default=None),
        runs=(len(done), len(regime.runs)),
    )
