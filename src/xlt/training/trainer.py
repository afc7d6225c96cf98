"""The one trainer: optimizer steps under one schedule of the learning rate, checkpoints between them, and the best epoch.

A kind of training is a subclass with what differs: ``xlt.training.multitask`` (one task or several, with masked text or
without), ``xlt.training.language_adapter``, ``xlt.training.lexical_injection`` and ``xlt.pipeline.pretraining``.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from xlt.config.benchmark import Checkpoint
from xlt.data.features import Feature
from xlt.modeling.model import TransferModel
from xlt.run_log import Progress
from xlt.training.checkpoint_state import TrainingState, capture, restore
from xlt.training.checkpointer import Checkpointer
from xlt.training.optimizer_step import MicroBatches, MicroBatchLoss, StepBatch, draw_apart, optimizer_step
from xlt.training.progress import TrainingProgress


@dataclass(frozen=True, slots=True)
class TrainingArguments:
    """Hyper-parameters of one training. ``token_budget`` bounds a micro-batch and does not change the result.

    ``decay``: whether the learning rate falls linearly to 0 after the warm-up or stays ``constant``.
    ``capped``: the training set is smaller than the one that the number of warm-up steps was published for. ``checkpoint``:
    which weights it ends with (``xlt.config.benchmark.Checkpoint``).
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
    checkpoint: Checkpoint = "best"


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
    """What happened: mean loss and development score (percent) per epoch, the epoch kept (of a mean the last), steps, time.

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


def is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay pulls a parameter to 0: not biases and layer norms, as in the XTREME scripts.

    Nor what stands for an orthogonal matrix: its size is given, and torch keeps signs in it that must stay 1 or -1.
    """
    return parameter.ndim > 1 and "LayerNorm" not in name and ".parametrizations." not in name


