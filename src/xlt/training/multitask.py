"""Training on labelled examples: one task, or several together on one encoder, with masked text or without."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xlt.config.benchmark import Checkpoint
from xlt.data import batching
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.modeling.distributed import is_main_process
from xlt.modeling.mlm import masked_lm_loss
from xlt.modeling.model import TransferModel
from xlt.modeling.trained_rows import ReadRows, read_rows_only
from xlt.training.checkpoint_state import TrainingState
from xlt.training.checkpointer import Checkpointer
from xlt.training.objectives import local_losses
from xlt.training.optimizer_step import MicroBatches, Perturbation
from xlt.training.tasks import (
    MASKED,
    MASKED_NAME,
    MaskedTask,
    MixtureTask,
    MultiTaskModel,
    masked_arguments,
    order_of_steps,
)
from xlt.training.trainer import History, Schedule, Trainer, TrainingArguments, Unfrozen, make_optimizer, warmup_of

UNREAD = "unread_factor"
"""The name, among the weights that are kept, of the factor of the word embeddings that the training does not read."""


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
    """Train ``model`` on one task in place and leave it with the weights that ``settings.checkpoint`` says.

    Args:
        model: the model; only parameters that require gradients change.
        features: the training set.
        settings: hyper-parameters.
        evaluate: gives the English development score in percent after each epoch, or None when there is no
            development data: then the last epoch is the best.
        title: said with its progress.
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
        task = MixtureTask("task", model, features, len(features), settings, evaluate)
        trainer = MultiTaskTrainer(
            MultiTaskModel([task], None), None, 1.0, title, perturbation, schedule, settings.checkpoint, rows
        )
        (history,) = trainer.run(checkpointer).values()
    model.unread_factor = 1.0 if rows is None else rows.unread_factor
    return history


def fit_multitask(
    together: MultiTaskModel,
    masked: MaskedTask | None,
    temperature: float,
    *,
    title: str,
    perturbation: Perturbation | None = None,
    schedule: Schedule | None = None,
    keep: Checkpoint = "best",
    checkpointer: Checkpointer | None = None,
) -> dict[str, History]:
    """Train all tasks in place and leave them with the weights that ``keep`` says.

    A step has the learning rate, weight decay, batch size and clipping of its own recipe; the linear decay runs over all
    steps, the warm-up is the longest of the recipes'. An epoch is the steps divided by the largest number of epochs of a
    recipe; the best has the highest mean of the recipes' development scores. Masked text is not perturbed.

    Returns:
        What happened by recipe (and for masked text). ``losses`` has the epochs in which it had a step.

    Raises:
        InputError: a task has nothing to train on, a loss is not finite (with the batch), or memory does not do.
        Interrupted: a signal asked to stop; ``checkpointer`` wrote a checkpoint.
    """
    for task in together.tasks:
        if not task.features:
            raise InputError(
                f"{title}: expected training examples of {task.name}, got none; look at the profile's caps"
            )
    torch.manual_seed(together.tasks[0].settings.seed)
    return MultiTaskTrainer(together, masked, temperature, title, perturbation, schedule, keep).run(checkpointer)


