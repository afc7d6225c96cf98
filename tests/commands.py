"""Run every command of README.md and REPRODUCE.md as written, one by one, in a checkout where `make smoke` has finished.

    XLT_PYTHON=python3 python tests/commands.py --checkout /tmp/xlt --limit 600 --output commands.md

Without XLT_PYTHON the commands use the checkout's own `.venv`. What needs official files, a GPU for days or a container
engine is not run: make says what it would do (`make -n`), or the command is skipped; the table says which and why. What the
commands make stays, also an empty folder `data` in the place of the one that `make data` would have filled.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "REPRODUCE.md")
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:make|docker) [a-z-][^`\n]*)`")
RECIPE_FAILED = re.compile(r"^make(?:\[\d+\])?: \*\*\* \[.*\] Error (\d+)$", re.MULTILINE)
LOOKING = {"plan", "verify", "verify-data", "claims", "report"}
"""Targets that train nothing and fetch nothing."""
RUN, DRY, SKIP = "as written", "make -n", "skipped"


@dataclass(frozen=True)
class Way:
    """How a command is run, why not as written, and the exit status that it documents for this case."""

    how: str
    reason: str = ""
    status: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a command ended: status None if it was stopped at the limit."""

    status: int | None
    seconds: float
    output: str

    def ended_as(self, way: Way) -> bool:
        """Whether it ended as it should; make -n must also have shown a command of the project."""
        shown = way.how != DRY or "reproduce/" in self.output or " -m " in self.output
        return self.status == way.status and shown


def commands(page: str) -> list[str]:
    """Every command of a page in its order, once: lines of shell blocks without comments; inline ``make``, ``docker``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found: dict[str, None] = {}
    for match in re.finditer(f"{BLOCK.pattern}|{INLINE.pattern}", text, re.MULTILINE | re.DOTALL):
        lines = [match[2]] if match[2] else match[1].replace("\\\n", " ").splitlines()
        found |= {command: None for line in lines if (command := " ".join(re.sub(r"\s#.*", "", line).split()))}
    return list(found)


def goals(command: str) -> set[str]:
    """The targets of a call of make."""
    return {word for word in command.split()[1:] if "=" not in word and not word.startswith("-")}


def way(command: str) -> Way:
    """How a command is run where the generated world's table 2 is finished and no official file is there."""
    official = re.search(r"PROFILE=(paper|pilot)", command)
    if command.startswith("docker "):
        return Way(SKIP, "needs a container engine; docker/test does it")
    if official and goals(command) == {"data"}:
        return Way(DRY, "downloads official files")
    if official and not goals(command) <= LOOKING:
        return Way(DRY, "trains on official files")
    if official and goals(command) & {"verify", "verify-data"}:
        return Way(RUN, "no official file here: incomplete, status 2", status=2)
    return Way(RUN)


def run(command: str, how: Way, checkout: Path, environment: dict[str, str], limit: float | None) -> Outcome:
    """Run one command in a shell in the checkout; one that is stopped at the limit (seconds) is asked to end first."""
    line = command.replace("make ", "make -n ", 1) if how.how == DRY else command
    started = time.monotonic()
    with subprocess.Popen(
        ["bash", "-c", line],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output = process.communicate(timeout=limit)[0]
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            output, status = process.communicate()[0], None
    recipe = RECIPE_FAILED.search(output)  # make itself ends with 2, whatever its recipe ended with
    if status and recipe:
        status = int(recipe[1])
    return Outcome(status, time.monotonic() - started, output)


def environment() -> dict[str, str]:
    """This process's, without what an outer make or a test left there."""
    return {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "PYTHONPATH"}


@contextlib.contextmanager
def prepared(command: str, checkout: Path) -> Iterator[None]:
    """What a page takes for granted: ``.venv/bin/python`` (a script that calls XLT_PYTHON), a model in ``path/to/it``."""
    made = []
    if command.startswith(".venv/") and not (checkout / ".venv").exists():
        python = checkout / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text('#!/bin/sh\nexec "$XLT_PYTHON" "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        made.append(checkout / ".venv")
    if "path/to/it" in command:
        shutil.copytree(checkout / "out" / "cache" / "babel", checkout / "path" / "to" / "it")
        made.append(checkout / "path")
    try:
        yield
    finally:
        for folder in made:
            shutil.rmtree(folder)


def carry_out(checkout: Path, limit: float | None, only: str) -> list[tuple[str, str, Way, Outcome | None]]:
    """Run every command whose text matches ``only``: (command, page, way, outcome or None if skipped)."""
    rows: list[tuple[str, str, Way, Outcome | None]] = []
    for command, page in ((c, p) for p in PAGES for c in commands(p)):
        if not re.search(only, command) or any(command == row[0] for row in rows):
            continue
        how = way(command)
        print(f"{command}  ({how.how}{': ' if how.reason else ''}{how.reason})", flush=True)
        if "DATA=data" in command and goals(command) != {"plan"}:
            (checkout / "data").mkdir(exist_ok=True)  # the folder that make data would have filled
        with prepared(command, checkout):
            outcome = None if how.how == SKIP else run(command, how, checkout, environment(), limit)
        if outcome is not None:
            if not outcome.ended_as(how):
                print("\n".join(f"    {line}" for line in outcome.output.splitlines()[-15:]))
            print(f"  status {outcome.status}, {outcome.seconds:.1f} s", flush=True)
        rows.append((command, page, how, outcome))
    return rows


def state(how: Way, outcome: Outcome | None, limit: float | None) -> str:
    """The exit status as the table shows it."""
    if outcome is None:
        return ""
    if outcome.status is None:
        return f"stopped after {limit:.0f} s"
    return str(outcome.status) if outcome.ended_as(how) else f"**{outcome.status}, expected {how.status}**"


def main() -> int:
    """Exit status 1 if a command ended otherwise than it should; one that was stopped at the limit did not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, required=True, help="a copy of the project after make smoke")
    parser.add_argument("--limit", type=float, help="seconds after which a command is stopped (default: none)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="only commands that match a regular expression")
    parser.add_argument("--output", type=Path, help="where the table goes, as Markdown")
    options = parser.parse_args()
    if not (options.checkout / "out" / "tiny" / "babel" / "tables" / "table2.md").exists():
        parser.error(f"{options.checkout}: expected a checkout in which make smoke has finished")
    rows = carry_out(options.checkout, options.limit, options.only)
    cells = [
        (
            f"`{command}`",
            page,
            how.how,
            state(how, outcome, options.limit),
            outcome and f"{outcome.seconds:.1f}",
            how.reason,
        )
        for command, page, how, outcome in rows
    ]
    table = tabulate(cells, ["command", "page", "how", "status", "seconds", "why"], "pipe", disable_numparse=True)
    bad = [row[0] for row in rows if row[3] is not None and row[3].status is not None and not row[3].ended_as(row[2])]
    stopped = [row[0] for row in rows if row[3] is not None and row[3].status is None]
    summary = (
        f"{len(rows)} commands: {len(bad)} ended otherwise than they should, {len(stopped)} were stopped at the limit"
    )
    print(f"\n{table}\n\n{summary}")
    if options.output:
        options.output.write_text(f"{table}\n\n{summary}\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
