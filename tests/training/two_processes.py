"""Trainings that tests/training/test_parallel.py carries out in one process and, started as a script, in two."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from xlt.config.regimes import Bottleneck, Full
from xlt.config.robustness import Adversarial, RandomPerturbation
from xlt.data.features import IGNORED, Feature
from xlt.errors import Interrupted, NotFinite
from xlt.families import FAMILIES, SUPERVISED
from xlt.files import read_json, to_json
from xlt.layout import TRAINED
from xlt.modeling import distributed
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.outputs import outputs_of
from xlt.modeling.pretrained import load_tokenizer
from xlt.modeling.sentence_embeddings import embed
from xlt.pipeline.steps import make_context, train_step
from xlt.training import multitask, trainer
from xlt.training.checkpointer import Checkpointer
from xlt.training.multitask import fit
from xlt.training.robustness.adversarial import AdversarialTraining
from xlt.training.robustness.noise import RandomNoise
from xlt.training.trainer import TrainingArguments

FULL, ADAPTER = Full(kind="full"), Bottleneck(kind="bottleneck", reduction_factor=4)
SETTINGS = TrainingArguments(2, 7, 0.01, 0, 0.01, 1.0, 1, token_budget=40)
Result = dict[str, Any]


def write_still_encoder(folder: Path, planned_for: Path) -> Path:
    """The miniature encoder without dropout, in the place of the one that runs were planned for.

    What it learns follows from the data alone.
    """
    from tests.conftest import stamp_as_prepared, write_mini_encoder

    write_mini_encoder(folder)
    config = read_json(folder / "config.json") | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(to_json(config), encoding="utf-8")
    stamp_as_prepared(folder, str(planned_for))
    return folder


def features(family: str, examples: int = 15) -> list[Feature]:
    """Inputs of 4 to 16 tokens; of 15 in batches of 7 the last is a batch of one example."""
    draw = np.random.default_rng(3)
    made = []
    for number in range(examples):
        lengths = draw.integers(4, 17, {"choice": 3, "lareqa": 2}.get(family, 1))
        rows = [[0, *map(int, draw.integers(4, 60, length - 2)), 2] for length in lengths]
        target: Any = number % 3
        if family == "tagging":  # as many labelled words as the example's number allows
            target = [number % 3 if place <= number else IGNORED for place in range(len(rows[0]))]
        elif family == "span":
            target = (1, 2)
        made.append(Feature(number, rows, [[0] * len(row) for row in rows], target))
    return made


def model(encoder: Path, family: str, tuning: Any) -> TransferModel:
    return build_model(encoder, family=FAMILIES[family], labels=3, tuning=tuning, pooling="mean", seed=1)


@contextmanager
def steady() -> Iterator[None]:
    """AdamW with a large epsilon: some gradients are zero but for rounding, and it would divide by them."""

    def made(*given: Any) -> torch.optim.AdamW:
        optimizer = own(*given)
        for group in optimizer.param_groups:
            group["eps"] = 1e-3
        return optimizer

    own = multitask.make_optimizer
    multitask.make_optimizer = made
    try:
        yield
    finally:
        multitask.make_optimizer = own


def trained(
    encoder: Path,
    family: str = "classification",
    tuning: Any = FULL,
    *,
    penalty: bool = False,
    perturbation: Any = None,
    checkpointer: Checkpointer | None = None,
    settings: TrainingArguments = SETTINGS,
    examples: int = 15,
) -> Result:
    """Losses of all steps, history and weights of a training."""
    made = model(encoder, family, tuning)
    if penalty:
        made.penalty = lambda: sum(p.square().sum() for p in made.trained_parameters().values())  # type: ignore[assignment, return-value]
    losses: list[float] = []
    own = trainer.optimizer_step

    def noted(*given: Any) -> float:
        losses.append(own(*given))
        return losses[-1]

    trainer.optimizer_step = noted
    data = features(family, examples)
    score = None if family == "lareqa" else lambda: evaluated(made, data)
    try:
        history = fit(made, data, settings, score, title="t", perturbation=perturbation, checkpointer=checkpointer)
    finally:
        trainer.optimizer_step = own
    told = {name: value for name, value in history.as_json().items() if name != "seconds"}
    return {"losses": losses, "history": told, "weights": made.trained_state()}


def evaluated(made: TransferModel, data: Sequence[Feature]) -> float:
    """A figure that every prediction changes and that falls, so that the first epoch is the best."""
    outputs = outputs_of(made, data, budget=40, title="t")
    return -sum(float(np.abs(own).sum()) * number for number, own in enumerate(outputs, start=1))


def predicted(encoder: Path) -> Result:
    """What a model gives for the data of each family, and the vectors of texts."""
    outputs = {}
    for family in ("classification", "choice", "tagging", "span"):
        made = build_model(encoder, family=FAMILIES[family], labels=3, tuning=FULL, pooling="mean", seed=1)
        outputs[family] = outputs_of(made, features(family), budget=40, title="t")
        outputs[f"{family}, fewer batches than processes"] = outputs_of(made, features(family, 1), budget=40, title="t")
    texts = ["the cat sat", "a dog", "the cat sat", "Anna saw the red house", "Bob ran"]
    vectors = embed(made.encoder, load_tokenizer(encoder), texts, batch_tokens=12)
    return {"outputs": outputs, "vectors": vectors}


def perturbed(encoder: Path, kind: str, checkpointer: Checkpointer | None = None, examples: int = 15) -> Result:
    """A training under a perturbation, and the size that it measured at first."""
    tokenizer = load_tokenizer(encoder)
    made: Any
    if kind == "adversarial":
        values = Adversarial(kind="adversarial", norm="l2", radius=0.01, steps=2, step_size=0.01)
        made = AdversarialTraining(values, tokenizer, 1)
    else:
        made = RandomNoise(RandomPerturbation(kind="random", norm="l2", radius=0.01), tokenizer, 1)
    result = trained(encoder, perturbation=made, checkpointer=checkpointer, examples=examples)
    return {**result, "measured": made.state()[1]}


@contextmanager
def losses_as(change: Callable[[Tensor, int], Tensor]) -> Iterator[None]:
    """Let a process change each part of the classification loss; it is given how many examples it has."""
    family = SUPERVISED["classification"]
    own = family.loss_sum
    with mock.patch.object(family, "loss_sum", lambda made, batch: change(own(made, batch), len(batch))):
        yield


def short_of_memory(encoder: Path) -> Result:
    """The second process has memory for two examples at a time only."""

    def change(loss: Tensor, examples: int) -> Tensor:
        if examples > 2 and distributed.rank() == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return loss

    with losses_as(change):
        return trained(encoder, settings=replace(SETTINGS, token_budget=1000))


def not_a_number(encoder: Path, folder: Path) -> Result:
    """The loss of the second process is not a number from its fourth part on."""
    parts = iter(range(100))

    def change(loss: Tensor, examples: int) -> Tensor:
        return loss * (float("nan") if distributed.rank() == 1 and next(parts) >= 3 else 1.0)

    try:
        with losses_as(change):
            trained(encoder, checkpointer=Checkpointer(folder, "key"))
    except NotFinite as error:
        return {"error": str(error), "steps": Checkpointer(folder, "key").pop_resume_state().values["done"]}  # type: ignore[union-attr]
    raise AssertionError("the training did not end")


def stopped(encoder: Path, folder: Path, kind: str | None = None) -> Result:
    """The second process alone is asked to stop in its third step; then the training goes on from its checkpoint."""
    work = trained if kind is None else perturbed
    given: Any = (encoder,) if kind is None else (encoder, kind)
    parts = iter(range(100))

    def change(loss: Tensor, examples: int) -> Tensor:
        if distributed.rank() == 1 and next(parts) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    number = None
    try:
        with losses_as(change):
            work(*given, checkpointer=Checkpointer(folder, "key"))
    except Interrupted as error:
        number = error.number
    distributed.wait()
    steps = Checkpointer(folder, "key").pop_resume_state().values["done"]  # type: ignore[union-attr]
    return {**work(*given, checkpointer=Checkpointer(folder, "key")), "signal": number, "steps": steps}


def run(root: Path, name: str, data: Path, encoder: Path) -> Result:
    """A whole training as a run's config asks for it, but of three epochs of several steps."""
    context = make_context(root / "runs" / name, data, encoder, 1)
    stages = [
        stage.model_copy(
            update={
                "recipe": stage.recipe.model_copy(update={"epochs": 3, "batch_size": 3}),
                "learning_rate": 0.003,
            }
        )
        for stage in context.config.stages
    ]
    context = replace(context, config=context.config.model_copy(update={"stages": stages}))
    made = train_step(context)
    assert made is not None
    told = read_json(context.folder / TRAINED)["stages"]
    losses = [loss for name in sorted(told) for loss in told[name]["losses"]]
    return {"weights": made.trained_state(), "losses": losses}


