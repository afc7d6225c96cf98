"""The bench's figures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

VERDICT = {True: "kept", False: "**missed**", None: ""}
SHOWN = {"x": "{:.2f}", "s": "{:.3f} s", "bytes": "{:.3g} bytes"}


def page(bench: Mapping[str, Any]) -> str:
    """A page with a table of promises and a table of times for each part."""
    machine = bench["machine"]
    lines = [
        "# Bench",
        "",
        f"{bench['when']}, {'quick' if bench['quick'] else 'full'}, {bench['threads']} threads on {machine['cores']} cores "
        f"of {machine['processor']}, load {machine['load_before']} before and {machine['load_after']} after. "
        f"Lengths {bench['lengths']}. Figures are medians over rounds taken in turn, with the smallest and the largest.",
    ]
    if machine["busy"]:
        lines += ["", "**Other programs used the processor meanwhile: times on the clock say little.**"]
    for name, part in bench["parts"].items():
        lines += ["", f"## {name}", ""]
        lines += [f"Failed: {part['failed']}"] if "failed" in part else _part(part)
    return "\n".join(lines) + "\n"


def _part(part: Mapping[str, Any]) -> list[str]:
    headers = ["", "median", "smallest", "largest", "processor time", "promised", ""]
    lines = [part["title"], "", _table(headers, [_row(promise) for promise in part["promises"]])]
    if part["times"]:
        times = [
            [name, found["rounds"], *(f"{x:.4g}" for x in (found["median"], min(found["clock"]), max(found["clock"])))]
            for name, found in part["times"].items()
        ]
        lines += ["", _table(["seconds", "rounds", "median", "smallest", "largest"], times)]
    if part["agreement"]:
        agreement = "; ".join(f"{what} {value:.3g}" for what, value in part["agreement"].items())
        lines += ["", f"Agreement: {agreement}."]
    peaks, hours = part["figures"].get("peak_bytes"), part["figures"].get("hours", {})
    if isinstance(peaks, Mapping):
        lines += [f"- peak memory, {what}: {value / 1e9:.2f} GB" for what, value in peaks.items()]
    return lines + [f"- {what}: {value:,.1f} hours at the rates measured in this run" for what, value in hours.items()]


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _row(promise: Mapping[str, Any]) -> list[str]:
    shown = SHOWN[promise["unit"]]
    processor, target = promise["processor"], promise["target"]
    return [
        promise["name"],
        *(shown.format(promise[key]) for key in ("value", "low", "high")),
        "" if processor is None else shown.format(processor),
        "" if target is None else f"{promise['bound']} {shown.format(target)}",
        VERDICT[promise["kept"]],
    ]
