"""Feed damaged files to every reader: each ends in a correct result or one clear line. ``python -m tests.fuzz --count N``

An input is a small valid set of files (the generated world's, and real ones where XLT_REALDATA names them) of which one is
damaged (``fuzz_mutations``). Anything but a result or an InputError that names a file, on one line, is a failure; so is
a reader that takes seconds or much memory, text that cannot be written as UTF-8, and a wrong number of examples.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import logging
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz_mutations import mutate
from tests.fuzz_targets import Target, targets

from xlt.errors import InputError

LONGEST_MESSAGE = 1000
SECONDS = 10
"""Of this process's own time, within which a reader must come back."""
MEMORY = 256 * 2**20
"""Bytes by which one input may make the process grow."""


class Hang(BaseException):
    """A reader did not come back."""


class Dropped(logging.Handler):
    """Sums up how many examples readers say that they left out."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Note a warning."""
        found = re.search(r"left out (\d+)", record.getMessage())
        self.count += int(found[1]) if found else 0


def peak() -> int:
    """The largest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def complaint(error: InputError, folder: Path) -> str | None:
    """What is wrong with an input error, if anything: it must name a file and be one line of readable length."""
    text = str(error)
    if "\n" in text or "\r" in text:
        return "a message of several lines"
    if len(text) > LONGEST_MESSAGE:
        return f"a message of {len(text)} characters"
    if error.path is None:
        return "a message without a file"
    path = Path(error.path)
    if error.line is not None and path.is_file():
        last = path.read_bytes().count(b"\n") + 1
        if not 1 <= error.line <= last:
            return f"line {error.line} of a file with {last}"
    return None


def strings(value: Any) -> Iterator[str]:
    """All text in a result."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(key)
            yield from strings(inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from strings(inner)
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from strings(getattr(value, each.name))


def judge(target: Target, folder: Path, dropped: Dropped) -> tuple[str, str | None]:
    """Read a damaged set of files: ``read`` or ``refused``, and what is wrong with how it went, if anything is."""
    dropped.count = 0
    before = peak()
    try:
        result = target.read(folder)
        for text in strings(result):
            text.encode("utf-8")
        expected = None if target.expected is None else target.expected(folder)
    except InputError as error:
        return "refused", complaint(error, folder)
    except Hang:
        return "failed", f"no end after {SECONDS} s of work"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "failed", f"{type(error).__name__} in {Path(place.filename).name}, {place.name}: {str(error)[:80]!r}"
    if peak() - before > MEMORY:
        return "read", f"{(peak() - before) >> 20} MiB more memory"
    if expected is not None and len(result) + dropped.count != expected:
        return "read", "a wrong number of examples"
    return "read", None


def one(target: Target, draw: Random, folder: Path, dropped: Dropped) -> tuple[str, str | None]:
    """Damage one file of a target, read, and put the file back."""
    name = draw.choice(sorted(target.files))
    path = folder / target.name / name
    path.write_bytes(mutate(target.files[name], draw))
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        return judge(target, folder / target.name, dropped)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        path.write_bytes(target.files[name])


def lay_out(found: list[Target], folder: Path) -> None:
    """Write the intact files, and see that every one is read."""
    for target in found:
        for name, data in target.files.items():
            path = folder / target.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        result, wrong = judge(target, folder / target.name, Dropped())
        assert (result, wrong) == ("read", None), f"{target.name}: {result}, {wrong}"


def fuzz(count: int, seed: int, only: str = "") -> tuple[dict[str, collections.Counter[str]], dict[str, list[int]]]:
    """Outcomes by target, and what went wrong with the numbers of the inputs that show it."""
    outcomes: dict[str, collections.Counter[str]] = {}
    wrong: dict[str, list[int]] = {}
    dropped = Dropped()
    logging.getLogger("xlt").addHandler(dropped)
    logging.getLogger("xlt").propagate = False

    def stop(number: int, frame: object) -> None:
        raise Hang

    signal.signal(signal.SIGVTALRM, stop)
    try:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as temporary:
            found = [target for target in targets(Path(temporary) / "world") if only in target.name]
            lay_out(found, Path(temporary))
            for number in range(count):
                draw = Random(f"{seed}/{number}")
                target = found[number % len(found)]
                outcome, problem = one(target, draw, Path(temporary), dropped)
                outcomes.setdefault(target.name, collections.Counter())[outcome] += 1
                if problem is not None:
                    wrong.setdefault(f"{target.name}: {problem}", []).append(number)
    except KeyboardInterrupt:
        print("stopped; what was done so far:")
    finally:
        logging.getLogger("xlt").removeHandler(dropped)
        logging.getLogger("xlt").propagate = True
    return outcomes, wrong


def main() -> int:
    """Fuzz and print what happened; exit status 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="inputs over all readers (default: 20,000)")
    parser.add_argument("--seed", type=int, default=1, help="which inputs (default: 1)")
    parser.add_argument("--only", default="", help="readers whose name contains this")
    options = parser.parse_args()
    started = time.monotonic()
    outcomes, wrong = fuzz(options.count, options.seed, options.only)
    for name, counts in sorted(outcomes.items()):
        print(f"{name:<44}" + "  ".join(f"{kind} {counts[kind]:>6}" for kind in ("read", "refused", "failed")))
    total: collections.Counter[str] = sum(outcomes.values(), collections.Counter())
    seconds = time.monotonic() - started
    print(f"{sum(total.values())} inputs, seed {options.seed}, {len(outcomes)} readers, {seconds:.0f} s: {dict(total)}")
    for problem, numbers in sorted(wrong.items()):
        print(f"WRONG {problem} ({len(numbers)} times, first input {numbers[0]})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
