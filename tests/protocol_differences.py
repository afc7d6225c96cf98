"""How far scores move when a training does as the reference does and not as this artifact does (docs/protocol.md).

    python -m tests.protocol_differences --data out/tiny/data --encoder out/cache/babel --out /tmp/differences

trains runs of the generated world both ways, with three seeds, and prints a Markdown table: the mean difference over seeds
with its 95 % interval (Student), the other way minus this one, scores averaged over languages. Twenty minutes of one
core; with ``--quick`` one seed and few examples, to see that every way is another one.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from scipy.stats import t as student
from tabulate import tabulate
from tests import small_runs
from tests.small_runs import Changes
from torch import nn

from xlt.config.run_config import Stage
from xlt.data.features import Feature
from xlt.files import read_json
from xlt.modeling.model import TransferModel, fresh_head
from xlt.pipeline.context import Context
from xlt.pipeline.train_run import features_of, training_records
from xlt.training import trainer
from xlt.training.objectives import local_losses

SEEDS = (1, 2, 3)
EVERY = 25
"""Steps between two looks at the development set: 10 an epoch here (XTREME: 100 steps of MultiNLI, some 120 an epoch)."""

Patch = Callable[[], contextlib.AbstractContextManager[Any]]
"""Replaces something of the code, and gives a mock that knows whether it was called (None when nothing is replaced)."""


@dataclass(frozen=True)
class Way:
    """A way to train: what configs say otherwise, and what of the code is replaced."""

    name: str
    changes: Changes = field(default_factory=dict)
    patch: Patch = contextlib.nullcontext


@dataclass(frozen=True)
class Cell:
    """A number of the table: a score (the mean over languages of a metric) of a run, both ways."""

    what: str
    ours: Way
    theirs: Way
    run: str
    task: str
    metric: str


def normal_heads() -> contextlib.AbstractContextManager[Any]:
    """Dense and output weights of a head drawn from N(0, 0.02), biases 0, as transformers' ``_init_weights`` does."""

    def drawn(*args: Any, **options: Any) -> nn.Module:
        head = fresh_head(*args, **options)
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        return head

    return mock.patch("xlt.modeling.model.fresh_head", side_effect=drawn)


def often_evaluated() -> contextlib.AbstractContextManager[Any]:
    """The best of the weights after every ``EVERY`` steps, and not after every epoch."""

    def fit(model: TransferModel, features: Sequence[Feature], settings: Any, evaluate: Any, **others: Any) -> Any:
        best: tuple[float, dict[str, torch.Tensor]] = (-math.inf, {})
        step = trainer._Training.step

        def and_evaluate(training: Any, batch: Sequence[int]) -> float:
            nonlocal best
            loss = step(training, batch)
            if training.history.steps % EVERY == 0:
                score = evaluate()
                model.train()
                if score > best[0]:
                    best = score, model.trained_state()
            return loss

        with mock.patch.object(trainer._Training, "step", and_evaluate):
            history = trainer.fit(
                model, features, replace(settings, checkpoint="last"), None, **others | {"checkpointer": None}
            )
        assert best[1], f"expected more than {EVERY} steps, got {history.steps}"
        model.load_trained_state(best[1], with_head=True)
        return history

    return mock.patch("xlt.pipeline.train_run.fit", side_effect=fit)


def by_loss() -> contextlib.AbstractContextManager[Any]:
    """A dual encoder's epoch with the least mean loss of the development pairs, in batches of the recipe in file order."""

    def development(stage: Stage, model: TransferModel, tokenizer: Any, context: Context) -> Callable[[], float]:
        assert stage.dev is not None
        held_out = stage.model_copy(update={"train": stage.dev, "caps": stage.caps.model_copy(update={"train": None})})
        records = training_records(held_out, context.data)
        features = features_of(stage, records, tokenizer, context.config.model.retrieval_prefix)
        size = stage.recipe.batch_size
        batches = [features[start : start + size] for start in range(0, len(features), size)]

        def score() -> float:
            model.eval()
            with torch.no_grad():
                losses = [
                    sum(float(part()) for part in local_losses(model, batch, context.budget)) for batch in batches
                ]
            return -sum(loss * len(batch) for loss, batch in zip(losses, batches, strict=True)) / len(features)

        return score

    return mock.patch("xlt.pipeline.train_run.development", side_effect=development)


def profile(**changes: Any) -> Changes:
    """What the profile says otherwise."""
    return {"profiles/tiny": changes}


