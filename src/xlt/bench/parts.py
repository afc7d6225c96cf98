"""The parts of the bench by name; each imports what it measures only when it runs."""

from __future__ import annotations

import importlib
from dataclasses import replace

from xlt.bench.measure import Report
from xlt.bench.settings import Bench

MODULES = {
    "fine_tuning": "tuning",
    "prediction": "tuning",
    "adapter": "tuning",
    "protocol": "protocol",
    "answers": "answers",
    "retrieval": "search",
    "tokenisation": "tokenising",
    "start_up": "starting",
}
"""Part: the module of ``xlt.bench`` with the function of that name that measures it."""


def measure(name: str, bench: Bench) -> Report:
    """Run one part in this process. A quick bench promises nothing about time, only what can be counted."""
    report: Report = getattr(importlib.import_module(f"xlt.bench.{MODULES[name]}"), name)(bench)
    if bench.quick:
        report.promises = [
            promise if promise.processor is None else replace(promise, target=None) for promise in report.promises
        ]
    return report
