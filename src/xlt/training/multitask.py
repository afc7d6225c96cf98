"""Several intermediate tasks trained together on one encoder, with masked text mixed in if asked for.

Multi-task intermediate training as in Phang et al. 2020, section 3.2: every optimizer step is a batch of one task, drawn in
proportion to the size of its training set; every task has its own head. ``temperature`` above 1 evens the sizes out, in
proportion to ``size ** (1 / temperature)``. Masked-language modelling (same section) takes a fixed share of all steps, so
that the encoder does not forget the languages the tasks have no data in. docs/methods.md has the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xlt.data.batching import epoch_batches
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.families.base import MicroBatchLoss
from xlt.modeling.distributed import is_main_process
from xlt.modeling.mlm import MaskedLMHead, masked_lm_loss
from xlt.modeling.model import TransferModel
from xlt.training.checkpoint_state import TrainingState, capture, restore
from xlt.training.checkpointer import Checkpointer
from xlt.training.gradients import draw_apart
from xlt.training.mlm_data import MaskedCorpus
from xlt.training.objectives import local_losses
from xlt.training.optimizer_step import MicroBatches, Perturbation, StepBatch, optimizer_step
from xlt.training.trainer import (
    History,
    Schedule,
    TrainingArguments,
    add_plugins,
    linear_schedule,
    make_optimizer,
    progress,
    restore_plugins,
    warmup_of,
)

MASKED = -1
"""In the order of the steps: a batch of masked text. Other numbers are those of the parts."""
MASKED_NAME = "masked text"


@dataclass(frozen=True)
class MixtureTask:
    """One task of the mixture. All parts' models share one encoder; ``examples`` is the size that it is drawn by."""

    name: str
    model: TransferModel
    features: Sequence[Feature]
    examples: int
    settings: TrainingArguments
    evaluate: Callable[[], float] | None

    @property
    def steps(self) -> int:
        """The optimizer steps that it would have if it were trained alone."""
        return self.settings.epochs * math.ceil(len(self.features) / self.settings.batch_size)

    def batches(self, drawn: int = 0) -> Iterator[list[Feature]]:
        """Random batches without end, every example once before any comes again; ``drawn`` are passed over."""
        epoch, left_out = divmod(drawn, math.ceil(len(self.features) / self.settings.batch_size))
        while True:
            order = epoch_batches(len(self.features), self.settings.batch_size, self.settings.seed, epoch)
            for batch in order[left_out:]:
                yield [self.features[i] for i in batch]
            epoch, left_out = epoch + 1, 0


@dataclass(frozen=True)
class MaskedTask:
    """MaskedTask text as a further part: its head is dropped like the tasks' heads; ``share`` of all steps are its."""

    text: MaskedCorpus
    head: MaskedLMHead
    share: float


def proportions(sizes: Sequence[int], temperature: float) -> NDArray[np.float64]:
    """The chance of each task: proportional to ``size ** (1 / temperature)``; temperature 1 is proportional to size."""
    weights = np.array(sizes, dtype=np.float64) ** (1 / temperature)
    return np.asarray(weights / weights.sum())


def order_of_steps(parts: Sequence[MixtureTask], temperature: float, share: float, seed: int) -> NDArray[np.int64]:
    """Which part each optimizer step belongs to (``MASKED`` for masked text), drawn from ``seed``.

    There are as many task steps as all tasks would have alone, together; so many steps of masked text are added that they
    are ``share`` of the sum, rounded to whole steps. The first step is a task's, since unfreezing may look at its batch.
    """
    rng = np.random.default_rng(seed)
    tasks = sum(part.steps for part in parts)
    drawn = rng.choice(len(parts), size=tasks, p=proportions([part.examples for part in parts], temperature))
    order = rng.permutation(np.concatenate([drawn, np.full(round(tasks * share / (1 - share)), MASKED)]))
    first = int(np.argmax(order != MASKED))
    order[[0, first]] = order[[first, 0]]
    return order


def masked_settings(parts: Sequence[MixtureTask], temperature: float) -> TrainingArguments:
    """What a step of masked text is trained with: the tasks' mean rate and decay by their chances, their largest batch."""
    chances = proportions([part.examples for part in parts], temperature)
    own = [part.settings for part in parts]
    return replace(
        own[0],
        learning_rate=float(np.dot(chances, [each.learning_rate for each in own])),
        weight_decay=float(np.dot(chances, [each.weight_decay for each in own])),
        batch_size=max(each.batch_size for each in own),
        max_grad_norm=min(each.max_grad_norm for each in own),
    )


