"""Lexical injection (Ngugi 2025, arXiv 2506.15415): the configs of the method and of one job that carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from xlt.config.benchmark import Model, Rate, Strict
from xlt.config.regimes import LoRA
from xlt.config.run_config import FileSet, read_config

ENCODER, ADAPTER = "encoder", "adapter"
"""Folders below a job's: the encoder with LoRA merged into it, or, for a decoder, LoRA's own weights."""


class LexiconSource(Strict):
    """Where the word list or bitext of a language may lie below the data folder, and its format. All that exist are read."""

    path: str
    format: Literal["lexicon-tsv", "freedict-from-en", "freedict-to-en", "bitext-tsv"]


class Sentences(Strict):
    """Words of parallel sentences in place of word lists: realignment (Cao et al. 2020, section 3).

    Words are aligned by the encoder itself, before training (``xlt.data.parallel``). ``most``: sentence pairs of a language,
    the first of its file. ``depth``: the layer whose states align them, as part of all layers. ``keep``: weight of the pull
    of English words to where they were.
    """

    most: int = Field(ge=2)
    depth: float = Field(gt=0, le=1)
    keep: float = Field(ge=0)


class LexicalConfig(Strict):
    """Targeted lexical injection: LoRA below one layer, trained to draw translations of single words together.

    ``layer``: the number L of transformer layers that get LoRA; words are compared at their output, ``hidden_states[L]``.
    ``cosine`` and ``retrieval`` let the pilot choose it: the layer at which, before training, the training pairs have the
    highest mean cosine, or find each other most often, among the lowest ``early`` part of the layers. ``languages``:
    those of one model; ``all`` with a word list.
    ``held_out``: part of the pairs that is not trained on. ``seeds``: the least number of seeds. ``lora.layers`` stays
    open, the layer says it. ``sentences``: words come from parallel sentences, each with its own around it.
    """

    name: str
    title: str
    description: str
    languages: Literal["all"] | Annotated[list[str], Field(min_length=1)] = "all"
    layer: Annotated[int, Field(ge=1)] | Literal["cosine", "retrieval"]
    early: float = Field(default=1.0, gt=0, le=1)
    lora: LoRA
    margin: float = Field(gt=0, lt=2)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: Rate
    warmup_steps: int = Field(default=0, ge=0)
    held_out: float = Field(gt=0, lt=1)
    seeds: int = Field(default=1, ge=1)
    sentences: Sentences | None = None
    sources: list[LexiconSource] = Field(min_length=1)
    source: str

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without absent ``sentences``, so that configs which have none stay as they are."""
        return {key: value for key, value in serialize(self).items() if key != "sentences" or value is not None}

    @model_validator(mode="after")
    def _makes_sense(self) -> LexicalConfig:
        bitexts = {each.format == "bitext-tsv" for each in self.sources}
        if bitexts != {self.sentences is not None}:
            raise ValueError("sources: sentences and bitext-tsv go together; expected both, or neither")
        if self.lora.layers is not None:
            raise ValueError("lora.layers: the layers below `layer` get LoRA, all of them; remove it")
        if isinstance(self.layer, int) and self.early != 1.0:
            raise ValueError("early: it bounds the pilot's choice, and layer is fixed; remove one of them")
        if isinstance(self.languages, list) and len(set(self.languages)) != len(self.languages):
            raise ValueError(f"languages: expected distinct languages, got {', '.join(self.languages)}")
        if self.languages != "all" and "en" in self.languages:
            raise ValueError("languages: en is the other side of every pair; name target languages only")
        return self

    def label(self) -> str:
        """The languages as part of a folder's name."""
        return self.languages if isinstance(self.languages, str) else "-".join(self.languages)


class LexicalRun(Strict):
    """A job's ``config.json``, everything its result depends on: ``learning_rate`` is resolved, ``files`` are by language."""

    lexical: LexicalConfig
    seed: int
    model: Model
    learning_rate: float
    files: dict[str, list[FileSet]]


def job_dir(config: LexicalConfig, seed: int) -> str:
    """Where a job lies below the folder of its profile and model."""
    return f"lexical/{config.name}/{config.label()}/seed-{seed}"


def read_job(folder: Path) -> LexicalRun:
    """Read the config of a job's folder."""
    return read_config(LexicalRun, folder)
