"""Times of several ways to do the same thing, taken in turn, and what one is as a multiple of another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from xlt.bench.settings import Rounds
from xlt.files import peak_memory_bytes


@dataclass(frozen=True, slots=True)
class Seconds:
    """Time on the clock and of the processor, all threads together."""

    clock: float
    processor: float


Way = Callable[[int], Seconds | None]
"""One way to do a thing, given the number of the round; it may take its own time, so that its preparation does not count."""


def timed(action: Callable[[], object]) -> Seconds:
    """How long ``action`` takes."""
    clock, processor = time.perf_counter(), time.process_time()
    action()
    return Seconds(time.perf_counter() - clock, time.process_time() - processor)


def in_turn(ways: Mapping[str, Way], size: Rounds) -> dict[str, list[Seconds]]:
    """Measure ``ways`` one after the other, round after round: what else the machine does falls on all of them.

    A round is not begun when one like the longest so far would end after ``size.seconds``; the first one always is.
    """
    times: dict[str, list[Seconds]] = {name: [] for name in ways}
    started, longest = time.perf_counter(), 0.0
    for number in range(size.rounds):
        begun = time.perf_counter()
        if number and begun - started + longest > size.seconds:
            break
        for name, way in ways.items():
            times[name].append(_measured(way, number))
        longest = max(longest, time.perf_counter() - begun)
    return times


def _measured(way: Way, number: int) -> Seconds:
    clock, processor = time.perf_counter(), time.process_time()
    own = way(number)
    return own or Seconds(time.perf_counter() - clock, time.process_time() - processor)


@dataclass(frozen=True, slots=True)
class Promise:
    """A figure and what is promised of it: ``at least`` or ``at most`` ``target``; None where nothing is promised.

    ``low`` and ``high``: the smallest and largest of its rounds. ``processor``: the same in processor time, as a control
    of a machine that others use too; None for what is counted and not timed.
    """

    name: str
    value: float
    low: float
    high: float
    bound: Literal["at least", "at most"]
    target: float | None
    processor: float | None = None
    unit: str = "x"

    @property
    def kept(self) -> bool | None:
        """Whether the figure is what was promised."""
        if self.target is None:
            return None
        return self.value >= self.target if self.bound == "at least" else self.value <= self.target


def ratio(
    name: str,
    over: list[Seconds],
    under: list[Seconds],
    bound: Literal["at least", "at most"],
    target: float | None,
) -> Promise:
    """The median over rounds of ``over`` / ``under``: rounds are pairs taken one right after the other."""
    clock = [a.clock / b.clock for a, b in zip(over, under, strict=True)]
    processor = [a.processor / max(b.processor, 1e-9) for a, b in zip(over, under, strict=True)]
    return Promise(
        name,
        statistics.median(clock),
        min(clock),
        max(clock),
        bound,
        target,
        statistics.median(processor),
    )


@dataclass(slots=True)
class Report:
    """What a part found: ``times`` by way, ``promises``, how far results ``agree``, and whatever else there is to say."""

    title: str
    times: dict[str, list[Seconds]] = field(default_factory=dict)
    promises: list[Promise] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON-like values."""
        return {
            "title": self.title,
            "times": {
                name: {
                    "rounds": len(rounds),
                    "clock": [round(seconds.clock, 5) for seconds in rounds],
                    "processor": [round(seconds.processor, 5) for seconds in rounds],
                    "median": round(statistics.median(seconds.clock for seconds in rounds), 5),
                }
                for name, rounds in self.times.items()
            },
            "promises": [{**asdict(promise), "kept": promise.kept} for promise in self.promises],
            "agreement": self.agreement,
            "figures": self.figures,
        }


def peak_resident_bytes() -> int:
    """The largest resident set of this process, in bytes.

    Linux hands ``ru_maxrss`` of the parent down to a new program; the figure in /proc is the process's own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory_bytes()