class MultiTaskModel(nn.Module):
    """All that a mixture trains: the shared encoder, one head per part, the head of masked text."""

    def __init__(self, parts: Sequence[MixtureTask], masked: MaskedTask | None) -> None:
        super().__init__()
        self.parts = list(parts)
        self.models = nn.ModuleDict({part.name: part.model for part in parts})
        self.masked_head = None if masked is None else masked.head

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """By name, those of the encoder once."""
        named: dict[str, nn.Parameter] = {}
        for part in self.parts:
            for name, parameter in part.model.trained_parameters().items():
                named[name if name.startswith("encoder.") else f"{part.name}.{name}"] = parameter
        if self.masked_head is not None:
            named |= {f"{MASKED_NAME}.{name}": value for name, value in self.masked_head.named_parameters()}
        return named

    def shared(self) -> dict[str, Tensor]:
        """A copy on the CPU of what moves on: the trained tensors of the encoder or its adapter, and no head."""
        state = self.parts[0].model.trained_state()
        return {name: tensor for name, tensor in state.items() if not name.startswith("head.")}

    def parameter_counts(self) -> tuple[int, int]:
        """(trainable, all) parameters, every head included."""
        trained = sum(parameter.numel() for parameter in self.trained_parameters().values())
        return trained, sum(parameter.numel() for parameter in self.parameters())


def fit_multitask(
    together: MultiTaskModel,
    masked: MaskedTask | None,
    temperature: float,
    *,
    title: str,
    perturbation: Perturbation | None = None,
    schedule: Schedule | None = None,
    checkpointer: Checkpointer | None = None,
) -> dict[str, History]:
    """Train all parts in place and leave them with the weights of the best epoch.

    A step has the learning rate, weight decay, batch size and clipping of its own recipe; the linear decay runs over all
    steps, the warm-up is the longest of the recipes'. An epoch is the steps divided by the largest number of epochs of a
    recipe; the best has the highest mean of the recipes' development scores. MaskedTask text is not perturbed.

    Returns:
        What happened by recipe (and for masked text). ``losses`` has the epochs in which it had a step.

    Raises:
        InputError: a part has nothing to train on, a loss is not finite (with the batch), or memory does not do.
        Interrupted: a signal asked to stop; ``checkpointer`` wrote a checkpoint.
    """
    for part in together.parts:
        if not part.features:
            raise InputError(
                f"{title}: expected training examples of {part.name}, got none; look at the profile's caps"
            )
    torch.manual_seed(together.parts[0].settings.seed)
    loop = _Loop(together, masked, temperature, perturbation, schedule, title)
    checkpointer = checkpointer or Checkpointer(None)
    found = checkpointer.pop_resume_state()
    if found is not None:
        loop.restore(found)
    with progress(title, len(loop.order), loop.done) as bar, checkpointer.checkpoint_on_signal(loop.state):
        for _ in range(loop.epoch, loop.epochs):
            together.train()
            for number in loop.steps_left():
                loop.step(int(number))
                bar.update()
                checkpointer.after_step()
            with checkpointer.between_steps():
                scores = {n: part.evaluate() for n, part in enumerate(together.parts) if part.evaluate is not None}
            loop.end_epoch(scores)
    if loop.means:
        _restore(together.trained_parameters(), loop.best)
    names = {MASKED: MASKED_NAME, **{number: part.name for number, part in enumerate(together.parts)}}
    for number, history in loop.histories.items():
        history.best_epoch = loop.means.index(max(loop.means)) if loop.means else loop.epochs - 1
        history.unfrozen = [] if schedule is None else schedule.unfrozen
        history.halved = loop.micro_batches[number].halved
    return {names[number]: history for number, history in loop.histories.items()}


