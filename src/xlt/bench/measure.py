"""Times of several ways to do the same thing, taken in turn, and what one is as a multiple of another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from xlt.bench.settings import PartSize
from xlt.files import peak_memory_bytes

Bound = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Time on the clock and of the processor, all threads together."""

    clock: float
    processor: float


Way = Callable[[int], Elapsed | None]
"""One way to do a thing, given the number of the round; it may take its own time, so that its preparation does not count."""


def timed(action: Callable[[], object]) -> Elapsed:
    """How long ``action`` takes, or the time that it took itself."""
    clock, processor = time.perf_counter(), time.process_time()
    own = action()
    return own if isinstance(own, Elapsed) else Elapsed(time.perf_counter() - clock, time.process_time() - processor)


def in_turn(ways: Mapping[str, Way], size: PartSize) -> dict[str, list[Elapsed]]:
    """Measure ``ways`` one after the other, round after round: what else the machine does falls on all of them.

    A round is not begun when one like the longest so far would end after ``size.seconds``; the first one always is.
    """
    times: dict[str, list[Elapsed]] = {name: [] for name in ways}
    started, longest = time.perf_counter(), 0.0
    for number in range(size.rounds):
        begun = time.perf_counter()
        if number and begun - started + longest > size.seconds:
            break
        for name, way in ways.items():
            times[name].append(timed(lambda way=way, number=number: way(number)))  # type: ignore[misc]
        longest = max(longest, time.perf_counter() - begun)
    return times


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
    bound: Bound
    target: float | None
    processor: float | None = None
    unit: str = "x"

    @property
    def kept(self) -> bool | None:
        """Whether the figure is what was promised."""
        if self.target is None:
            return None
        return self.value >= self.target if self.bound == "at least" else self.value <= self.target


def of_rounds(name: str, rounds: list[Elapsed], bound: Bound, target: float | None, unit: str = "x") -> Promise:
    """A promise of the median of some rounds."""
    clock = [each.clock for each in rounds]
    processor = statistics.median(each.processor for each in rounds)
    return Promise(name, statistics.median(clock), min(clock), max(clock), bound, target, processor, unit)


def ratio(name: str, over: list[Elapsed], under: list[Elapsed], bound: Bound, target: float | None) -> Promise:
    """The median over rounds of ``over`` / ``under``: rounds are pairs taken one right after the other."""
    pairs = zip(over, under, strict=True)
    ratios = [Elapsed(a.clock / b.clock, a.processor / max(b.processor, 1e-9)) for a, b in pairs]
    return of_rounds(name, ratios, bound, target)


@dataclass(slots=True)
class Measurement:
    """What a part found: ``times`` by way, ``promises``, how far results agree, and whatever else there is to say."""

    title: str
    times: dict[str, list[Elapsed]] = field(default_factory=dict)
    promises: list[Promise] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The measurement as JSON-like values."""
        times = {}
        for name, rounds in self.times.items():
            clock = [round(each.clock, 5) for each in rounds]
            processor = [round(each.processor, 5) for each in rounds]
            median = round(statistics.median(clock), 5)
            times[name] = {"rounds": len(rounds), "clock": clock, "processor": processor, "median": median}
        promises = [{**asdict(promise), "kept": promise.kept} for promise in self.promises]
        return {**asdict(self), "times": times, "promises": promises}


def peak_resident_bytes() -> int:
    """The largest resident set of this process, in bytes.

    Linux hands ``ru_maxrss`` of the parent down to a new program; the figure in /proc is the process's own.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), peak_memory_bytes())
