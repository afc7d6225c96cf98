"""How fast a machine computes, from the runs that finished on it or, without any, from a table; and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from xlt.config.benchmark import Strict, load_yaml, parse
from xlt.errors import InputError
from xlt.names import one_of
from xlt.planning.flops import Work

START_SECONDS = 6.0
"""Start-up, loading and writing of one run. Table 2 of the tiny profile: 40 runs in 371 s, two at a time, 499 s recorded."""
CORE = (35e9, 75e9)
"""Operations per second of one CPU core, training and prediction, when no run has been recorded: the rates of 266 runs of the
tiny profile (36 and 40 GFLOP/s) and nine of the pilot (32 and 74), on one machine."""
CORE_FACTOR = 2.3
"""Nineteen of twenty of these 275 runs took between 1 / factor and factor times what ``CORE`` says (docs/running.md)."""
SHARE_OF_PEAK = 0.3
"""Assumed, not measured: the part of a GPU's peak that training and prediction reach."""
GPU_STEP_SECONDS = (0.014, 0.025)
"""Counted, not measured: the host's time for a step, from the 2,600 to 2,900 operations that it gives a GPU for 12 layers and
the copies of a batch. The GPU computes meanwhile, so a step takes this long or its arithmetic, whichever is longer."""
GPU_FACTOR = 3.0
"""Assumed, not measured: the share of the peak lies between 0.1 and 0.9."""
ENOUGH = 10
"""Finished runs from which it is known how far an estimate is off."""


class Gpu(Strict):
    """A GPU: operations per second in bfloat16 at best, and memory in bytes.

    ``device``: part of the name that the provenance of a run has for it.
    """

    title: str
    device: str
    peak: float = Field(gt=0)
    memory: float = Field(gt=0)


@dataclass(frozen=True)
class Speed:
    """Operations per second of training and of prediction, seconds that a step takes at least, and how sure that is.

    ``factor``: nineteen of twenty runs take between 1 / factor and factor times the estimate. ``basis``: where it is from.
    """

    training: float
    prediction: float
    step: float
    factor: float
    basis: str

    def seconds(self, work: Work) -> float:
        """Estimated seconds of computing, start-up not included."""
        return max(work.training / self.training, work.steps * self.step) + work.prediction / self.prediction


def load_gpu(name: str, path: Path) -> Gpu:
    """The GPU of that name in ``configs/gpus.yaml``.

    Raises:
        InputError: there is none.
    """
    known = load_yaml(path)
    if name not in known:
        raise InputError(f"GPU: {one_of(known, name)}; add it to {path.name}")
    return parse(Gpu, known[name], path)


def gpu_speed(gpu: Gpu, done: Sequence[tuple[Work, float]] = ()) -> Speed:
    """What a GPU is assumed to do, scaled by the runs that finished on it, as (work, recorded seconds)."""
    rate, (least, most) = SHARE_OF_PEAK * gpu.peak, GPU_STEP_SECONDS
    step = math.sqrt(least * most)
    basis = (
        f"FLOP model only, within a factor of {GPU_FACTOR:g} if its assumptions hold: bfloat16 at "
        f"{100 * SHARE_OF_PEAK:.0f} % of the {gpu.title}'s {gpu.peak / 1e12:g} TFLOP/s, and no step of training faster "
        f"than the host's {1000 * step:.0f} ms ({1000 * least:.0f} to {1000 * most:.0f}, counted, not measured); "
        "no GPU was measured"
    )
    assumed = Speed(rate, rate, step, GPU_FACTOR, basis)
    return (
        scaled(assumed, done, f"FLOP model scaled by {len(done)} runs that finished on this GPU") if done else assumed
    )


def scaled(guess: Speed, done: Sequence[tuple[Work, float]], basis: str) -> Speed:
    """A guess that gives finished runs together the time they took; how far off it is for each, once they are enough."""
    ratio = sum(seconds for _, seconds in done) / sum(guess.seconds(work) for work, _ in done)
    errors = [abs(math.log(seconds / (ratio * guess.seconds(work)))) for work, seconds in done]
    factor = guess.factor if len(done) < ENOUGH else float(math.exp(np.quantile(errors, 0.95)))
    told = f"{basis}, within a factor of {factor:.2g}"
    return Speed(guess.training / ratio, guess.prediction / ratio, guess.step * ratio, factor, told)


def cpu_speed(done: Sequence[tuple[Work, float]], threads: int) -> Speed:
    """What a core is known to do, scaled by the runs that finished, as (work, recorded seconds)."""
    basis = (
        f"FLOP model only, within a factor of {CORE_FACTOR:g} on the CPU it was measured on; no run has finished yet"
    )
    guess = Speed(CORE[0] * threads, CORE[1] * threads, 0.0, CORE_FACTOR, basis)
    return scaled(guess, done, f"FLOP model scaled by {len(done)} finished runs") if done else guess
