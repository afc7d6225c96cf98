"""The one training loop: AdamW, linear decay, random batches, the best epoch by English development score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from xlt.data.batching import epoch_batches
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.modeling.model import TransferModel
from xlt.training.objectives import LossPart, loss_parts


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyper-parameters of one training. ``token_budget`` bounds a micro-batch and does not change the result."""

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    seed: int
    token_budget: int = 4096


class Perturbation(Protocol):
    """A way of robust training: how a step sees its input."""

    def loss(self, model: TransferModel, part: LossPart) -> Tensor:
        """The loss of one micro-batch under the perturbation; its gradient is what the step follows."""


@dataclass(frozen=True, slots=True)
class Unfrozen:
    """A layer (0 at the bottom) that joined the training at a step, with the Fisher trace that chose it, if one did."""

    step: int
    layer: int
    trace: float | None


class Schedule(Protocol):
    """A way of unfreezing: which of the trained parameters get gradients at a step. ``unfrozen`` is what happened."""

    unfrozen: list[Unfrozen]

    def before_step(self, model: TransferModel, features: Sequence[Feature], step: int, total: int) -> None:
        """Set ``requires_grad`` of the model's trained parameters for step ``step`` (from 0) of ``total``."""


@dataclass(slots=True)
class History:
    """What happened: mean loss and development score (percent) per epoch, the epoch kept, steps and seconds.

    ``unfrozen``: the order in which layers joined, where a schedule decided it.
    """

    losses: list[float] = field(default_factory=list)
    dev_scores: list[float] = field(default_factory=list)
    best_epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    unfrozen: list[Unfrozen] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The history as JSON-like values."""
        return asdict(self)


class Trained(Protocol):
    """Something that has trained parameters: a model, or several that share an encoder."""

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""


def make_optimizer(model: Trained, settings: Settings) -> torch.optim.AdamW:
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


def fit(
    model: TransferModel,
    features: Sequence[Feature],
    settings: Settings,
    evaluate: Callable[[], float] | None,
    *,
    title: str,
    perturbation: Perturbation | None = None,
    schedule: Schedule | None = None,
) -> History:
    """Train ``model`` in place and leave it with the weights of its best epoch.

    Args:
        model: the model; only parameters that require gradients change.
        features: the training set.
        settings: hyper-parameters.
        evaluate: gives the English development score in percent after each epoch, or None when there is no
            development data: then the last epoch is kept.
        title: shown on the progress bar.
        perturbation: robust training, or None.
        schedule: when the trained parameters are unfrozen, or None for all of them at once.

    Raises:
        InputError: there is nothing to train on, or the loss is not finite (with the step).
    """
    if not features:
        raise InputError(
            f"{title}: expected training examples, got none; look at the profile's caps and the data folder"
        )
    torch.manual_seed(settings.seed)
    optimizer = make_optimizer(model, settings)
    per_epoch = math.ceil(len(features) / settings.batch_size)
    total = per_epoch * settings.epochs
    warmup = min(settings.warmup_steps, total // 10)  # a capped training set has too few steps for a fixed warm-up
    history = History()
    best: dict[str, Tensor] = {}
    started = time.perf_counter()
    with tqdm(total=total, desc=title, unit="step", mininterval=2.0, dynamic_ncols=True) as progress:
        for epoch in range(settings.epochs):
            model.train()
            epoch_loss = 0.0
            for batch in epoch_batches(len(features), settings.batch_size, settings.seed, epoch):
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * linear_schedule(history.steps, total, warmup)
                chosen = [features[i] for i in batch]
                if schedule is not None:
                    schedule.before_step(model, chosen, history.steps, total)
                parts = loss_parts(model.family)(model, chosen, settings.token_budget)
                loss = train_step(model, parts, optimizer, settings.max_grad_norm, perturbation)
                if not math.isfinite(loss):
                    raise InputError(f"{title}: loss {loss} at step {history.steps}; try a lower learning rate")
                epoch_loss += loss
                history.steps += 1
                progress.update()
                progress.set_postfix(epoch=epoch + 1, loss=f"{loss:.3f}", refresh=False)
            history.losses.append(epoch_loss / per_epoch)
            if evaluate is not None:
                history.dev_scores.append(evaluate())
                if len(history.dev_scores) == 1 or history.dev_scores[-1] > history.dev_scores[history.best_epoch]:
                    history.best_epoch = epoch
                    best = model.trained_state()
    if evaluate is None:
        history.best_epoch = settings.epochs - 1
    elif history.best_epoch != settings.epochs - 1:
        model.load_trained_state(best, with_head=True)
    history.unfrozen = [] if schedule is None else schedule.unfrozen
    history.seconds = time.perf_counter() - started
    return history


def train_step(
    model: TransferModel,
    parts: Iterator[LossPart],
    optimizer: torch.optim.Optimizer,
    max_grad_norm: float,
    perturbation: Perturbation | None = None,
) -> float:
    """One optimizer step on one batch, given as the parts of its mean loss; returns that loss, without the penalty."""
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for part in parts:
        loss = part() if perturbation is None else perturbation.loss(model, part)
        loss.backward()
        total += float(loss.detach())
    penalty = model.penalty()
    if penalty is not None:
        penalty.backward()
    trained = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    nn.utils.clip_grad_norm_(trained, max_grad_norm)
    optimizer.step()
    return total