def comparable(still: Path, root: Path, data: Path) -> dict[str, Callable[[], Result]]:
    """Trainings without random numbers, by name. ``still``: an encoder without dropout."""
    runs = ["full/copa", "adapter-fisher/mnli", "lora-gradual/panx", "full-itt-mlm/intermediate"]
    return {
        "classification, full": lambda: trained(still),
        "classification, adapter": lambda: trained(still, "classification", ADAPTER),
        "choice": lambda: trained(still, "choice", ADAPTER),
        "tagging": lambda: trained(still, "tagging"),
        "span": lambda: trained(still, "span", ADAPTER),
        "contrastive": lambda: trained(still, "lareqa"),
        "penalty": lambda: trained(still, penalty=True),
        "fewer examples than processes": lambda: trained(still, examples=1),
        **{f"run {name}": lambda name=name: run(root, f"{name}/seed-1", data, still) for name in runs},  # type: ignore[misc]
    }


def cases(still: Path, encoder: Path, root: Path, data: Path, folder: Path) -> dict[str, Callable[[], Result]]:
    """All trainings that two processes carry out, by name."""
    return {
        **comparable(still, root, data),
        "predictions": lambda: predicted(encoder),
        "out of memory": lambda: short_of_memory(still),
        "not a number": lambda: not_a_number(encoder, folder / "nan"),
        "dropout": lambda: trained(encoder),
        "dropout, stopped": lambda: stopped(encoder, folder / "dropout"),
        "adversarial": lambda: perturbed(still, "adversarial"),
        "adversarial, stopped": lambda: stopped(still, folder / "adversarial", "adversarial"),
        "adversarial, one example": lambda: perturbed(still, "adversarial", examples=1),
        "noise": lambda: perturbed(still, "random"),
    }


def main(number: int, folder: Path, *paths: Path) -> None:
    """Be process ``number`` of two and leave what each case gave in ``folder``."""
    torch.set_num_threads(1)
    still, encoder, root, data = paths
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    with steady(), distributed.joining(store, number, 2):
        found = {name: case() for name, case in cases(still, encoder, root, data, folder).items()}
    (folder / f"{number}.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(Path, sys.argv[2:]))
