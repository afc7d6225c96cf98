"""The bench's figures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
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
    lines = [part["title"], ""]
    rows = [_row(promise) for promise in part["promises"]]
    headers = ["", "median", "smallest", "largest", "processor time", "promised", ""]
    lines.append(tabulate(rows, headers, tablefmt="github", disable_numparse=True))
    if part["times"]:
        times = [
            [
                name,
                found["rounds"],
                f"{found['median']:.4g}",
                f"{min(found['clock']):.4g}",
                f"{max(found['clock']):.4g}",
            ]
            for name, found in part["times"].items()
        ]
        headers = ["seconds", "rounds", "median", "smallest", "largest"]
        lines += ["", tabulate(times, headers, tablefmt="github", disable_numparse=True)]
    if part["agreement"]:
        lines += [
            "",
            "Agreement: " + "; ".join(f"{what} {value:.3g}" for what, value in part["agreement"].items()) + ".",
        ]
    for what, value in part["figures"].get("peak_bytes", {}).items() if _many(part) else ():
        lines += [f"- peak memory, {what}: {value / 1e9:.2f} GB"]
    for what, value in part["figures"].get("hours", {}).items():
        lines += [f"- {what}: {value:,.1f} hours at the rates measured in this run"]
    return lines


def _many(part: Mapping[str, Any]) -> bool:
    return isinstance(part["figures"].get("peak_bytes"), Mapping)


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
