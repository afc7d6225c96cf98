"""How long a script takes to say what it does."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from xlt.bench.measure import Promise, Report, Seconds, in_turn, timed
from xlt.bench.settings import Bench
from xlt.errors import InputError
from xlt.files import SOURCE_ROOT


def scripts() -> list[Path]:
    """The scripts of the project."""
    found = sorted((SOURCE_ROOT / "reproduce").glob("*.py"))
    return [path for path in found if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]


def start_up(bench: Bench) -> Report:
    """(g) ``--help`` of every script; Python alone beside it."""

    def run(*arguments: str) -> Seconds:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        clock = timed(lambda: _call([sys.executable, *arguments])).clock
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Seconds(clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    ways = {"python alone": lambda turn: run("-c", "pass")}
    for path in scripts():
        ways[path.name] = lambda turn, path=path: run(str(path), "--help")  # type: ignore[misc]
    for way in ways.values():  # files are read from the disk once
        way(0)
    times = in_turn(ways, bench.sizes.start_up)
    report = Report("--help of every script", times)
    for name, rounds in times.items():
        clock = [seconds.clock for seconds in rounds]
        target = bench.config.targets.start_up if name.endswith(".py") else None
        processor = statistics.median(seconds.processor for seconds in rounds)
        value = statistics.median(clock)
        report.promises.append(Promise(name, value, min(clock), max(clock), "at most", target, processor, "s"))
    return report


def _call(command: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise InputError(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()[-300:]}")
