"""The masked-language-modelling head of an encoder, and the loss of a masked batch under it.

The head is alike in all architectures that have one here (Devlin et al. 2019, section 3.1): dense, GELU, layer norm, then the
word embeddings as output matrix with a bias of its own. MAD-X puts the inverse of the invertible adapter just before that
matrix (Pfeiffer et al. 2020, section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xlt.errors import InputError
from xlt.files import read_json
from xlt.modeling.architectures import architecture_of, refusal
from xlt.modeling.collate import TokenBatch
from xlt.modeling.model_sources import MLM_HEAD, weight_files
from xlt.modeling.precision import arithmetic
from xlt.modeling.tokenizer import CONFIG

IGNORE = -100
"""Label of a sub-word that is not predicted."""


@dataclass(frozen=True, slots=True)
class MaskedBatch:
    """Masked rows and ``labels`` [rows, tokens]: the id of each sub-word to be predicted, ``IGNORE`` elsewhere."""

    rows: TokenBatch
    labels: Tensor

    def to(self, device: torch.device | str) -> MaskedBatch:
        """The same batch on another device."""
        return MaskedBatch(self.rows.to(device), self.labels.to(device))


class MaskedLMHead(nn.Module):
    """Dense, GELU and layer norm before the tied output matrix. ``pretrained``: whether a checkpoint brought it."""

    def __init__(self, width: int, vocabulary: int, eps: float, *, pretrained: bool = False) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.layer_norm = nn.LayerNorm(width, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        nn.init.normal_(self.dense.weight, std=0.02)  # as BERT initialises its own
        nn.init.zeros_(self.dense.bias)
        self.pretrained = pretrained

    def forward(self, states: Tensor, encoder: Any) -> Tensor:
        """[n, width] states of ``encoder``'s last layer -> [n, vocabulary] scores.

        The invertible adapter that is active in ``encoder``, if there is one, is undone before the output matrix.
        """
        out = self.layer_norm(nn.functional.gelu(self.dense(states)))
        if hasattr(
            encoder, "invertible_adapters_forward"
        ):  # the adapters library's layer expects [rows, tokens, width]
            out = encoder.invertible_adapters_forward(out.unsqueeze(0), rev=True).squeeze(0)
        return nn.functional.linear(out, encoder.get_input_embeddings().weight, self.bias)


def load_masked_lm_head(path: Path, seed: int) -> MaskedLMHead:
    """The head of a prepared folder: its ``mlm_head.safetensors``, or the head in the checkpoint, or a fresh one.

    A fresh one (``pretrained`` false) is drawn from ``seed`` and has to be trained: e5-small was released without its head,
    and DeBERTa-v3, which learnt to tell replaced words, with one that it was not pre-trained with.

    Raises:
        InputError: no head can lie on the word embeddings of this architecture.
    """
    config = read_json(path / CONFIG)
    architecture = architecture_of(config)
    if (reason := refusal(config, "masked_text")) is not None:
        raise InputError(reason, path)
    torch.manual_seed(seed)
    eps = float(config.get(architecture.keys.get("layer_norm_eps", "layer_norm_eps"), 1e-12))
    head = MaskedLMHead(int(architecture.figure(config, "hidden_size")), int(config["vocab_size"]), eps)
    own = path / MLM_HEAD
    state = _head_tensors([own] if own.exists() else weight_files(path), architecture.masked_lm)
    if {"dense.weight", "layer_norm.weight", "bias"} <= state.keys():  # some architectures have no other bias
        head.load_state_dict({**head.state_dict(), **state})
        head.pretrained = True
    return head


def _head_tensors(paths: Sequence[Path], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Those of the head's tensors (``names`` in the files, by our own) that safetensors files have, in float32."""
    from safetensors import safe_open

    found: dict[str, Tensor] = {}
    for path in paths:
        with safe_open(path, framework="pt") as file:
            there = set(file.keys())
            found |= {own: file.get_tensor(name).float() for own, name in names.items() if name in there}
    return found


def masked_lm_loss(encoder: Any, head: MaskedLMHead, batch: MaskedBatch) -> Tensor:
    """Mean cross-entropy, in nats, over the sub-words to be predicted; 0 for a batch without any."""
    rows = batch.rows
    with arithmetic(rows.input_ids.device):
        out = encoder(input_ids=rows.input_ids, **rows.beside_ids(encoder))
    chosen = batch.labels != IGNORE
    scores = head(out.last_hidden_state[chosen].float(), encoder)
    total = nn.functional.cross_entropy(scores, batch.labels[chosen], reduction="sum")
    return total / chosen.sum().clamp(min=1)