class _Loop:
    """The state of a training: what is due at each step, the optimizer, and what happened to each part."""

    def __init__(
        self,
        together: MultiTaskModel,
        masked: MaskedTask | None,
        temperature: float,
        perturbation: Perturbation | None,
        schedule: Schedule | None,
        title: str,
    ) -> None:
        parts = together.parts
        self.together, self.masked, self.title = together, masked, title
        self.perturbation, self.schedule = perturbation, schedule
        self.settings = {number: part.settings for number, part in enumerate(parts)}
        self.epochs = max(part.settings.epochs for part in parts)
        share = 0.0 if masked is None else masked.share
        self.order = order_of_steps(parts, temperature, share, parts[0].settings.seed)
        self.streams = [part.batches() for part in parts]
        self.optimizer = make_optimizer(together, parts[0].settings)
        self.warmup = max(warmup_of(part.settings, len(self.order)) for part in parts)
        self.histories = {number: History() for number in self.settings}
        if masked is not None:
            self.settings[MASKED] = masked_settings(parts, temperature)
            self.histories[MASKED] = History()
        self.micro_batches = {number: MicroBatches(own.token_budget) for number, own in self.settings.items()}
        self.done = self.epoch = 0
        self.losses: dict[int, list[float]] = {}
        self.means: list[float] = []
        self.best: dict[str, Tensor] = {}

    def steps_left(self) -> NDArray[np.int64]:
        """Whose steps are still to come in this epoch."""
        chunks = np.array_split(self.order, self.epochs)
        return chunks[self.epoch][self.done - sum(map(len, chunks[: self.epoch])) :]

    def step(self, number: int) -> None:
        """One optimizer step of a part, or of masked text."""
        started = time.perf_counter()
        own = self.settings[number]
        set_rates(self.optimizer, own, linear_schedule(self.done, len(self.order), self.warmup))
        perturbation: Perturbation | None = None
        chosen: list[Feature] = []
        if number == MASKED:
            model = self.together.parts[0].model
            parts: Callable[[int], Iterator[MicroBatchLoss]] = self._masked_loss(own)
        else:
            model, chosen, perturbation = (
                self.together.parts[number].model,
                next(self.streams[number]),
                self.perturbation,
            )
            if self.schedule is not None:
                own_batches = partial(self._upcoming, number)
                self.schedule.before_step(model, own_batches, self.done, len(self.order))
            parts = partial(local_losses, model, chosen)
        draw_apart(own.seed, self.done, perturbation)
        batch = StepBatch(model, parts, chosen, self.title, self.done)
        loss = optimizer_step(batch, self.micro_batches[number], self.optimizer, own.max_grad_norm, perturbation)
        self.losses.setdefault(number, []).append(loss)
        self.histories[number].seconds += time.perf_counter() - started
        self.histories[number].steps += 1
        self.done += 1

    def _upcoming(self, number: int, count: int) -> list[list[Feature]]:
        """The next ``count`` batches of a part."""
        return list(islice(self.together.parts[number].batches(self.histories[number].steps), count))

    def end_epoch(self, scores: Mapping[int, float]) -> None:
        """Note the losses and the development scores of the parts, and keep the weights of the best mean so far."""
        for number, values in self.losses.items():
            self.histories[number].losses.append(sum(values) / len(values))
        for number, score in scores.items():
            self.histories[number].dev_scores.append(score)
        if scores:
            self.means.append(sum(scores.values()) / len(scores))
            if self.means[-1] > max(self.means[:-1], default=-math.inf):
                self.best = _state(self.together.trained_parameters())
        self.epoch, self.losses = self.epoch + 1, {}

    def state(self) -> TrainingState:
        """Everything that the rest of the training depends on; the order of the steps follows from the seed."""
        state = capture(self.together.trained_parameters(), self.optimizer, self.best)
        values = {
            "done": self.done,
            "epoch": self.epoch,
            "means": self.means,
            "losses": {str(number): losses for number, losses in self.losses.items()},
            "histories": {str(number): history.as_json() for number, history in self.histories.items()},
            "micro_batches": {str(number): asdict(own) for number, own in self.micro_batches.items()},
        }
        return add_plugins(TrainingState(state.values | values, state.tensors), self.perturbation, self.schedule)

    def restore(self, state: TrainingState) -> None:
        """Go on from what ``state`` gave."""
        self.best = restore(state, self.together.trained_parameters(), self.optimizer)
        values = state.values
        self.done, self.epoch, self.means = values["done"], values["epoch"], values["means"]
        self.losses = {int(number): losses for number, losses in values["losses"].items()}
        self.histories = {int(number): History(**history) for number, history in values["histories"].items()}
        self.micro_batches = {int(number): MicroBatches(**own) for number, own in values["micro_batches"].items()}
        self.streams = [part.batches(self.histories[n].steps) for n, part in enumerate(self.together.parts)]
        restore_plugins(state, self.perturbation, self.schedule)

    def _masked_loss(self, own: TrainingArguments) -> Callable[[int], Iterator[MicroBatchLoss]]:
        if self.masked is None:
            raise AssertionError("a step of masked text without masked text")
        model = self.together.parts[0].model
        batch = self.masked.text.batch(self.done, own.batch_size).to(model.device)
        part = partial(masked_lm_loss, model.encoder, self.masked.head, batch)
        # the loss is a mean over its sub-words and is not cut: one process computes it
        return lambda tokens: iter([part] if is_main_process() else [])


def set_rates(optimizer: torch.optim.Optimizer, settings: TrainingArguments, factor: float) -> None:
    """Give the next step the rate and the decay of its recipe; the second group is the one that is never decayed."""
    decayed, plain = optimizer.param_groups
    decayed["lr"] = plain["lr"] = settings.learning_rate * factor
    decayed["weight_decay"] = settings.weight_decay


def _state(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: parameter.detach().to("cpu", copy=True) for name, parameter in parameters.items()}


def _restore(parameters: Mapping[str, nn.Parameter], state: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state[name])
