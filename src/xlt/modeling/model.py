"""The model of a run: one encoder, tuned in one way, under one head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xlt.config.benchmark import DualEncoder
from xlt.config.regimes import Frozen, MadX, Tuning
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.modeling.architectures import architecture_of
from xlt.modeling.collate import TokenBatch, rows_of
from xlt.modeling.composition import Composition
from xlt.modeling.heads import PoolerHead, pool
from xlt.modeling.intermediate_adapters import IntermediateAdapters, add_intermediate_adapters, fusion_penalty
from xlt.modeling.language_adapters import adapter_name, load_language_adapter
from xlt.modeling.precision import arithmetic
from xlt.modeling.pretrained import load_encoder, load_pooler
from xlt.modeling.trained_rows import with_all_rows
from xlt.modeling.tuning import attach

EmbeddingPerturbation = Callable[[Tensor, TokenBatch], Tensor]
"""(word embeddings [rows, tokens, width], their rows) -> perturbed word embeddings of the same shape."""


class TransferModel(nn.Module):
    """An encoder and the head of one task family (an object of ``xlt.families``).

    ``trainable`` are the names of the parameters that tuning trains. Unfreezing may switch their gradients off for a
    while; they are saved and counted all the same. ``embedding_perturbation``, while set, sees the word embeddings of
    every pass. ``composition`` says which adapters are active for text in a language; None when nothing is composed.
    ``micro_batch_size``: as in ``config.Recipe``; None where a loss takes the whole batch together.
    ``unread_factor``: what its last training multiplied the word embeddings by that it did not read (``trained_rows``).
    """

    def __init__(
        self,
        encoder: Any,
        head: nn.Module,
        family: Any,
        pooling: str,
        composition: Composition | None = None,
        micro_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.family = family
        self.pooling = pooling
        self.embedding_perturbation: EmbeddingPerturbation | None = None
        self.composition = composition
        self.micro_batch_size = micro_batch_size
        self.unread_factor = 1.0
        self.trainable = frozenset(name for name, parameter in self.named_parameters() if parameter.requires_grad)

    @property
    def pad_id(self) -> int:
        """The id of the padding token."""
        return int(self.encoder.config.pad_token_id)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def hidden(self, rows: TokenBatch) -> Tensor:
        """States of the last layer: [rows, tokens, width]."""
        with arithmetic(self.device):
            if self.embedding_perturbation is None:
                out = self.encoder(input_ids=rows.input_ids, **rows.beside_ids(self.encoder))
            else:
                words = self.embedding_perturbation(self.encoder.get_input_embeddings()(rows.input_ids), rows)
                out = self.encoder(inputs_embeds=words, **rows.beside_ids(self.encoder))
        return out.last_hidden_state.float()

    def use_language(self, language: str) -> None:
        """Make the adapters for text in ``language`` active from the next pass on (MAD-X); else nothing changes."""
        if self.composition is not None:
            self.encoder.set_active_adapters(self.composition.active(language))

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """What tuning trains, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if name in self.trainable}

    def batch(self, features: Sequence[Feature]) -> TokenBatch:
        """The rows of some features, in order, padded together where the model is."""
        return rows_of(features, self.pad_id).to(self.device)

    def scores(self, rows: TokenBatch) -> Tensor:
        """The head's output on the last layer's states."""
        return self.head(self.hidden(rows))

    def penalty(self) -> Tensor | None:
        """What is added to the loss of every step whatever its batch: the pull on AdapterFusion's value matrices."""
        return None if self.composition is None else fusion_penalty(self.encoder, self.composition.fused)

    def logit_scale(self) -> Tensor:
        """The learned factor of a dual encoder's cosine similarities (retrieval families only)."""
        return self.head.get_parameter("logit_scale")

    def embeddings(self, rows: TokenBatch) -> Tensor:
        """L2-normalised sentence vectors, of the pooler where the head has one: [rows, width]."""
        hidden = self.hidden(rows)
        pooler = self.pooler()
        pooled = pool(hidden, rows.attention_mask, self.pooling) if pooler is None else pooler(hidden)
        return nn.functional.normalize(pooled, dim=-1)

    def pooler(self) -> PoolerHead | None:
        """The trained pooler of a dual encoder; None where sentences are pooled otherwise."""
        return self.head if isinstance(self.head, PoolerHead) else None

    def trained_state(self) -> dict[str, Tensor]:
        """A copy on the CPU of every trained tensor (encoder or adapter, and head), by name."""
        return {
            name: parameter.detach().to("cpu", copy=True).contiguous()
            for name, parameter in self.trained_parameters().items()
        }

    def table_name(self) -> str:
        """The name of the word-embedding table among the parameters."""
        table = self.encoder.get_input_embeddings().weight
        return next(name for name, parameter in self.named_parameters() if parameter is table)

    def load_trained_state(self, state: Mapping[str, Tensor], *, with_head: bool) -> list[str]:
        """Load trained tensors; without the head when only what is shared moves on to another task.

        Where ``state`` has only some rows of the word-embedding table, the others are those of this model, which has to be as
        it was prepared.

        Returns:
            The names of the tensors loaded.

        Raises:
            InputError: a tensor has no counterpart here, or one that should be loaded is missing.
        """
        own, table = self.trained_parameters(), self.table_name()
        if table in own:
            state = with_all_rows(state, table, own[table].detach())
        wanted = {name for name in own if with_head or not name.startswith("head.")}
        given = {name for name in state if with_head or not name.startswith("head.")}
        if wanted != given:
            name = sorted(wanted ^ given)[0]
            raise InputError(f"tensor {name} is in only one of checkpoint and model; were both tuned in the same way?")
        with torch.no_grad():
            for name in sorted(wanted):
                if own[name].shape != state[name].shape:
                    raise InputError(f"tensor {name}: expected {list(own[name].shape)}, got {list(state[name].shape)}")
                own[name].copy_(state[name])
        return sorted(wanted)

    def parameter_counts(self) -> tuple[int, int]:
        """(trainable, all) parameters, head included."""
        trainable = sum(p.numel() for p in self.trained_parameters().values())
        return trainable, sum(p.numel() for p in self.parameters())


