"""Pages of made-up scores that move as real ones do, to test the verification of pages on.

A page is what one seed of the five regimes of table 2 scores: {cell: percent}. Languages of one run move together, so do the
regimes of one seed on a task, and tasks that share a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tests.results.conftest import Folders

from xlt.config.benchmark import Task, load
from xlt.results.expectations import Collected, as_yaml
from xlt.results.page_tests import page_tests
from xlt.results.recording import Key, Recording, load_recording
from xlt.results.reported import load_reported
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.verdicts import counts, exit_code, verdicts

ROOT = Path(__file__).resolve().parents[2]
TABLE = yaml.safe_load((ROOT / "configs" / "tables" / "table2.yaml").read_text(encoding="utf-8"))
TASKS = {name: load(Task, ROOT / "configs" / "tasks" / f"{name}.yaml") for name in TABLE["tasks"]}
REGIMES = ("full", "adapter", "lora", "full-itt", "adapter-itt")
LANGUAGES = ("en", "qaa", "qab", "qac", "qad", "qae", "qaf", "qag")
EXAMPLES = 150
ORIGIN: dict[str, Any] = {"world": "w1", "encoders": [], "commits": [], "platforms": []}

Scores = dict[Key, float]


def keys(regimes: Sequence[str] = REGIMES, tasks: Sequence[str] = tuple(TASKS)) -> list[Key]:
    """The cells of a page."""
    return [(r, t, metric, code) for r in regimes for t in tasks for metric in TASKS[t].metrics for code in LANGUAGES]


def page(seed: int, regimes: Sequence[str] = REGIMES, tasks: Sequence[str] = tuple(TASKS)) -> Scores:
    """An honest page: a seed moves a task in all regimes by 0.6 points, a run in all languages by 1.2, each cell by 2."""
    draw = np.random.default_rng(seed)
    of_task = {task: draw.normal(0, 0.6) for task in TASKS}
    of_run = {(regime, TASKS[task].recipe): draw.normal(0, 1.2) for regime in REGIMES for task in TASKS}
    drawn: Scores = {}
    for regime, task, metric, code in keys():
        true = 85 - 6 * LANGUAGES.index(code) - 2 * REGIMES.index(regime) - 3 * (len(metric) % 3)
        value = true + of_task[task] + of_run[regime, TASKS[task].recipe] + draw.normal(0, 2)
        drawn[regime, task, metric, code] = round(min(100.0, max(0.0, value)) * EXAMPLES / 100) / EXAMPLES * 100
    return {key: drawn[key] for key in keys(regimes, tasks)}


def collected(pages: Mapping[int, Scores], kernels: Sequence[str] = ("AVX2", "AVX512", "DEFAULT")) -> Collected:
    """Pages as they are collected from finished runs."""
    cells = list(next(iter(pages.values())))
    return Collected(
        {seed: kernels[number % len(kernels)] for number, seed in enumerate(pages)},
        {key: {seed: scores[key] for seed, scores in pages.items()} for key in cells},
        {task: dict.fromkeys(LANGUAGES, EXAMPLES) for task in dict.fromkeys(key[1] for key in cells)},
    )


def text(pages: Mapping[int, Scores], world: str = "w1") -> str:
    """The file of expectations that pages give."""
    found = collected(pages)
    titles = {key[0]: key[0] for key in found.scores}
    return as_yaml(found, titles, "table2", "tiny", "babel", {**ORIGIN, "world": world})


def recording(pages: Mapping[int, Scores]) -> Recording:
    """The same, read."""
    return Recording.model_validate(yaml.safe_load(text(pages)))


@dataclass(frozen=True)
class Outcome:
    """What the verification says of a page: its exit status, and what turned it red, with how many tests of it."""

    status: int
    red: dict[str, int]

    @property
    def seen(self) -> bool:
        """Whether the page is no success."""
        return self.status != 0


def outcome(folder: Path, scores: Mapping[Key, float | None], reported: Path, tasks: Mapping[str, Task]) -> Outcome:
    """Verify a page (None: no score there) through run folders that are written to an empty ``folder``."""
    recording = load_recording(reported, "tiny", "babel")
    assert recording is not None
    write_runs(folder, 1, scores, tasks)
    plan = load_plan(folder)
    regimes = {name: load_regime(folder, plan, name) for name in plan.regimes}
    found = verdicts(plan, regimes, tasks, load_reported(reported), {}, world=recording.recorded.world)
    page = page_tests(found, recording, tasks)
    red = {status: number for status, number in counts(found).items() if status in ("lower", "not run", "not reported")}
    for test in page:
        if test.differs:
            red[test.family] = red.get(test.family, 0) + 1
    return Outcome(exit_code(found, any(test.differs for test in page)), red)


def write_runs(folder: Path, seed: int, scores: Mapping[Key, float | None], tasks: Mapping[str, Task]) -> None:
    """Run folders of a page, a run for each regime and recipe."""
    made = Folders(folder, profile="tiny", model="babel")
    made.profile["splits"] = {}
    made.plan["seeds"] = [seed]
    for regime in dict.fromkeys(key[0] for key in scores):
        made.regime(regime)
        by_recipe: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
        absent: dict[str, list[str]] = {}
        for (_, task, metric, code), value in ((key, value) for key, value in scores.items() if key[0] == regime):
            values = by_recipe.setdefault(tasks[task].recipe, {}).setdefault(task, {}).setdefault(metric, {})
            if value is not None:
                values[code] = value
            elif code not in absent.setdefault(task, []):
                absent[task].append(code)
        for recipe, found in by_recipe.items():
            made.run(regime, recipe, seed, found, no_data=absent, n=EXAMPLES)