def make_optimizer(
    parameters: Mapping[str, nn.Parameter],
    arguments: TrainingArguments,
    decayed: Callable[[str, nn.Parameter], bool] = is_decayed,
    **options: Any,
) -> torch.optim.AdamW:
    """AdamW with two groups: what is decayed, and what is not."""
    chosen = [p for name, p in parameters.items() if decayed(name, p)]
    others = [p for name, p in parameters.items() if not decayed(name, p)]
    groups = [{"params": chosen, "weight_decay": arguments.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, **{"lr": arguments.learning_rate, "eps": 1e-8, "fused": True, **options})


def set_rates(optimizer: torch.optim.Optimizer, arguments: TrainingArguments, factor: float) -> None:
    """Give the next step its rate and its decay; the second group is the one that is never decayed."""
    decayed, others = optimizer.param_groups
    decayed["lr"] = others["lr"] = arguments.learning_rate * factor
    decayed["weight_decay"] = arguments.weight_decay


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


class Trainer(ABC):
    """One training, from its first step or a checkpoint to its last.

    Args:
        title: said with its progress and in errors.
        parameters: what is trained, by name.
        optimizer: of these parameters (``make_optimizer``).
        epochs: the steps of each epoch.
        warmup: steps in which the rate rises.
        decay: how it goes on, ``linear`` or ``constant``.
        modules: what is switched to training (dropout) before the steps of an epoch.
        keep: which weights it ends with: ``best`` are those of the epoch with the highest mean development score, the first
            of several.
    """

    kept: tuple[str, ...] = ("done", "epoch", "seconds", "means")
    """The names of the JSON-like attributes that a checkpoint holds."""

    def __init__(
        self,
        title: str,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        epochs: Sequence[int],
        warmup: int,
        decay: Literal["linear", "constant"] = "linear",
        modules: Sequence[nn.Module] = (),
        keep: Checkpoint = "best",
    ) -> None:
        self.title, self.parameters, self.optimizer = title, parameters, optimizer
        self.epoch_ends, self.warmup, self.decay = list(accumulate(epochs)), warmup, decay
        self.total = self.epoch_ends[-1]
        self.done = self.epoch = 0
        self.seconds = 0.0
        self.modules, self.keep = modules, keep
        self.means: list[float] = []
        self.chosen: dict[str, Tensor] = {}
        self.norm_order: Sequence[nn.Parameter] | None = None

    @abstractmethod
    def step(self) -> float:
        """Take step ``done`` (``step_on``) and note what is to be known of it; returns its loss."""

    def evaluate(self) -> dict[int, float]:
        """Development scores in percent after an epoch, by task; this changes nothing of the training's state."""
        return {}

    def end_epoch(self, scores: Mapping[int, float]) -> None:
        """Keep the mean of the scores, and the weights if it is the best so far or all epochs count."""
        if scores:
            self.means.append(sum(scores.values()) / len(scores))
        if self.keep == "average":
            self.add_to_average()
        elif self.keep == "best" and scores and self.best_epoch() == self.epoch:
            self.chosen = self.weights()

    def weights(self) -> dict[str, Tensor]:
        """A copy on the CPU of everything that an epoch leaves, by name."""
        return {name: each.detach().to("cpu", copy=True) for name, each in self.parameters.items()}

    def end_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what ``weights`` gave."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])

    def add_to_average(self) -> None:
        """Make the weights that are kept the mean over the epochs so far, this one included: m + (w - m) / n."""
        weights = self.weights()
        if not self.chosen:
            self.chosen = weights
        for name, mean in self.chosen.items():
            mean.add_((weights[name] - mean) / (self.epoch + 1))

    def best_epoch(self) -> int:
        """The epoch whose weights are kept (from 0)."""
        return self.means.index(max(self.means)) if self.keep == "best" and self.means else len(self.epoch_ends) - 1

    def state(self) -> TrainingState:
        """Everything that the rest of the training depends on; subclasses add what is their own."""
        kept = capture(self.parameters, self.optimizer, self.chosen)
        return TrainingState(kept.values | {name: getattr(self, name) for name in self.kept}, kept.tensors)

    def restore(self, state: TrainingState) -> None:
        """Go on from what ``state`` gave."""
        self.chosen = restore(state, self.parameters, self.optimizer)
        for name in self.kept:
            setattr(self, name, state.values[name])

    def rate_factor(self) -> float:
        """Factor of the learning rate at step ``done``."""
        if self.decay == "constant":
            return constant_schedule(self.done, self.warmup)
        return linear_schedule(self.done, self.total, self.warmup)

    def step_on(
        self,
        arguments: TrainingArguments,
        micro_batches: MicroBatches,
        losses: Callable[[int], Iterator[MicroBatchLoss]],
        **seen: Any,
    ) -> float:
        """One optimizer step on a batch with these ``losses``; ``seen``: further fields of ``StepBatch``."""
        device = next(iter(self.parameters.values())).device
        batch = StepBatch(self.title, self.done, device, losses, **seen)
        set_rates(self.optimizer, arguments, self.rate_factor())
        draw_apart(arguments.seed, self.done, batch.perturbation)
        loss = optimizer_step(batch, micro_batches, self.optimizer, arguments.max_grad_norm, self.norm_order)
        self.done += 1
        return loss

    def train(self, checkpointer: Checkpointer | None = None) -> None:
        """All steps that are left, and the weights of the epoch that is kept.

        Raises:
            InputError: memory does not do.
            NotFinite: the loss is not finite (with the batch).
            Interrupted: a signal asked to stop; ``checkpointer`` wrote a checkpoint.
        """
        checkpointer = checkpointer or Checkpointer(None)
        found = checkpointer.pop_resume_state()
        if found is not None:
            self.restore(found)
        epochs, score = len(self.epoch_ends), self.means[-1] if self.means else None
        begun = Progress(self.title, min(self.epoch + 1, epochs), epochs, self.done, self.total, None, score)
        progress = TrainingProgress(begun)
        with progress.bar, checkpointer.checkpoint_on_signal(self.state):
            for end in self.epoch_ends[self.epoch :]:
                for module in self.modules:
                    module.train()
                while self.done < end:
                    started = time.perf_counter()
                    loss = self.step()
                    self.seconds += time.perf_counter() - started
                    progress.step(self.epoch, self.done, loss)
                    checkpointer.after_step()
                with checkpointer.between_steps():
                    scores = self.evaluate()
                self.end_epoch(scores)
                progress.end_epoch(self.means[-1] if scores else None)
                self.epoch += 1
        if self.chosen and (self.keep == "average" or self.best_epoch() != len(self.epoch_ends) - 1):
            self.end_with(self.chosen)


class LossTrainer(Trainer):
    """A training without tasks: batches are not cut, and there is one loss a step, which is kept.

    Args:
        arguments: hyper-parameters.
        steps: in an epoch.
        loss: makes the loss of a step, given its number.
        name: what an error calls a batch.
        others: of ``Trainer``.
    """

    kept = (*Trainer.kept, "losses")

    def __init__(
        self,
        title: str,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        arguments: TrainingArguments,
        steps: int,
        loss: Callable[[int], Tensor],
        name: str,
        modules: Sequence[nn.Module] = (),
    ) -> None:
        warmup = warmup_of(arguments, steps * arguments.epochs)
        super().__init__(title, parameters, optimizer, [steps] * arguments.epochs, warmup, arguments.decay, modules)
        self.arguments, self.loss, self.name = arguments, loss, name
        self.losses: list[float] = []

    def step(self) -> float:
        """One optimizer step on the loss of its number."""
        micro_batches = MicroBatches(self.arguments.token_budget)
        self.losses.append(self.step_on(self.arguments, micro_batches, lambda _: iter([self._part]), name=self.name))
        return self.losses[-1]

    def _part(self) -> Tensor:
        return self.loss(self.done)


def batched_means(losses: Sequence[float], size: int) -> list[float]:
    """The means of ``size`` losses each, one after the other; the last may be of fewer."""
    parts = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [sum(part) / len(part) for part in parts]
