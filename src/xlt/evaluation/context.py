"""What the steps of a run share, and how its model embeds sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlt.evaluation.dual import Embed
from xlt.modeling.encoding import embed
from xlt.modeling.model import TransferModel
from xlt.runs import RunConfig

TOKEN_BUDGET = {"cpu": 1024, "cuda": 32768}
"""Padded tokens of a micro-batch by device; bounds memory, never changes a result's definition."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the steps of a run share: its config and folder, the data folder, the encoder's folder, and the device."""

    config: RunConfig
    folder: Path
    root: Path
    data: Path
    encoder: Path
    device: torch.device

    @property
    def language_adapters(self) -> dict[str, Path]:
        """The folder of each language's adapter; empty unless the regime is MAD-X."""
        return {language: self.root / folder for language, folder in self.config.language_adapters.items()}

    @property
    def budget(self) -> int:
        """Padded tokens of a micro-batch."""
        return TOKEN_BUDGET[self.device.type]


def embedder(model: TransferModel, tokenizer: Any, context: Context) -> Embed:
    """Sentence embeddings of a model as the run's config asks for; an untuned encoder stops at its retrieval layer.

    With language adapters each text is read with its own language's; the source language's is active afterwards.
    """
    config = context.config.model
    frozen = context.config.regime.tuning.kind == "frozen"

    def run(texts: Sequence[Any], max_length: int, title: str, languages: Sequence[str]) -> Any:
        if model.composition is None:
            return together(texts, max_length, title)
        served: dict[tuple[str, ...], list[int]] = {}
        for number, language in enumerate(languages):
            served.setdefault(tuple(model.composition.language_part(language)), []).append(number)
        vectors = np.zeros((len(texts), int(model.encoder.config.hidden_size)), dtype=np.float32)
        for numbers in served.values():
            model.use_language(languages[numbers[0]])
            vectors[numbers] = together([texts[number] for number in numbers], max_length, title)
        model.use_language(model.composition.source)
        return vectors

    def together(texts: Sequence[Any], max_length: int, title: str) -> Any:
        return embed(
            model.encoder,
            tokenizer,
            texts,
            prefix=config.retrieval_prefix,
            pooling=config.pooling,
            layer=config.retrieval_layer if frozen else None,
            max_length=max_length,
            batch_tokens=context.budget,
            device=context.device,
            progress=title,
        )

    return run