def cells() -> Iterator[Cell]:
    """The table's rows. Where there must be something to choose from: more epochs than the profile has, of fewer examples."""
    ours = Way("ours")
    three = profile(epochs={"mnli": 3, "lareqa": 3}, caps={"mnli": {"train": 4000}, "lareqa": {"train": 350}})
    longer = Way("longer", three)
    reference = Way("dual-encoder", profile(dual_encoder="reference"))
    for recipe, task, metric in (
        ("lareqa", "lareqa", "map@20"),
        ("lareqa", "tatoeba", "accuracy"),
        ("mewslix", "mewslix", "map@20"),
    ):
        for tuning in ("full", "adapter"):
            yield Cell("dual encoder `reference`", ours, reference, f"{tuning}/{recipe}", task, metric)
    heads = Way("heads", patch=normal_heads)
    for recipe, task, metric in (("mnli", "xnli", "accuracy"), ("udpos", "udpos", "f1")):
        for tuning in ("full", "adapter"):
            yield Cell("heads drawn from N(0, 0.02)", ours, heads, f"{tuning}/{recipe}", task, metric)
    least, often = replace(longer, name="loss", patch=by_loss), replace(longer, name="often", patch=often_evaluated)
    yield Cell("LAReQA's epoch by mean loss", longer, least, "full/lareqa", "lareqa", "map@20")
    yield Cell(f"best of every {EVERY} steps", longer, often, "full/mnli", "xnli", "accuracy")
    for tuning in ("full", "adapter"):
        alone = Way("copa-alone", {"recipes/copa": {"after": None}})
        yield Cell("COPA without Social IQa", ours, alone, f"{tuning}/copa", "xcopa", "accuracy")


class Runs:
    """The runs of all ways below a folder, each planned and made once."""

    def __init__(self, data: Path, encoder: Path, out: Path, seeds: Sequence[int], quick: bool) -> None:
        self.data, self.encoder, self.out, self.seeds = data, encoder, out, seeds
        caps = {name: {"train": 1000} for name in ("default", "mnli")} | {"lareqa": {"train": 40}}
        self.extra = {"seeds": list(seeds), **({"caps": caps} if quick else {})}

    def folder(self, cell: Cell, way: Way, seed: int) -> Path:
        """The folder of a run, planned."""
        out = self.out / way.name
        if not (out / "root").exists():
            changes = {**way.changes, "profiles/tiny": {**way.changes.get("profiles/tiny", {}), **self.extra}}
            small_runs.plan(out, self.data, self.encoder, changes)
        return out / "root" / "runs" / cell.run / f"seed-{seed}"

    def score(self, cell: Cell, way: Way, seed: int) -> float:
        """A cell's score one way, in percent."""
        run = self.folder(cell, way, seed)
        trained = (run / "trained.json").exists()
        with way.patch() as replaced:
            small_runs.make(run, self.data, self.encoder)
        if replaced is not None and not trained and not replaced.called:
            sys.exit(f"{run}: expected the way {way.name} to replace something, and nothing of it was called")
        return statistics.fmean(read_json(run / "scores.json")["tasks"][cell.task]["metrics"][cell.metric].values())

    def check(self, cell: Cell) -> None:
        """Refuse two ways with the same config and the same code."""
        ours, theirs = ((self.folder(cell, way, 1) / "config.yaml").read_bytes() for way in (cell.ours, cell.theirs))
        if (ours == theirs) == (cell.theirs.patch is contextlib.nullcontext):
            sys.exit(
                f"{cell.what}, {cell.run}: expected ways that differ in the config or in the code, and in one alone"
            )


def interval(differences: Sequence[float]) -> str:
    """Mean and its 95 % interval, by Student's t; the mean alone of one difference."""
    mean, count = statistics.fmean(differences), len(differences)
    if count == 1:
        return f"{mean:+.1f}"
    half = float(student.ppf(0.975, count - 1)) * statistics.stdev(differences) / math.sqrt(count)
    return f"{mean:+.1f} [{mean - half:.1f}, {mean + half:.1f}]"


def rows(runs: Runs) -> Iterator[tuple[str, ...]]:
    """A row per cell: both scores, the difference and the differences by seed."""
    for cell in cells():
        runs.check(cell)
        ours, theirs = ([runs.score(cell, way, seed) for seed in runs.seeds] for way in (cell.ours, cell.theirs))
        apart = [b - a for a, b in zip(ours, theirs, strict=True)]
        yield (
            cell.what,
            f"`{cell.run}`",
            f"{cell.task} {cell.metric}",
            f"{statistics.fmean(ours):.1f}",
            f"{statistics.fmean(theirs):.1f}",
            interval(apart).replace("-", "−"),
            ", ".join(f"{each:+.1f}" for each in apart).replace("-", "−"),
        )
        print(f"{cell.what}, {cell.run}, {cell.task}: {interval(apart)}", file=sys.stderr, flush=True)


def main() -> None:
    """Make every run both ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a folder; runs that are done there are not made again")
    parser.add_argument("--quick", action="store_true", help="one seed, few examples")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folders = (path.resolve() for path in (options.data, options.encoder, options.out))
    found = list(rows(Runs(*folders, seeds=SEEDS[:1] if options.quick else SEEDS, quick=options.quick)))
    header = ["the other way", "run", "score", "here", "there", "difference", "by seed"]
    print(tabulate(found, header, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
