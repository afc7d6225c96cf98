"""How long a script takes to say what it does."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

from xlt.bench.measure import Elapsed, Measurement, in_turn, of_rounds, timed
from xlt.bench.settings import Bench
from xlt.errors import InputError
from xlt.files import SOURCE_ROOT


def scripts() -> list[Path]:
    """The scripts of the project."""
    found = sorted((SOURCE_ROOT / "reproduce").glob("*.py"))
    return [path for path in found if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]


def _run(arguments: list[str], turn: int) -> Elapsed:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    clock = timed(lambda: _call([sys.executable, *arguments])).clock
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Elapsed(clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _call(command: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise InputError(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()[-300:]}")


def start_up(bench: Bench) -> Measurement:
    """(g) ``--help`` of every script; Python alone beside it."""
    commands = {"python alone": ["-c", "pass"]} | {path.name: [str(path), "--help"] for path in scripts()}
    ways = {name: partial(_run, command) for name, command in commands.items()}
    for way in ways.values():  # files are read from the disk once
        way(0)
    times = in_turn(ways, bench.sizes["start_up"])
    target = bench.promised("start_up", "seconds")
    promises = [
        of_rounds(name, rounds, "at most", target if name.endswith(".py") else None, "s")
        for name, rounds in times.items()
    ]
    return Measurement("--help of every script", times, promises)
