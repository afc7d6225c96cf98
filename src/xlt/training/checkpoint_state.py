"""The state of a training as tensors and JSON-like values: parameters, optimizer, random numbers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PARAMETER, OPTIMIZER, CHOSEN = "parameter/", "optimizer/", "chosen/"
"""How the names of a state's tensors begin: the trained parameters, what the optimizer keeps, the weights to end with."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a training is. ``values`` are JSON-like; the names of ``tensors`` are free."""

    values: dict[str, Any]
    tensors: dict[str, Tensor]


def capture(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, chosen: Mapping[str, Tensor] | None = None
) -> TrainingState:
    """Everything that training changes, and the random states. Tensors are not copied: write them before the next step.

    ``chosen``: the weights that the training would end with so far, if they are kept apart.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[PARAMETER + name] = parameter.detach()
        kept = optimizer.state.get(parameter, {})
        tensors |= {f"{OPTIMIZER}{key}/{name}": value for key, value in kept.items()}
    tensors |= {CHOSEN + name: tensor for name, tensor in (chosen or {}).items()}
    frozen = [name for name, parameter in parameters.items() if not parameter.requires_grad]
    drawn = random_state()
    return TrainingState({"frozen": frozen, "random": drawn.values}, tensors | drawn.tensors)


def restore(
    state: TrainingState, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Set parameters, optimizer and random numbers to what ``capture`` saw. Returns ``chosen``."""
    frozen = set(state.values["frozen"])
    groups = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state.tensors[PARAMETER + name])
            parameter.requires_grad_(name not in frozen)
            if f"{OPTIMIZER}step/{name}" in state.tensors:
                optimizer.state[parameter] = _moments(state, name, parameter, groups[parameter])
    restore_random_state(TrainingState(state.values["random"], state.tensors))
    return {name.removeprefix(CHOSEN): tensor for name, tensor in state.tensors.items() if name.startswith(CHOSEN)}


def _moments(state: TrainingState, name: str, parameter: nn.Parameter, group: Mapping[str, Any]) -> dict[str, Tensor]:
    """Adam's step count and moments of one parameter, where and how the optimizer itself would have put them."""
    moments: dict[str, Tensor] = {}
    for key in ("step", "exp_avg", "exp_avg_sq"):
        given = state.tensors[f"{OPTIMIZER}{key}/{name}"]
        if key == "step":
            on_device = group.get("fused") or group.get("capturable")
            moments[key] = given.to(parameter.device) if on_device else given
        else:  # in the parameter's own memory layout, which the fused kernel relies on
            moments[key] = torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(given)
    return moments


def random_state() -> TrainingState:
    """The global random states of Python, NumPy and torch, on every device."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # type: ignore[misc]
    values = {
        "python": [version, list(words), gauss],
        "numpy": [str(kind), [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
    }
    tensors = {"random/torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"random/cuda/{i}": each for i, each in enumerate(torch.cuda.get_rng_state_all())}
    return TrainingState(values, tensors)


def restore_random_state(state: TrainingState) -> None:
    """Let all global random numbers go on from ``state``."""
    version, words, gauss = state.values["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = state.values["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state.tensors["random/torch"])
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            if f"random/cuda/{i}" in state.tensors:  # there may be more devices than where it was written
                torch.cuda.set_rng_state(state.tensors[f"random/cuda/{i}"], i)


def dropout_state(device: torch.device) -> Tensor:
    """The state of the random numbers that dropout draws from on a device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def restore_dropout_state(device: torch.device, state: Tensor) -> None:
    """Let dropout draw the same numbers again."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
