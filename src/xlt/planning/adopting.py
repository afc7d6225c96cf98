"""Runs that were recorded before count as done: who adds a row trains that row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xlt.layout import CONFIG, SCORES, WEIGHTS
from xlt.planning.plan import WorkPlan
from xlt.records import record_of, records_run, unpack


def adopt(plan: WorkPlan, records: Path, goals: Sequence[str]) -> list[str]:
    """Unpack the recorded runs and jobs behind some tables or regimes, where their configs are those planned.

    A record has no weights. A run whose weights something needs that is still to be trained is trained, too: its record is
    left out, or taken back if it was unpacked before. Returns the folders that were unpacked.
    """
    needed = list(dict.fromkeys(folder for goal in goals for folder in plan.needed(goal)))
    configs = {folder: (plan.root / folder / CONFIG).read_bytes() for folder in needed}
    recorded = {f for f in needed if records_run(record_of(records, f), configs[f], plan.result(f).name)}
    to_train = [folder for folder in needed if plan.state(folder) != "done" and folder not in recorded]
    blocked: set[str] = set()
    while to_train:
        for other in plan.runs[folder].needs() if (folder := to_train.pop()) in plan.runs else []:
            if other not in blocked and not has_weights(plan, other):
                blocked.add(other)
                to_train.append(other)
    for folder in recorded & blocked:
        plan.result(folder).unlink(missing_ok=True)
    adopted = [folder for folder in needed if folder in recorded - blocked and plan.state(folder) != "done"]
    for folder in adopted:
        unpack(record_of(records, folder), plan.root / folder)
    return adopted


def has_weights(plan: WorkPlan, folder: str) -> bool:
    """Whether what others need of a run or job is there, and not only its record."""
    if plan.state(folder) != "done":
        return False
    result = plan.result(folder)
    return result.with_name(WEIGHTS).exists() if result.name == SCORES else any(result.parent.rglob("*.safetensors"))
