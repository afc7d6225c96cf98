"""What the steps of a run share, and how its model embeds sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlt.config.run_config import RunConfig
from xlt.families.retrieval import Embed, Retrieval, Text
from xlt.modeling.model import TransferModel
from xlt.modeling.sentence_embeddings import embed

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


def embedder(model: TransferModel, tokenizer: Any, context: Context, family: Retrieval) -> Embed:
    """Sentence embeddings of a model for a task of ``family``, as the run's config asks for.

    An untuned encoder stops at its retrieval layer. A tuned one does so in the reference's way where XTREME's scripts do, and
    pools the states by its trained pooler elsewhere; a sentence and its passage are then one text, written together without
    a space (``evaluate_retrieval.py``). In the other way it pools the last layer in every task.

    With language adapters each text is read with its own language's; the source language's is active afterwards.
    """
    config = context.config.model
    frozen = context.config.regime.tuning.kind == "frozen"
    reference = context.config.profile.dual_encoder == "reference"
    middle = frozen or (reference and family.middle_layer)

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
            [written_together(text) for text in texts] if reference else texts,
            prefix=config.retrieval_prefix,
            pooling=config.pooling,
            pooler=None if middle else model.pooler(),
            layer=config.retrieval_layer if middle else None,
            max_length=max_length,
            batch_tokens=context.budget,
            device=context.device,
            progress=title,
        )

    return run


def written_together(text: Text) -> str:
    """A pair as one text, the way XTREME's ``evaluate_retrieval.py`` writes a candidate of LAReQA; other texts unchanged."""
    return text if isinstance(text, str) else (text[0] + text[1]).replace("\n", "")
