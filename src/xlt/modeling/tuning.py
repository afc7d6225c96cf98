"""What of the encoder is trained: everything, bottleneck adapters, LoRA, or nothing.

Adding a way of tuning is adding a config model to ``xlt.config.regimes.Tuning`` and a function to ``ATTACH``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import adapters
from adapters.methods.lora import LoRALayer
from torch import nn

from xlt.config.regimes import Bottleneck, Frozen, Full, Head, LoRA, MadX, Tuning
from xlt.errors import InputError
from xlt.modeling.architectures import refusal
from xlt.modeling.composition import TASK, prepare_for_adapters


def _full(encoder: nn.Module, tuning: Any) -> None:
    encoder.requires_grad_(True)


def _frozen(encoder: nn.Module, tuning: Any) -> None:
    encoder.requires_grad_(False)


def _bottleneck(encoder: nn.Module, tuning: Any) -> None:
    kinds = {
        "pfeiffer": adapters.SeqBnConfig,
        "houlsby": adapters.DoubleSeqBnConfig,
        "parallel": adapters.ParBnConfig,
    }
    _add(encoder, kinds[tuning.placement](reduction_factor=tuning.reduction_factor))


def _lora(encoder: Any, tuning: Any) -> None:
    depth = int(encoder.config.num_hidden_layers)
    chosen = range(depth) if tuning.layers is None else tuning.layers
    if max(chosen) >= depth:
        raise InputError(
            f"tuning.layers: expected numbers from 0 to {depth - 1}, got {max(chosen)}; the encoder has {depth} layers"
        )
    attention = [target for target in tuning.targets if target in ("q", "k", "v")]
    config = adapters.LoRAConfig(
        r=tuning.rank,
        alpha=tuning.alpha,
        dropout=tuning.dropout,
        selfattn_lora=bool(attention),
        attn_matrices=attention,
        intermediate_lora="intermediate" in tuning.targets,
        output_lora="output" in tuning.targets,
        leave_out=[number for number in range(depth) if number not in chosen],
    )
    _add(encoder, config)


def _add(encoder: Any, config: Any) -> None:
    prepare_for_adapters(encoder)
    encoder.add_adapter(TASK, config=config)
    encoder.train_adapter(TASK)  # freezes the encoder, and activates the adapter in the forward pass
    if not any(parameter.requires_grad for parameter in encoder.parameters()):
        raise AssertionError("the adapter added no trainable parameter")


ATTACH: dict[type, Callable[[nn.Module, Any], None]] = {
    Full: _full,
    Frozen: _frozen,
    Head: _frozen,
    Bottleneck: _bottleneck,
    MadX: _bottleneck,  # the task adapter; language adapters are loaded below it (xlt.modeling.model)
    LoRA: _lora,
}


def attach(encoder: nn.Module, tuning: Tuning) -> None:
    """Make exactly the parameters of ``tuning`` trainable, adding modules where it needs them.

    Raises:
        InputError: the encoder's architecture cannot be tuned so.
    """
    if (reason := refusal(encoder.config, tuning.kind)) is not None:
        raise InputError(f"tuning {reason}")
    ATTACH[type(tuning)](encoder, tuning)


@contextmanager
def merged(encoder: Any) -> Iterator[None]:
    """While open, LoRA's updates are part of the matrices they belong to, W + (alpha / r) B A, and cost nothing.

    (Hu et al. 2022, section 4.1.) Predictions are the same but for rounding. Afterwards the released matrices are back,
    bit for bit: subtracting the update again, as the library does, would leave rounding behind. Does nothing without LoRA.
    """
    layers = [module for module in encoder.modules() if isinstance(module, LoRALayer) and TASK in module.loras]
    released = [layer.weight.data for layer in layers]
    if layers:
        encoder.merge_adapter(TASK)
    try:
        yield
    finally:
        for layer, weight in zip(layers, released, strict=True):
            layer.weight.data = weight
            layer.merged = None
