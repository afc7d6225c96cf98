"""REPRODUCE.md from its template, the claims, the published numbers and the planner's FLOP model (``docs.py`` writes it)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from xlt.config.benchmark import Model, load, load_all
from xlt.config.run_config import RunConfig
from xlt.errors import InputError
from xlt.planning.cost import BYTES, TableCost, amount, duration
from xlt.planning.flops import shape_said
from xlt.planning.paper_plan import gpu_hours, paper_runs
from xlt.planning.recorded import Found, Recorded, asked, key
from xlt.planning.throughput import gpu_speed, load_gpu
from xlt.results.claims import Claim
from xlt.results.formatting import difference
from xlt.results.protocol_facts import facts_of_run, reason_against
from xlt.results.reported import AVERAGE, Reported, load_reported
from xlt.results.statistics import half_width, prediction_scale

GPU, MODEL, PILOT = "a100", "xlmr-base", "e5-small"
SEEDS = 5
PILOT_FULL_RUNS = 14
"""Runs with full fine-tuning behind the pilot's table 2: they leave a whole encoder each."""
FIELD = re.compile(r"\{\{(\w+)\}\}")


def page(root: Path) -> str:
    """The whole of REPRODUCE.md for the project in ``root``.

    Raises:
        InputError: the template asks for something that is not known, or a config is damaged.
    """
    configs, template = root / "configs", root / "configs" / "templates" / "REPRODUCE.md"
    values = fields(configs)
    text = template.read_text(encoding="utf-8")
    unknown = sorted(set(FIELD.findall(text)) ^ set(values))
    if unknown:
        raise InputError(
            f"expected exactly the fields {', '.join(sorted(values))}; at odds: {', '.join(unknown)}", template
        )
    return FIELD.sub(lambda found: values[found[1]], text)


def fields(configs: Path) -> dict[str, str]:
    """The text of every field of the template."""
    claims = load_all(Claim, configs / "claims")
    recorded = load(Recorded, configs / "recorded.yaml")
    gpu = load_gpu(GPU, configs / "gpus.yaml")
    costs = gpu_hours(configs, MODEL, gpu, asked(claims))
    shapes = {name: shape_said(load(Model, configs / "models" / f"{name}.yaml")) for name in (MODEL, PILOT)}
    entries = [each for each in load_reported(configs / "reported") if each.model == MODEL and each.value is not None]
    tested = {name: claim for name, claim in claims.items() if claim.not_covered is None}
    return {
        "machine": recorded.machine,
        "smoke_minutes": str(recorded.smoke.wall_minutes),
        "tiny_minutes": str(recorded.tiny_all.wall_minutes),
        "human_minutes": str(recorded.human_minutes),
        "pilot_disk": amount(PILOT_FULL_RUNS * BYTES * shapes[PILOT].total),
        "paper_disk": amount(costs["table2", False].disk),
        "paper_memory": amount(costs["table2", False].memory),
        "paper_download": amount(BYTES * shapes[MODEL].total),
        "assumptions": gpu_speed(gpu).basis + ".",
        "experiments": experiments(costs, recorded, gpu.title),
        "claims": claims_table(tested, recorded),
        "not_covered": "\n".join(f"- {c.claim} Reason: {c.not_covered}." for c in claims.values() if c.not_covered),
        "reported": reported(entries, paper_runs(configs, MODEL)),
        "cells": f"{sum(each.regime is not None for each in entries):,}",
    }


def experiments(costs: Mapping[tuple[str, bool], TableCost], recorded: Recorded, gpu: str) -> str:
    """What each command costs on the generated world, measured, and with the papers' settings, estimated."""
    rows = []
    for (name, every), cost in costs.items():
        made = recorded.tiny.get(key(name, every))
        tiny = ["not run", ""] if made is None else [str(made.runs), str(made.minutes)]
        command = f"`make {name}{' ROWS=all' if every else ''}`"
        rows.append([command, *tiny, str(len(cost.runs)), f"{duration(cost.left)} ({cost.span})", amount(cost.disk)])
    headers = ["Command", "Runs, tiny", "Minutes, tiny", "Runs, paper", f"{gpu}, paper", "Disk, paper"]
    return _table(headers, rows)


def claims_table(claims: Mapping[str, Claim], recorded: Recorded) -> str:
    """Each claim with its command, what is expected, and what the generated world gave."""
    rows = []
    for name, claim in claims.items():
        unit = " %" if claim.words is not None else ""
        expected = "above 0" if claim.claimed is None else f"{difference(claim.claimed)}{unit}"
        rows.append(
            [f"`{name}`", claim.claim, f"`{claim.command}`", expected, found_said(recorded.claims.get(name), unit)]
        )
    return _table(["Name", "Claim", "Command", "Expected", "Generated world"], rows)


def found_said(found: Found | None, unit: str) -> str:
    """What was found on a claim: "supported: +1.2 (+0.3 to +2.1), 3 seeds"."""
    if found is None:
        return "not run"
    seeds = "one seed" if found.seeds == 1 else f"{found.seeds} seeds"
    if found.effect is None:
        return f"{found.status}: {seeds}"
    value, low, high = (difference(each) for each in (found.effect.found, found.effect.low, found.effect.high))
    return f"{found.status}: {value}{unit} ({low} to {high}), {seeds}"


def reported(entries: Sequence[Reported], runs: Sequence[RunConfig]) -> str:
    """Published averages with a standard deviation that a run's protocol is that of, and the tolerance with five seeds."""
    rows = []
    for each in entries:
        if each.language != AVERAGE or not each.std or each.seeds is None:
            continue
        command = next((f"`make {run.regime.name}`" for run in runs if compares(each, run)), None)
        if command is None:
            continue
        error, freedom = prediction_scale(SEEDS, None, each.seeds, each.std, 0.5, 1)
        tolerance = half_width(error, freedom, 0.95)
        over = each.average_over if isinstance(each.average_over, str) else f"{len(each.average_over or ())} languages"
        value = f"{each.value:.1f} ± {tolerance:.1f}"
        source = f"{each.citation.split(',')[0]}, {each.table}"
        rows.append([command, each.task or "", each.metric, str(over), value, source])
    return _table(["Command", "Task", "Metric", "Over", "Expected", "Source"], rows)


def compares(entry: Reported, run: RunConfig) -> bool:
    """Whether a run is of an average's method and, as far as is known, of its protocol."""
    if entry.task not in run.tasks or entry.regime not in (run.regime.name, run.regime.method):
        return False
    ours = facts_of_run(run, entry.task)
    over = entry.averages_over(run.languages[entry.task]) or set(run.languages[entry.task])
    return reason_against(entry.facts, ours, entry.metric, over, run.fallbacks()) is None


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
