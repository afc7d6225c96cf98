"""How often the verification flags an honest page. ``python -m tests.honest_pages`` (part of ``make faults``)

Each recorded run is left out and verified against the others; and pages are drawn from a model of the recorded runs, in which
recording and verifying are done again and again. The figures go into ``tests/results/honest_pages.yaml``.

The model: a cell's deviation from its mean is a random combination of its recorded deviations, the same for all cells of one
training run, so that they move together as they did. ``shared`` says how much of the combination all training runs of a page
have in common (0: they are independent; 1: the page moves as a whole). ``tails``: each training run's deviation is multiplied
by a factor that makes it t-distributed with so many degrees of freedom. Variances are the moderated ones.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

from xlt.config.benchmark import Task, load
from xlt.errors import InputError, exit_status
from xlt.files import sha256_file, write_atomic
from xlt.results.aggregate import headline_metrics
from xlt.results.page_tests import LEVELS, Page
from xlt.results.recording import Key, Recording, load_recording
from xlt.results.spreads import Array, average_spreads, cell_spreads, errors_of, proportion_error, scores_of
from xlt.results.verdicts import OF_RECORDED

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "tests" / "results" / "honest_pages.yaml"
HEADER = "# How many honest pages the verification flags, by what of them. Written by `make faults`.\n"
TAILS: tuple[float | None, ...] = (None, 10.0, 6.0)
SHARED = (0.0, 0.5, 1.0)
PER_RECORDING = 20


class World:
    """Where recorded runs come from: [cells] means, and what deviations are combined of."""

    def __init__(self, recording: Recording, tasks: Mapping[str, Task]) -> None:
        scores = scores_of(recording)
        self.keys, self.runs = recording.keys, len(scores)
        self.mean = scores.mean(axis=0)
        deviations = scores - self.mean
        norm = np.sqrt((deviations**2).sum(axis=0))
        spread = cell_spreads(self.keys, scores, errors_of(recording)).std
        flat = np.full_like(deviations, 1 / math.sqrt(self.runs))  # a cell whose recorded runs are all alike
        self.deviations = spread * np.where(norm > 0, deviations / np.where(norm > 0, norm, 1), flat)
        trained = [(regime, tasks[task].recipe) for regime, task, _, _ in self.keys]
        places = {pair: number for number, pair in enumerate(dict.fromkeys(trained))}
        self.block = np.array([places[pair] for pair in trained])
        self.examples = np.array([recording.examples[key[1]][key[3]] for key in self.keys], dtype=np.float64)
        self.rows = row_weights(self.keys)
        self.headline = {name: headline_metrics(task) for name, task in tasks.items()}

    def draw(self, pages: int, shared: float, tails: float | None, generator: np.random.Generator) -> Array:
        """[pages, cells] scores in percent."""
        blocks = int(self.block.max()) + 1
        common = generator.standard_normal((pages, 1, self.runs))
        own = generator.standard_normal((pages, blocks, self.runs))
        mixed = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
        if tails is not None:
            mixed *= np.sqrt((tails - 2) / generator.chisquare(tails, (pages, blocks)))[:, :, None]
        moved = np.empty((pages, len(self.keys)))
        for number in range(blocks):
            cells = self.block == number
            moved[:, cells] = mixed[:, number] @ self.deviations[:, cells]
        return np.clip(self.mean + moved, 0, 100)


def row_weights(keys: Sequence[Key]) -> Array:
    """[rows, cells] of the average over the languages of each regime, task and metric."""
    rows = {row: number for number, row in enumerate(dict.fromkeys(key[:3] for key in keys))}
    weights = np.zeros((len(rows), len(keys)))
    for column, key in enumerate(keys):
        weights[rows[key[:3]], column] = 1
    return weights / weights.sum(axis=1, keepdims=True)


def flagged(world: World, recorded: Array, pages: Array) -> dict[str, Any]:
    """[pages] whether each is flagged, by what, when ``recorded`` [runs, cells] is what it is compared with."""
    spreads = cell_spreads(world.keys, recorded, proportion_error(recorded.mean(axis=0), world.examples))
    page = Page(world.keys, recorded, spreads, world.headline)
    found = {}
    for family, p_values in page.p_values(pages).items():
        found[family] = p_values.min(axis=-1) * p_values.shape[-1] < LEVELS[family]  # Holm's first step
    averages = average_spreads(recorded, world.rows, spreads.std)
    both = np.vstack([np.eye(len(world.keys)), world.rows])
    error = np.concatenate([spreads.std, averages.std]) * math.sqrt(1 + 1 / len(recorded))
    gaps = (pages - recorded.mean(axis=0)) @ both.T
    p_values = 2 * stats.t.sf(np.abs(gaps) / error, np.concatenate([spreads.freedom, averages.freedom]))
    below = np.where(gaps < 0, p_values, 1.0).min(axis=-1)
    found["cell"] = below * p_values.shape[-1] < 1 - OF_RECORDED
    return {"any": np.any(list(found.values()), axis=0), **found, "outside": (p_values < 0.05).mean(axis=-1)}


def left_out(world: World, recording: Recording) -> list[dict[str, Any]]:
    """Each recorded run verified against the others."""
    scores, found = scores_of(recording), []
    for number, run in enumerate(recording.recorded.runs):
        result = flagged(world, np.delete(scores, number, axis=0), scores[number : number + 1])
        by = [name for name in ("cell", *LEVELS) if result[name][0]]
        outside = round(100 * float(result["outside"][0]), 1)
        found.append({"seed": run.seed, "kernel": run.kernel, "outside": outside, "flagged": by})
    return found


def simulated(world: World, pages: int, shared: float, tails: float | None) -> dict[str, Any]:
    """How many of so many pages are flagged, and by what."""
    generator = np.random.default_rng([int(10 * shared), int(tails or 0)])
    totals: dict[str, int] = {}
    for _ in range(pages // PER_RECORDING):
        drawn = world.draw(world.runs + PER_RECORDING, shared, tails, generator)
        result = flagged(world, drawn[: world.runs], drawn[world.runs :])
        for name in ("any", "cell", *LEVELS):
            totals[name] = totals.get(name, 0) + int(result[name].sum())
    return {"shared": shared, "tails": tails, "pages": pages // PER_RECORDING * PER_RECORDING, **totals}


def main() -> None:
    """Count, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=10_000, help="drawn with each setting of the model (10000)")
    parser.add_argument("--profile", default="tiny", help="default: tiny")
    parser.add_argument("--model", default="babel", help="default: babel")
    parser.add_argument("--configs", type=Path, default=ROOT / "configs", help="default: the project's")
    parser.add_argument("--output", type=Path, default=FIGURES, help="default: tests/results/honest_pages.yaml")
    given = parser.parse_args()
    recording = load_recording(given.configs / "reported", given.profile, given.model)
    if recording is None:
        raise InputError("expected recorded runs; run make expectations", given.configs / "reported")
    names = dict.fromkeys(row.task for row in recording.rows)
    world = World(recording, {name: load(Task, given.configs / "tasks" / f"{name}.yaml") for name in names})
    content: dict[str, Any] = {"recording": sha256_file(given.configs / "reported" / f"{given.profile}.yaml")}
    content["left_out"] = left_out(world, recording)
    content["simulated"] = []
    for tails in TAILS:
        for shared in SHARED:
            content["simulated"].append(simulated(world, given.pages, shared, tails))
            print(content["simulated"][-1], flush=True)
    write_atomic(given.output, HEADER + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120))


if __name__ == "__main__":
    sys.exit(exit_status(main))
