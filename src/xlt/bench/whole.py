"""The bench as a whole: every part in a process of its own, within its time, and what follows from several of them."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xlt.bench.measure import Measurement
from xlt.bench.settings import Bench, Part
from xlt.files import package_versions, read_json

MODULES: dict[Part, str] = {
    "fine_tuning": "tuning",
    "prediction": "tuning",
    "adapter": "tuning",
    "protocol": "protocol",
    "answers": "answers",
    "retrieval": "search",
    "tokenisation": "tokenising",
    "start_up": "starting",
}
"""Part: the module of ``xlt.bench`` with the function of that name that measures it, imported only when it runs."""
BUSY = 0.5
"""Load average beyond the bench's own threads, per core, from which times on the clock are called unreliable."""


def measure(name: Part, bench: Bench) -> Measurement:
    """Run one part in this process."""
    measured: Measurement = getattr(importlib.import_module(f"xlt.bench.{MODULES[name]}"), name)(bench)
    return measured


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
    hours = {}
    for name, way in (("ours", "nli ours"), ("xtreme", "nli pad_to_max")):
        train, test = (part["times"][way]["median"] / part["figures"]["nli"]["examples"] for part in (step, prediction))
        pairs = protocol["figures"]["pairs"][name]
        hours[name] = (pairs["train"] * train + (pairs["dev"] + pairs["test"]) * test) / 3600
    protocol["figures"]["hours"] = hours


def processor_name() -> str:
    """The processor's name as the system gives it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


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
    broken = [
        (name, each) for name, part in parts.items() for each in part.get("promises", ()) if each["kept"] is False
    ]
    return [
        f"{name}, {each['name']}: expected {each['bound']} {each['target']:g}, got {each['value']:.3g} {each['unit']}"
        for name, each in broken
    ]
