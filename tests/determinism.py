"""What of a run stays the same, bit by bit, when it is made again, with other threads, or with another layout of batches.

    python -m tests.determinism --data out/tiny/data --encoder out/cache/babel --out /tmp/determinism

trains small runs of the generated world (100 examples, two epochs) in several ways, and predicts with the first one's weights
in several ways; prints a Markdown table of what differs from the first. About a minute of one core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from tabulate import tabulate
from tests import small_runs

from xlt.data import batching
from xlt.files import read_json

RUNS = ("full/mnli", "adapter/udpos")
PREDICTED = ("predictions", "items", "predicted.json", "scores.json", "examples.npz", "provenance.json", "cost.json")
"""What a run has from its weights; without it, it predicts again and trains nothing."""


@dataclass(frozen=True)
class Variant:
    """A way to make a run again: switches, threads, and whether the first one's weights are kept."""

    name: str
    threads: int = 1
    fast: bool = True
    deterministic: bool = False
    trains: bool = True


FIRST = Variant("first")
VARIANTS = (
    Variant("again"),
    Variant("DETERMINISTIC=1", deterministic=True),
    Variant("two threads", threads=2),
    Variant("FAST=0", fast=False),
    Variant("same weights, DETERMINISTIC=1", deterministic=True, trains=False),
    Variant("same weights, two threads", threads=2, trains=False),
    Variant("same weights, FAST=0", fast=False, trains=False),
)


SMALL = {"caps": {"default": {"train": 100, "dev": 20, "test": 40}}, "epochs": {"default": 2, "mnli": 2}}
"""What the profile says otherwise."""


def make(run: Path, variant: Variant, data: Path, encoder: Path) -> None:
    """Train, predict and score; a run that has its weights trains nothing."""
    batching.FAST = variant.fast
    os.environ["XLT_DETERMINISTIC"] = "1" if variant.deterministic else "0"
    torch.use_deterministic_algorithms(False)  # the run itself switches it on
    small_runs.make(run, data, encoder, variant.threads)


def weights_apart(a: Path, b: Path) -> str:
    """The largest difference of two weights, or that they are the same bits."""
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (a, b))
    if (a / "weights.safetensors").read_bytes() == (b / "weights.safetensors").read_bytes():
        return "same bits"
    return f"{max(float((ours[name] - theirs[name]).abs().max()) for name in ours):.1e}"


def predictions_apart(a: Path, b: Path) -> str:
    """How many lines of the predictions differ."""
    pairs = [
        (line, other)
        for path in sorted((a / "predictions").rglob("*.*"))
        for line, other in zip(
            path.read_text(encoding="utf-8").splitlines(),
            (b / path.relative_to(a)).read_text(encoding="utf-8").splitlines(),
            strict=True,
        )
    ]
    return f"{sum(line != other for line, other in pairs)} of {len(pairs)}"


def scores(run: Path) -> list[float]:
    """Every score of a run, by task, metric and language."""
    tasks = read_json(run / "scores.json")["tasks"].values()
    return [
        value for task in tasks for metric in task["metrics"].values() for value in metric.values() if value is not None
    ]


def compared(first: Path, out: Path, data: Path, encoder: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """A row per run and variant: weights, predictions and scores beside the first one's."""
    for name in RUNS:
        run = first / "runs" / name / "seed-1"
        make(run, FIRST, data, encoder)
        for number, variant in enumerate(VARIANTS):
            other = out / f"variant-{number}" / "runs" / name / "seed-1"
            shutil.copytree(run, other)
            left = [*PREDICTED, *(("weights.safetensors", "trained.json") if variant.trains else ())]
            for each in (other / part for part in left):
                shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
            make(other, variant, data, encoder)
            largest = max(abs(a - b) for a, b in zip(scores(run), scores(other), strict=True))
            weights = weights_apart(run, other) if variant.trains else "kept"
            yield variant.name, name, weights, predictions_apart(run, other), f"{largest:.1f}"
            print(f"{name}: {variant.name}", file=sys.stderr, flush=True)


def main() -> None:
    """Make every run in every way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    data, encoder, out = options.data.resolve(), options.encoder.resolve(), options.out.resolve()
    first = small_runs.plan(out / "first", data, encoder, {"profiles/tiny": SMALL})
    order = [variant.name for variant in VARIANTS]
    rows = sorted(compared(first, out, data, encoder), key=lambda row: order.index(row[0]))
    header = [
        "made",
        "run",
        "weights, largest difference",
        "lines of predictions that differ",
        "largest difference of a score",
    ]
    print(tabulate(rows, header, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
