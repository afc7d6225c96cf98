"""What becomes of a bad example: its file is refused, or it is repaired or dropped, as ``on_error`` of a source says.

A reader makes its records in ``examples``, so that an InputError about one of them concerns that one alone, and gives
``mended`` what it could put right. What is wrong with a whole file (no UTF-8, no JSON, another layout) is always refused.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from xlt.config.benchmark import OnError
from xlt.errors import InputError

_log = logging.getLogger(__name__)
MOST = 0.01
"""The share of bad examples above which a file is refused whatever ``on_error`` says."""
NAMED = 3
"""Bad examples of a kind that a note names."""
OTHER = "rows that are not in the format"

Item = TypeVar("Item")
Made = TypeVar("Made")


class Faulty(InputError):
    """One example is not what was expected. ``kind``: of what it is counted as one; ``name``: what it is called there."""

    def __init__(self, kind: str, message: str, path: Path, line: int | None, name: str | None = None) -> None:
        super().__init__(message, path, line)
        self.kind, self.name = kind, name


@dataclass
class Tally:
    """What was repaired in one file or left out of it, by kind: how many, and the names of the first.

    ``examples``: those it has, the dropped ones included. ``bad``: how many of them are. ``by_rule``: what no reading of
    the format counts, such as lines without a word.
    """

    on_error: OnError = "refuse"
    examples: int = 0
    bad: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=dict)
    by_rule: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, name: str) -> None:
        """Count one."""
        self.counts[kind] += 1
        self.named.setdefault(kind, []).append(name)
        del self.named[kind][NAMED:]

    def fault(self, error: InputError, done: str) -> None:
        """Count a bad example that was repaired or dropped (``done``)."""
        self.bad += 1
        kind, name = (error.kind, error.name) if isinstance(error, Faulty) else (OTHER, None)
        self.add(f"{kind}, {done}", name or (f"line {error.line}" if error.line else error.message))

    def check(self, path: Path) -> None:
        """Refuse a file that has more bad examples than a mishap leaves."""
        if self.bad > MOST * self.examples:
            found = "; ".join(notes({path: self}))
            share = f"{self.bad} in {self.examples}"
            raise InputError(
                f"expected at most {MOST:.0%} of bad examples to {self.on_error}, got {share}: {found}", path
            )


_current: ContextVar[Tally | None] = ContextVar("_current", default=None)
_collected: ContextVar[dict[Path, Tally] | None] = ContextVar("_collected", default=None)


def current() -> Tally:
    """The tally of the file that is being read; without one everything bad is refused."""
    return _current.get() or Tally()


@contextmanager
def reading(path: Path, on_error: OnError) -> Iterator[None]:
    """Tally what is bad in a file while it is read; afterwards it is judged, and kept for who collects."""
    own = Tally(on_error)
    token = _current.set(own)
    try:
        yield
    finally:
        _current.reset(token)
    own.check(path)
    for note in notes({path: own}):
        _log.warning("%s: %s", path, note)
    kept = _collected.get()
    if kept is not None:
        kept[path] = own


@contextmanager
def collected() -> Iterator[dict[Path, Tally]]:
    """By file, the tallies of what is read meanwhile; a file that is read twice counts once."""
    found: dict[Path, Tally] = {}
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def notes(tallies: Mapping[Path, Tally]) -> list[str]:
    """One text for each kind: how many in all files, and the first three with their file."""
    counts = Counter[str]()
    named: dict[str, list[str]] = {}
    for path, tally in tallies.items():
        counts += tally.counts
        for kind, names in tally.named.items():
            named.setdefault(kind, []).extend(f"{path.name} {name}" for name in names)
    return [
        f"{kind}: {count} ({', '.join(named[kind][:NAMED])}{', ...' if count > NAMED else ''})"
        for kind, count in counts.items()
    ]


def left_out(tallies: Mapping[Path, Tally]) -> list[str]:
    """What the formats' own rules left out of the files: lines without a word, say."""
    counts = sum((tally.by_rule for tally in tallies.values()), Counter[str]())
    return [f"{what}, left out: {count}" for what, count in counts.items()]


def examples(items: Iterable[Item], make: Callable[[Item], Made]) -> Iterator[Made]:
    """What ``make`` makes of each item; those it refuses are dropped where the source says so."""
    tally = current()
    for item in items:
        tally.examples += 1
        try:
            made = make(item)
        except InputError as error:
            if tally.on_error == "refuse":
                raise
            tally.fault(error, "dropped")
            continue
        yield made


def mended(error: Faulty, repaired: Made | None) -> Made:
    """What can be put in the place of something bad, if there is such a thing and the source asks for it.

    Raises:
        Faulty: ``error``, otherwise.
    """
    tally = current()
    if tally.on_error != "repair" or repaired is None:
        raise error
    tally.fault(error, "repaired")
    return repaired
