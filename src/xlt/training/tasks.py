"""The tasks of a training on one encoder, and which of them each step is of.

Multi-task intermediate training as in Phang et al. 2020, section 3.2: every optimizer step is a batch of one task, drawn in
proportion to the size of its training set; every task has its own head. ``temperature`` above 1 evens the sizes out, in
proportion to ``size ** (1 / temperature)``. Masked-language modelling (same section) takes a fixed share of all steps, so
that the encoder does not forget the languages the tasks have no data in. docs/methods.md has the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from xlt.data.batching import epoch_batches
from xlt.data.features import Feature
from xlt.modeling.mlm import MaskedLMHead
from xlt.modeling.model import TransferModel
from xlt.training.mlm_data import MaskedCorpus
from xlt.training.trainer import TrainingArguments

MASKED = -1
"""In the order of the steps: a batch of masked text. Other numbers are those of the tasks."""
MASKED_NAME = "masked text"


@dataclass(frozen=True)
class MixtureTask:
    """One task of the mixture. All tasks' models share one encoder; ``examples`` is the size that it is drawn by."""

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


def order_of_steps(tasks: Sequence[MixtureTask], temperature: float, share: float, seed: int) -> NDArray[np.int64]:
    """Which task each optimizer step belongs to (``MASKED`` for masked text), drawn from ``seed``.

    There are as many task steps as all tasks would have alone, together; so many steps of masked text are added that they
    are ``share`` of the sum, rounded to whole steps. The first step is a task's, since unfreezing may look at its batch.
    """
    rng = np.random.default_rng(seed)
    count = sum(task.steps for task in tasks)
    drawn = rng.choice(len(tasks), size=count, p=proportions([task.examples for task in tasks], temperature))
    order = rng.permutation(np.concatenate([drawn, np.full(round(count * share / (1 - share)), MASKED)]))
    first = int(np.argmax(order != MASKED))
    order[[0, first]] = order[[first, 0]]
    return order


def masked_arguments(tasks: Sequence[MixtureTask], temperature: float) -> TrainingArguments:
    """What a step of masked text is trained with: the tasks' mean rate and decay by their chances, their largest batch."""
    chances = proportions([task.examples for task in tasks], temperature)
    own = [task.settings for task in tasks]
    return replace(
        own[0],
        learning_rate=float(np.dot(chances, [each.learning_rate for each in own])),
        weight_decay=float(np.dot(chances, [each.weight_decay for each in own])),
        batch_size=max(each.batch_size for each in own),
        max_grad_norm=min(each.max_grad_norm for each in own),
    )


class MultiTaskModel(nn.Module):
    """All that a mixture trains: the shared encoder, one head per task, the head of masked text."""

    def __init__(self, tasks: Sequence[MixtureTask], masked: MaskedTask | None) -> None:
        super().__init__()
        self.tasks = list(tasks)
        self.models = nn.ModuleDict({task.name: task.model for task in tasks})
        self.masked_head = None if masked is None else masked.head

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """By name, those of the encoder once."""
        named: dict[str, nn.Parameter] = {}
        for task in self.tasks:
            for name, parameter in task.model.trained_parameters().items():
                named[name if name.startswith("encoder.") else f"{task.name}.{name}"] = parameter
        if self.masked_head is not None:
            named |= {f"{MASKED_NAME}.{name}": value for name, value in self.masked_head.named_parameters()}
        return named

    def shared(self) -> dict[str, Tensor]:
        """A copy on the CPU of what moves on: the trained tensors of the encoder or its adapter, and no head."""
        state = self.tasks[0].model.trained_state()
        return {name: tensor for name, tensor in state.items() if not name.startswith("head.")}

    def parameter_counts(self) -> tuple[int, int]:
        """(trainable, all) parameters, every head included."""
        trained = sum(parameter.numel() for parameter in self.trained_parameters().values())
        return trained, sum(parameter.numel() for parameter in self.parameters())