class MultiTaskTrainer(Trainer):
    """Draws the task of each step, and keeps what happened to each."""

    def __init__(
        self,
        together: MultiTaskModel,
        masked: MaskedTask | None,
        temperature: float,
        title: str,
        perturbation: Perturbation | None,
        schedule: Schedule | None,
        keep: Checkpoint = "best",
        rows: ReadRows | None = None,
    ) -> None:
        self.together, self.masked, self.perturbation, self.schedule = together, masked, perturbation, schedule
        self.rows = rows
        tasks = together.tasks
        first = tasks[0].settings
        self.order = order_of_steps(tasks, temperature, 0.0 if masked is None else masked.share, first.seed)
        epochs = np.array_split(self.order, max(task.settings.epochs for task in tasks))
        parameters = together.trained_parameters()
        warmup = max(warmup_of(task.settings, len(self.order)) for task in tasks)
        optimizer = make_optimizer(parameters, first)
        super().__init__(title, parameters, optimizer, [*map(len, epochs)], warmup, first.decay, [together], keep)
        if rows is not None:
            rows.follow(self.optimizer)
        self.arguments = {number: task.settings for number, task in enumerate(tasks)}
        if masked is not None:
            self.arguments[MASKED] = masked_arguments(tasks, temperature)
        self.streams = [task.batches() for task in tasks]
        self.histories = {number: History() for number in self.arguments}
        self.micro_batches = {number: MicroBatches(own.token_budget) for number, own in self.arguments.items()}
        self.losses: dict[int, list[float]] = {}

    def run(self, checkpointer: Checkpointer | None) -> dict[str, History]:
        """Train, end with the weights that are kept, and say what happened to each task, by name."""
        self.train(checkpointer)
        for number, history in self.histories.items():
            history.best_epoch = self.best_epoch()
            history.unfrozen = [] if self.schedule is None else self.schedule.unfrozen
            history.halved = self.micro_batches[number].halved
        names = {MASKED: MASKED_NAME, **{number: task.name for number, task in enumerate(self.together.tasks)}}
        return {names[number]: history for number, history in self.histories.items()}

    def weights(self) -> dict[str, Tensor]:
        """The trained parameters, and the factor of the words that are not read."""
        factor = {} if self.rows is None else {UNREAD: torch.tensor(self.rows.unread_factor, dtype=torch.float64)}
        return super().weights() | factor

    def end_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what ``weights`` gave."""
        super().end_with(weights)
        if self.rows is not None:
            self.rows.unread_factor = float(weights[UNREAD])

    def step(self) -> float:
        """One optimizer step of the task that is due, or of masked text."""
        started = time.perf_counter()
        number = int(self.order[self.done])
        loss = self._masked_step() if number == MASKED else self._task_step(number)
        self.losses.setdefault(number, []).append(loss)
        self.histories[number].seconds += time.perf_counter() - started
        self.histories[number].steps += 1
        return loss

    def _task_step(self, number: int) -> float:
        model, chosen = self.together.tasks[number].model, next(self.streams[number])
        if self.schedule is not None:
            self.schedule.before_step(model, partial(self._upcoming, number), self.done, self.total)
        return self.step_on(
            self.arguments[number],
            self.micro_batches[number],
            partial(local_losses, model, chosen),
            model=model,
            features=chosen,
            perturbation=self.perturbation,
        )

    def _masked_step(self) -> float:
        if self.masked is None:
            raise AssertionError("a step of masked text without masked text")
        own, model = self.arguments[MASKED], self.together.tasks[0].model
        batch = self.masked.text.batch(self.done, own.batch_size).to(model.device)
        loss = partial(masked_lm_loss, model.encoder, self.masked.head, batch)
        # the loss is a mean over its sub-words and is not cut: one process computes it
        losses = lambda tokens: iter([loss] if is_main_process() else [])  # noqa: E731
        return self.step_on(own, self.micro_batches[MASKED], losses, model=model)

    def _upcoming(self, number: int, count: int) -> list[list[Feature]]:
        """The next ``count`` batches of a task."""
        return list(islice(self.together.tasks[number].batches(self.histories[number].steps), count))

    def evaluate(self) -> dict[int, float]:
        """Development scores in percent, of the tasks that have development data."""
        scores: dict[int, float] = {}
        for number, task in enumerate(self.together.tasks):
            if task.evaluate is not None:
                started = time.perf_counter()
                scores[number] = task.evaluate()
                self.histories[number].seconds += time.perf_counter() - started
        return scores

    def end_epoch(self, scores: Mapping[int, float]) -> None:
        """Note the losses and the development scores of the tasks."""
        for number, values in self.losses.items():
            self.histories[number].losses.append(sum(values) / len(values))
        for number, score in scores.items():
            self.histories[number].dev_scores.append(score)
        self.losses = {}
        super().end_epoch(scores)

    def state(self) -> TrainingState:
        """Everything that the rest of the training depends on; the order of the steps follows from the seed."""
        kept = super().state()
        values: dict[str, Any] = {
            "losses": {str(number): losses for number, losses in self.losses.items()},
            "histories": {str(number): history.as_json() for number, history in self.histories.items()},
            "micro_batches": {str(number): asdict(own) for number, own in self.micro_batches.items()},
            "unread_factor": 1.0 if self.rows is None else self.rows.unread_factor,
            "unfrozen": [] if self.schedule is None else [asdict(entry) for entry in self.schedule.unfrozen],
        }
        tensors = kept.tensors
        if self.perturbation is not None:
            tensors["perturbation"], values["perturbation"] = self.perturbation.state()
        return TrainingState(kept.values | values, tensors)

    def restore(self, state: TrainingState) -> None:
        """Go on from what ``state`` gave."""
        super().restore(state)
        values = state.values
        self.losses = {int(number): losses for number, losses in values["losses"].items()}
        self.histories = {int(number): History(**history) for number, history in values["histories"].items()}
        self.micro_batches = {int(number): MicroBatches(**own) for number, own in values["micro_batches"].items()}
        self.streams = [task.batches(self.histories[n].steps) for n, task in enumerate(self.together.tasks)]
        if self.rows is not None:
            self.rows.unread_factor = values["unread_factor"]
        if self.perturbation is not None:
            self.perturbation.restore(state.tensors["perturbation"], values["perturbation"])
        if self.schedule is not None:
            self.schedule.unfrozen = [Unfrozen(**entry) for entry in values["unfrozen"]]
