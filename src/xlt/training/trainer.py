"""The one training loop: AdamW, linear decay, random batches, the best epoch by English development score or the last."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from xlt.data import batching
from xlt.data.batching import epoch_batches
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.modeling.distributed import is_main_process
from xlt.modeling.model import TransferModel
from xlt.modeling.trained_rows import ReadRows, read_rows_only
from xlt.training.checkpoint_state import TrainingState, capture, restore
from xlt.training.checkpointer import Checkpointer
from xlt.training.gradients import draw_apart
from xlt.training.objectives import local_losses
from xlt.training.optimizer_step import MicroBatches, Perturbation, StepBatch, optimizer_step


@dataclass(frozen=True, slots=True)
class TrainingArguments:
    """Hyper-parameters of one training. ``token_budget`` bounds a micro-batch and does not change the result.

    ``decay``: whether the learning rate falls linearly to 0 after the warm-up or stays ``constant``.
    ``capped``: the training set is smaller than the one that the number of warm-up steps was published for. ``checkpoint``:
    which epoch's weights are kept, those of the best development score or the last.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    seed: int
    token_budget: int = 4096
    decay: Literal["linear", "constant"] = "linear"
    capped: bool = False
    checkpoint: Literal["best", "last"] = "best"


@dataclass(frozen=True, slots=True)
class Unfrozen:
    """A layer (0 at the bottom) that joined the training at a step, with the Fisher trace that chose it, if one did."""

    step: int
    layer: int
    trace: float | None


Upcoming = Callable[[int], list[list[Feature]]]
"""The next so many batches of a training, that of the coming step first."""


class Schedule(Protocol):
    """A way of unfreezing: which of the trained parameters get gradients at a step. ``unfrozen`` is what happened."""

    unfrozen: list[Unfrozen]

    def before_step(self, model: TransferModel, upcoming: Upcoming, step: int, total: int) -> None:
        """Set ``requires_grad`` of the model's trained parameters for step ``step`` (from 0) of ``total``."""


@dataclass(slots=True)
class History:
    """What happened: mean loss and development score (percent) per epoch, the epoch kept, steps and seconds.

    ``unfrozen``: the order in which layers joined, where a schedule decided it. ``halved``: the steps at which memory did
    not do and micro-batches were halved.
    """

    losses: list[float] = field(default_factory=list)
    dev_scores: list[float] = field(default_factory=list)
    best_epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    unfrozen: list[Unfrozen] = field(default_factory=list)
    halved: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The history as JSON-like values."""
        return asdict(self)


class Trainable(Protocol):
    """Something that has trained parameters: a model, or several that share an encoder."""

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""


def make_optimizer(model: Trainable, settings: TrainingArguments) -> torch.optim.AdamW:
    """AdamW over the trained parameters only; biases and layer norms are not decayed, as in the XTREME scripts."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.trained_parameters().items():
        (plain if parameter.ndim < 2 or "LayerNorm" in name else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, eps=1e-8, fused=True)


def linear_schedule(step: int, total: int, warmup: int) -> float:
    """Factor of the learning rate at ``step`` (from 0): linear up over ``warmup`` steps, then linear down to 0."""
    if step < warmup:
        return (step + 1) / max(1, warmup)
    return max(0.0, (total - step) / max(1, total - warmup))


def constant_schedule(step: int, warmup: int) -> float:
    """Factor of the learning rate at ``step`` (from 0): linear up over ``warmup`` steps, then 1."""
    return min(1.0, (step + 1) / max(1, warmup))


