"""Adapters of earlier runs in a new model: stacked below its task adapter, or fused with the target's own one.

``stack``: h_target(h_intermediate(x)), the intermediate adapter frozen (as MAD-X stacks a task adapter on a language adapter,
Pfeiffer et al. 2020, section 4). ``fuse``: AdapterFusion (Pfeiffer et al. 2021, section 3.2): all adapters are frozen, and in
every layer an attention over their outputs is trained, with the state before them as the query. Its value matrices start as
the identity and are pulled back to it (``fusion_penalty``), so that it begins as a mean of adapters of full size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from adapters.composition import Fuse
from torch import Tensor, nn

from xlt.errors import InputError
from xlt.modeling.composition import TASK, Composition

MARK = f".adapters.{TASK}."
"""What the names of a trained bottleneck adapter's tensors have in them."""


@dataclass(frozen=True)
class IntermediateAdapters:
    """The trained tensors of earlier runs by recipe, and what becomes of them; to be fused, the target's own are last."""

    transfer: Literal["stack", "fuse"]
    states: Mapping[str, Mapping[str, Tensor]]


def intermediate_adapter_name(recipe: str) -> str:
    """The name under which the adapter trained on ``recipe`` is in a model."""
    return f"intermediate-{recipe}"


def add_intermediate_adapters(
    encoder: Any, earlier: IntermediateAdapters, composition: Composition | None
) -> Composition:
    """Load earlier adapters into ``encoder``, which has a fresh task adapter, and freeze them.

    Trained afterwards: the fresh adapter (``stack``), or the fusion layers alone (``fuse``; the fresh adapter takes the
    weights of the target's own).

    Returns:
        ``composition`` with these adapters in it.

    Raises:
        InputError: the tensors of an earlier run do not fit the adapters of this model.
    """
    *others, last = earlier.states
    stacked = [*others, last] if earlier.transfer == "stack" else others
    for recipe in stacked:
        encoder.add_adapter(intermediate_adapter_name(recipe), config=encoder.adapters_config.get(TASK))
        load_adapter(encoder, intermediate_adapter_name(recipe), earlier.states[recipe])
    names = tuple(intermediate_adapter_name(recipe) for recipe in stacked)
    composed = composition or Composition()
    if earlier.transfer == "stack":
        encoder.train_adapter(TASK)  # freezes all others
        return replace(composed, below=names)
    load_adapter(encoder, TASK, earlier.states[last])
    fused = (*names, TASK)
    encoder.add_adapter_fusion(Fuse(*fused))
    encoder.train_adapter_fusion(Fuse(*fused))
    return replace(composed, fused=fused)


def load_adapter(encoder: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Give the adapter ``name`` the tensors of a run's task adapter."""
    mark = f".adapters.{name}."
    own = {key: parameter for key, parameter in encoder.named_parameters() if mark in key}
    given = {key.removeprefix("encoder."): tensor for key, tensor in state.items() if not key.startswith("head.")}
    given = {key.replace(MARK, mark): tensor for key, tensor in given.items()}
    if own.keys() != given.keys() or any(own[key].shape != given[key].shape for key in own):
        raise InputError(
            f"adapter {name}: expected the tensors of an adapter of the same form; were both runs tuned in the same way?"
        )
    with torch.no_grad():
        for key, parameter in own.items():
            parameter.copy_(given[key])


def fusion_penalty(encoder: Any, fused: Sequence[str]) -> Tensor | None:
    """0.01 times the squared distance of the fusion layers' value matrices from the identity; None without fusion.

    (Pfeiffer et al. 2021, section 3.2, and the authors' library, which has the factor.) Added to the loss of every step.
    """
    return encoder.get_fusion_regularization_loss() if fused else None