def build_model(
    path: Path,
    *,
    family: Any,
    labels: int,
    tuning: Tuning,
    pooling: str,
    seed: int,
    language_adapters: Mapping[str, Path] | None = None,
    source: str = "en",
    earlier: IntermediateAdapters | None = None,
    dual_encoder: DualEncoder | None = None,
    micro_batch_size: int | None = None,
) -> TransferModel:
    """Load the encoder from a prepared folder and put adapters and a fresh head on it.

    The head is drawn from its own seed, so that every tuning method starts from the same head. ``language_adapters`` are
    the folders of frozen ones by language; that of ``source``, the language of the training data, is active at first.
    ``earlier``: adapters of intermediate tasks to be stacked or fused. ``dual_encoder`` matters to LAReQA and Mewsli-X.
    """
    encoder = load_encoder(path)
    torch.manual_seed(seed)
    attach(encoder, tuning)
    composition = add_languages(encoder, tuning, language_adapters or {}, source)
    if earlier is not None:
        composition = add_intermediate_adapters(encoder, earlier, composition)
    head = _seeded_head(path, encoder, family, labels, seed, dual_encoder)  # adapters may have drawn numbers
    head.requires_grad_(not isinstance(tuning, Frozen))
    model = TransferModel(encoder, head, family, pooling, composition, micro_batch_size)
    model.use_language(source)
    return model


def _seeded_head(
    path: Path, encoder: Any, family: Any, labels: int, seed: int, dual_encoder: DualEncoder | None
) -> nn.Module:
    """A head drawn from its seed; where the reference reads the encoder's pooler, with the checkpoint's, if it has one."""
    config = encoder.config
    pooler = family.reads_pooler(architecture_of(config), dual_encoder)
    torch.manual_seed(seed)
    head = fresh_head(family, config, labels, pooler=pooler)
    weights = load_pooler(path) if pooler else None
    if weights is not None:
        head.get_submodule("dense").load_state_dict(weights)
    return head


def fresh_head(family: Any, config: Any, labels: int, *, pooler: bool) -> nn.Module:
    """The head of a family for an encoder of this ``config``, freshly drawn."""
    dropout = float(architecture_of(config).figure(config, "hidden_dropout_prob"))
    head: nn.Module = family.head(int(config.hidden_size), labels, dropout, pooler=pooler)
    return head


def another_head(
    model: TransferModel,
    path: Path,
    family: Any,
    labels: int,
    seed: int,
    *,
    dual_encoder: DualEncoder | None = None,
    micro_batch_size: int | None = None,
) -> TransferModel:
    """A model with a fresh head for another task on the same encoder (of ``path``): training one trains what they share."""
    head = _seeded_head(path, model.encoder, family, labels, seed, dual_encoder).to(model.device)
    return TransferModel(model.encoder, head, family, model.pooling, model.composition, micro_batch_size)


def add_languages(encoder: Any, tuning: Tuning, folders: Mapping[str, Path], source: str) -> Composition | None:
    """Load the language adapters of MAD-X, frozen, and say how they are composed; None for any other tuning.

    Raises:
        InputError: the language of the training data has no adapter.
    """
    if not isinstance(tuning, MadX):
        return None
    if source not in folders:
        raise InputError(f"tuning madx needs a language adapter of {source}, the language of the training data")
    for language, folder in folders.items():
        load_language_adapter(encoder, language, folder)
    return Composition({code: adapter_name(code) for code in folders}, source=source, missing=tuning.missing)
