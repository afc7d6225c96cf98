"""How far scores move when a training does as the reference does and not as this artifact does (docs/protocol.md).

    python tests/protocol_differences.py --data out/tiny/data --encoder out/cache/babel --out /tmp/differences

trains runs of the generated world both ways, with three seeds, and prints a Markdown table: the mean difference over seeds
with its 95 % interval (Student), the reference's way minus this one, scores averaged over languages. About ten minutes of one
core.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from scipy.stats import t as student
from tabulate import tabulate
from torch import nn

from xlt.config.run_config import Stage
from xlt.data.features import Feature
from xlt.errors import exit_status
from xlt.evaluation.context import Context
from xlt.files import read_json
from xlt.modeling.heads import make_head
from xlt.modeling.model import TransferModel
from xlt.pipeline.train_run import features_of, training_records
from xlt.training import trainer
from xlt.training.objectives import local_losses

ROOT = Path(__file__).resolve().parents[1]

SEEDS = (1, 2, 3)
EVERY = 25
"""Steps between two looks at the development set: nine an epoch here (XTREME: 100 steps of MultiNLI, some 120 an epoch)."""

Patch = Callable[[], contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True)
class Way:
    """A way to train: what the profile says otherwise, and what of the code is replaced."""

    name: str
    profile: dict[str, Any] = field(default_factory=dict)
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
        head = make_head(*args, **options)
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        return head

    return mock.patch("xlt.modeling.model.make_head", drawn)


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
        model.load_trained_state(best[1], with_head=True)
        return history

    return mock.patch("xlt.pipeline.train_run.fit", fit)


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

    return mock.patch("xlt.pipeline.train_run.development", development)


OURS = Way("ours")
LONGER = Way("ours-longer", {"epochs": {"mnli": 3, "lareqa": 3}})
"""More epochs than the profile has, so that there is something to choose from."""
HEADS, DUAL = Way("heads", patch=normal_heads), Way("dual", {"dual_encoder": "reference"})
OFTEN, LOSS = replace(LONGER, name="often", patch=often_evaluated), replace(LONGER, name="loss", patch=by_loss)
CELLS = (
    *(
        Cell("dual encoder `reference`", OURS, DUAL, f"{tuning}/lareqa", task, metric)
        for task, metric in (("lareqa", "map@20"), ("tatoeba", "accuracy"))
        for tuning in ("full", "adapter")
    ),
    *(
        Cell("heads drawn from N(0, 0.02)", OURS, HEADS, f"{tuning}/{recipe}", task, metric)
        for recipe, task, metric in (("mnli", "xnli", "accuracy"), ("udpos", "udpos", "f1"))
        for tuning in ("full", "adapter")
    ),
    Cell("LAReQA's epoch by mean loss", LONGER, LOSS, "full/lareqa", "lareqa", "map@20"),
    Cell(f"best of every {EVERY} steps", LONGER, OFTEN, "full/mnli", "xnli", "accuracy"),
)


def call(script: str, *arguments: str | Path) -> None:
    """The command line of one of the project's scripts, in this process."""
    with mock.patch.object(sys, "argv", [script, *map(str, arguments)]):
        status = exit_status(importlib.import_module(script).main)
    if status:
        sys.exit(status)


def plan(way: Way, data: Path, out: Path) -> Path:
    """The root of the plan of a way's runs; planned once."""
    root = out / way.name
    if not root.exists():
        configs = out / f"configs-{way.name}"
        shutil.copytree(ROOT / "configs", configs)
        path = configs / "profiles" / "tiny.yaml"
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
        profile |= way.profile | {"epochs": profile["epochs"] | way.profile.get("epochs", {}), "seeds": list(SEEDS)}
        path.write_text(yaml.safe_dump(profile), encoding="utf-8")
        call("plan", "--profile", "tiny", "--configs", configs, "--root", root, "--data", data)
    return root


def score(cell: Cell, way: Way, seed: int, data: Path, encoder: Path, out: Path) -> float:
    """A cell's score one way, in percent; a run that is done is not made again."""
    run = plan(way, data, out) / "runs" / cell.run / f"seed-{seed}"
    with way.patch():
        call("run", run, "--data", data, "--encoder", encoder, "--threads", "1")
    return statistics.fmean(read_json(run / "scores.json")["tasks"][cell.task]["metrics"][cell.metric].values())


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval, by Student's t."""
    spread = statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.fmean(differences), float(student.ppf(0.975, len(differences) - 1)) * spread


def rows(data: Path, encoder: Path, out: Path) -> Iterator[tuple[str, ...]]:
    """A row per cell: both scores, the difference and the differences by seed."""
    for cell in CELLS:
        ours, theirs = (
            [score(cell, way, seed, data, encoder, out) for seed in SEEDS] for way in (cell.ours, cell.theirs)
        )
        apart = [b - a for a, b in zip(ours, theirs, strict=True)]
        mean, half = interval(apart)
        yield (
            cell.what,
            cell.run,
            f"{cell.task} {cell.metric}",
            f"{statistics.fmean(ours):.1f}",
            f"{statistics.fmean(theirs):.1f}",
            f"{mean:+.1f} [{mean - half:.1f}, {mean + half:.1f}]".replace("-", "−"),
            ", ".join(f"{each:+.1f}" for each in apart).replace("-", "−"),
        )
        print(f"\n{cell.what}, {cell.run}, {cell.task}: {mean:+.1f}", file=sys.stderr, flush=True)


def main() -> None:
    """Make every run both ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a folder; runs that are done there are not made again")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = list(rows(options.data.resolve(), options.encoder.resolve(), options.out.resolve()))
    header = ["the reference's way", "run", "score", "here", "there", "difference", "by seed"]
    print(tabulate(found, header, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
