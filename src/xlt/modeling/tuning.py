"""What of the encoder is trained: everything, something that is added to it, or nothing.

Adding a way of tuning is adding a config model to ``xlt.config.regimes.Tuning`` and a function to ``ATTACH``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import adapters
from adapters.methods.lora import IA3 as IA3Module
from adapters.methods.lora import LoRALayer
from adapters.methods.reft import ReftUnit
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from xlt.config.regimes import IA3, Bottleneck, DoRA, Frozen, Full, Head, LoRA, LoReFT, MadX, Prefix, Tuning
from xlt.errors import InputError
from xlt.modeling.architectures import architecture_of, refusal
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


def _low_rank(encoder: Any, tuning: Any) -> None:
    depth = int(architecture_of(encoder.config).figure(encoder.config, "num_hidden_layers"))
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
        use_dora=isinstance(tuning, DoRA),
        selfattn_lora=bool(attention),
        attn_matrices=attention,
        intermediate_lora="intermediate" in tuning.targets,
        output_lora="output" in tuning.targets,
        leave_out=[number for number in range(depth) if number not in chosen],
    )
    _add(encoder, config)


def _ia3(encoder: nn.Module, tuning: Any) -> None:
    _add(encoder, adapters.IA3Config())


def _prefix(encoder: nn.Module, tuning: Any) -> None:
    _add(encoder, adapters.PrefixTuningConfig(flat=True, prefix_length=tuning.length, dropout=tuning.dropout))


def _loreft(encoder: nn.Module, tuning: Any) -> None:
    """The rows of R are kept orthonormal here: the library's own way draws a matrix that no checkpoint would hold."""
    config = adapters.LoReftConfig(
        r=tuning.rank,
        prefix_positions=tuning.positions,
        dropout=tuning.dropout,
        orthogonality=False,
        tied_weights=True,  # else there is a second unit, for positions at the end, which none has
    )
    _add(encoder, config)
    for module in encoder.modules():
        if isinstance(module, ReftUnit):
            orthogonal(module.projection, use_trivialization=False)


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
    LoRA: _low_rank,
    DoRA: _low_rank,
    IA3: _ia3,
    Prefix: _prefix,
    LoReFT: _loreft,
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
    """While open, what LoRA, DoRA or (IA)^3 do is part of the matrices they belong to, and costs nothing.

    W + (alpha / r) B A in the case of LoRA (Hu et al. 2022, section 4.1). Predictions are the same but for rounding.
    Afterwards the released matrices are back, bit for bit: taking an update out again, as the library does, would leave
    rounding behind. Does nothing without any of them.
    """
    layers = [module for module in encoder.modules() if isinstance(module, LoRALayer) and TASK in module.loras]
    released = [(layer.weight.data, None if layer.bias is None else layer.bias.data) for layer in layers]
    for layer in layers:
        if layer.bias is not None and (factor := _row_factor(layer)) is not None:
            layer.bias.data = layer.bias.data * factor  # the library scales what a layer gives, its bias included
    if layers:
        encoder.merge_adapter(TASK)
    try:
        yield
    finally:
        for layer, (weight, bias) in zip(layers, released, strict=True):
            layer.weight.data, layer.merged = weight, None
            if bias is not None:
                layer.bias.data = bias


def _row_factor(layer: Any) -> Tensor | None:
    """What the rows of a layer's matrix are multiplied by: [outputs]; None with LoRA, which only adds to them."""
    module = layer.loras[TASK]
    if isinstance(module, IA3Module):
        return module.lora_B.detach().view(-1)
    if not module.use_dora:
        return None
    length = (layer.weight + module.delta_w).norm(dim=1)
    return (module.m.weight.view(-1) / length).detach()