def warmup_of(settings: TrainingArguments, total: int) -> int:
    """Warm-up steps of a training of ``total`` steps.

    As published, even where that is more than there are (XTREME's TyDiQA: 500 of about 340, a rate that never stops rising);
    a capped training set gets at most a tenth of its steps, for on it a fixed number would be another schedule.
    """
    return min(settings.warmup_steps, total // 10) if settings.capped else settings.warmup_steps


def fit(
    model: TransferModel,
    features: Sequence[Feature],
    settings: TrainingArguments,
    evaluate: Callable[[], float] | None,
    *,
    title: str,
    perturbation: Perturbation | None = None,
    schedule: Schedule | None = None,
    checkpointer: Checkpointer | None = None,
) -> History:
    """Train ``model`` in place and leave it with the weights of its best or last epoch, as ``settings`` say.

    Args:
        model: the model; only parameters that require gradients change.
        features: the training set.
        settings: hyper-parameters.
        evaluate: gives the English development score in percent after each epoch, or None when there is no
            development data: then the last epoch is kept.
        title: shown on the progress bar.
        perturbation: robust training, or None.
        schedule: when the trained parameters are unfrozen, or None for all of them at once.
        checkpointer: writes checkpoints, and has the one to go on from; None for a training that cannot be resumed.

    Raises:
        InputError: there is nothing to train on, the loss is not finite (with the batch), or memory does not do.
        Interrupted: a signal asked to stop; a checkpoint is written.
    """
    if not features:
        raise InputError(
            f"{title}: expected training examples, got none; look at the profile's caps and the data folder"
        )
    torch.manual_seed(settings.seed)
    with read_rows_only(model.encoder, features, model.pad_id) if batching.FAST else nullcontext() as rows:
        training = _Training(model, features, settings, title, perturbation, schedule, rows)
        history = _carry_out(training, evaluate, checkpointer or Checkpointer(None))
    model.unread_factor = 1.0 if rows is None else rows.unread_factor
    return history


def _carry_out(training: _Training, evaluate: Callable[[], float] | None, checkpointer: Checkpointer) -> History:
    """All epochs of a training, and the weights of the one that is kept."""
    model, settings, schedule = training.model, training.settings, training.schedule
    found = checkpointer.pop_resume_state()
    if found is not None:
        training.restore(found)
    history = training.history
    with (
        progress(training.title, training.total, history.steps) as bar,
        checkpointer.checkpoint_on_signal(training.state),
    ):
        for _ in range(training.epoch, settings.epochs):
            model.train()
            for batch in training.batches_left():
                bar.set_postfix(epoch=training.epoch + 1, loss=f"{training.step(batch):.3f}", refresh=False)
                bar.update()
                checkpointer.after_step()
            with checkpointer.between_steps():
                score = None if evaluate is None else evaluate()
            training.end_epoch(score)
    if evaluate is None or settings.checkpoint == "last":
        history.best_epoch = settings.epochs - 1
    elif history.best_epoch != settings.epochs - 1:
        model.load_trained_state(training.best, with_head=True)
    history.unfrozen = [] if schedule is None else schedule.unfrozen
    history.halved = training.micro_batches.halved
    history.seconds = training.seconds()
    return history


def progress(title: str, total: int, done: int) -> tqdm[Any]:
    """A progress bar. One that is not watched (a log file) is written twice a minute, so that the log stays small."""
    interval = 2.0 if sys.stderr.isatty() else 30.0
    return tqdm(
        total=total,
        initial=done,
        desc=title,
        unit="step",
        mininterval=interval,
        dynamic_ncols=True,
        disable=not is_main_process(),
    )


class _Training:
    """The state of one training: where it is, the optimizer, what happened, the best weights so far."""

    def __init__(
        self,
        model: TransferModel,
        features: Sequence[Feature],
        settings: TrainingArguments,
        title: str,
        perturbation: Perturbation | None,
        schedule: Schedule | None,
        rows: ReadRows | None,
    ) -> None:
        self.model, self.features, self.settings, self.title = model, features, settings, title
        self.perturbation, self.schedule, self.rows = perturbation, schedule, rows
        self.optimizer = make_optimizer(model, settings)
        if rows is not None:
            rows.follow(self.optimizer)
        self.per_epoch = math.ceil(len(features) / settings.batch_size)
        self.total = self.per_epoch * settings.epochs
        self.warmup = warmup_of(settings, self.total)
        self.micro_batches = MicroBatches(settings.token_budget)
        self.history = History()
        self.best: dict[str, Tensor] = {}
        self.epoch, self.epoch_loss = 0, 0.0
        self.started = time.perf_counter()

    def seconds(self) -> float:
        """Seconds so far; ``history.seconds`` are those before this process."""
        return self.history.seconds + time.perf_counter() - self.started

    def batches_left(self) -> list[list[int]]:
        """The batches of this epoch that are still to come, as indices of features."""
        done = self.history.steps - self.epoch * self.per_epoch
        return epoch_batches(len(self.features), self.settings.batch_size, self.settings.seed, self.epoch)[done:]

    def upcoming(self, count: int) -> list[list[Feature]]:
        """The next ``count`` batches, those of the epochs to come after those of this one."""
        batches = self.batches_left()
        later = self.epoch + 1
        while len(batches) < count:
            batches += epoch_batches(len(self.features), self.settings.batch_size, self.settings.seed, later)
            later += 1
        return [[self.features[i] for i in batch] for batch in batches[:count]]

    def rate_factor(self, step: int) -> float:
        """Factor of the learning rate at a step."""
        if self.settings.decay == "constant":
            return constant_schedule(step, self.warmup)
        return linear_schedule(step, self.total, self.warmup)

    def step(self, batch: Sequence[int]) -> float:
        """One optimizer step; returns its loss."""
        step, model = self.history.steps, self.model
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self.rate_factor(step)
        chosen = [self.features[i] for i in batch]
        if self.schedule is not None:
            self.schedule.before_step(model, self.upcoming, step, self.total)
        draw_apart(self.settings.seed, step, self.perturbation)
        parts = partial(local_losses, model, chosen)
        loss = optimizer_step(
            StepBatch(model, parts, chosen, self.title, step),
            self.micro_batches,
            self.optimizer,
            self.settings.max_grad_norm,
            self.perturbation,
        )
        self.epoch_loss += loss
        self.history.steps += 1
        return loss

    def end_epoch(self, score: float | None) -> None:
        """Note the epoch's loss and development score, and keep its weights if they are the best so far."""
        history = self.history
        history.losses.append(self.epoch_loss / self.per_epoch)
        if score is not None:
            history.dev_scores.append(score)
            first = len(history.dev_scores) == 1
            if self.settings.checkpoint == "best" and (first or score > history.dev_scores[history.best_epoch]):
                history.best_epoch = self.epoch
                self.best = self.model.trained_state()
        self.epoch, self.epoch_loss = self.epoch + 1, 0.0

    def state(self) -> TrainingState:
        """Everything that the rest of the training depends on."""
        state = capture(self.model.trained_parameters(), self.optimizer, self.best)
        values = {
            "epoch": self.epoch,
            "epoch_loss": self.epoch_loss,
            "history": {**self.history.as_json(), "seconds": self.seconds()},
            "micro_batches": asdict(self.micro_batches),
            "unread_factor": 1.0 if self.rows is None else self.rows.unread_factor,
        }
        return add_plugins(TrainingState(state.values | values, state.tensors), self.perturbation, self.schedule)

    def restore(self, state: TrainingState) -> None:
        """Go on from what ``state`` gave."""
        self.best = restore(state, self.model.trained_parameters(), self.optimizer)
        self.epoch, self.epoch_loss = state.values["epoch"], state.values["epoch_loss"]
        self.history = History(**state.values["history"])
        self.micro_batches = MicroBatches(**state.values["micro_batches"])
        if self.rows is not None:
            self.rows.unread_factor = state.values["unread_factor"]
        restore_plugins(state, self.perturbation, self.schedule)


def add_plugins(state: TrainingState, perturbation: Perturbation | None, schedule: Schedule | None) -> TrainingState:
    """A training's state with that of what plugs into its loop."""
    values, tensors = dict(state.values), dict(state.tensors)
    if perturbation is not None:
        tensors["perturbation"], values["perturbation"] = perturbation.state()
    if schedule is not None:
        values["unfrozen"] = [asdict(entry) for entry in schedule.unfrozen]
    return TrainingState(values, tensors)


def restore_plugins(state: TrainingState, perturbation: Perturbation | None, schedule: Schedule | None) -> None:
    """Let what plugs into the loop go on from ``state``."""
    if perturbation is not None:
        perturbation.restore(state.tensors["perturbation"], state.values["perturbation"])
    if schedule is not None:
        schedule.unfrozen = [Unfrozen(**entry) for entry in state.values["unfrozen"]]
