"""The bench as a whole: every part in a process of its own, within its time, and what follows from several of them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xlt.bench.settings import Bench
from xlt.files import package_versions, read_json

BUSY = 0.5
"""Load average beyond the bench's own threads, per core, from which times on the clock are called unreliable."""


def run_part(command: Sequence[str], seconds: float) -> dict[str, Any]:
    """A part's report as JSON-like values, or why there is none: what its process said last, or that it took too long.

    Args:
        command: measures the part; the path of the file to write is added to it.
        seconds: after which it is given up.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "part.json"
        try:
            done = subprocess.run(
                [*command, str(output)], stderr=subprocess.PIPE, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"given up after {seconds:.0f} seconds"}
        if done.returncode or not output.exists():
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            return {"failed": said[-1]}
        return dict(read_json(output))


def add_hours(parts: dict[str, dict[str, Any]]) -> None:
    """What XNLI in full would take: its pairs at the times of the NLI step and prediction measured beside it."""
    wanted = [parts.get(name, {}) for name in ("protocol", "fine_tuning", "prediction")]
    if not all("figures" in part for part in wanted):
        return
    protocol, step, prediction = wanted
    given, tested = step["figures"]["nli"], prediction["figures"]["nli"]
    pairs = protocol["figures"]["pairs"]
    hours = {}
    for name, way in (("ours", "ours"), ("xtreme", "pad_to_max")):
        train = step["times"][f"nli {way}"]["median"] / given["examples"]
        test = prediction["times"][f"nli {way}"]["median"] / tested["examples"]
        own = pairs[name]
        hours[name] = (own["train"] * train + (own["dev"] + own["test"]) * test) / 3600
    protocol["figures"]["hours"] = hours


def processor_name() -> str:
    """The processor's name as the system gives it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def load() -> float:
    """Processes that wanted to run in the last minute, on average."""
    return round(os.getloadavg()[0], 2)


def summary(bench: Bench, parts: dict[str, dict[str, Any]], load_before: float) -> dict[str, Any]:
    """All parts, and where and when they were measured."""
    cores = os.cpu_count() or 1
    after = load()
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": bench.quick,
        "threads": bench.threads,
        "lengths": "as recorded" if bench.data is None or bench.encoder is None else "counted in the files given",
        "machine": {
            "cores": cores,
            "processor": processor_name(),
            "python": sys.version.split()[0],
            "versions": package_versions(),
            "load_before": load_before,
            "load_after": after,
            "busy": load_before > BUSY * cores or after > bench.threads + BUSY * cores,
        },
        "parts": parts,
    }


def missed(parts: dict[str, dict[str, Any]]) -> list[str]:
    """What was promised and not kept, a line each."""
    lines = []
    for name, part in parts.items():
        for promise in part.get("promises", ()):
            if promise["kept"] is False:
                figures = (
                    f"expected {promise['bound']} {promise['target']:g}, got {promise['value']:.3g} {promise['unit']}"
                )
                lines.append(f"{name}, {promise['name']}: {figures}")
    return lines
