"""What of the encoder is trained: everything, bottleneck adapters, LoRA, or nothing.

Adding a way of tuning is adding a config model to ``xlt.regimes.Tuning`` and a function to ``ATTACH``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adapters
from torch import nn

from xlt.modeling.composition import TASK
from xlt.regimes import Bottleneck, Frozen, Full, Head, LoRA, Tuning


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


def _lora(encoder: nn.Module, tuning: Any) -> None:
    attention = [target for target in tuning.targets if target in ("q", "k", "v")]
    config = adapters.LoRAConfig(
        r=tuning.rank,
        alpha=tuning.alpha,
        dropout=tuning.dropout,
        selfattn_lora=bool(attention),
        attn_matrices=attention,
        intermediate_lora="intermediate" in tuning.targets,
        output_lora="output" in tuning.targets,
    )
    _add(encoder, config)


def _add(encoder: Any, config: Any) -> None:
    adapters.init(encoder)
    encoder.add_adapter(TASK, config=config)
    encoder.train_adapter(TASK)  # freezes the encoder, and activates the adapter in the forward pass
    if not any(parameter.requires_grad for parameter in encoder.parameters()):
        raise AssertionError("the adapter added no trainable parameter")


ATTACH: dict[type, Callable[[nn.Module, Any], None]] = {
    Full: _full,
    Frozen: _frozen,
    Head: _frozen,
    Bottleneck: _bottleneck,
    LoRA: _lora,
}


def attach(encoder: nn.Module, tuning: Tuning) -> None:
    """Make exactly the parameters of ``tuning`` trainable, adding modules where it needs them."""
    ATTACH[type(tuning)](encoder, tuning)
