"""The typed, validated view of ``configs/``: every YAML file has a model here, and an unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xlt.config.yaml_files import line_of, load_yaml, location_of, message_of
from xlt.errors import InputError
from xlt.names import ALLOWED, one_of, visible

Family = Literal["classification", "choice", "tagging", "span", "lareqa", "mewslix", "tatoeba", "bucc"]
DUAL_ENCODERS = ("lareqa", "mewslix")
"""Families whose encoder is trained with a contrastive loss."""
RETRIEVAL = (*DUAL_ENCODERS, "tatoeba", "bucc")
"""Families that compare vectors of texts."""
DualEncoder = Literal["reference", "mean-in-batch"]
"""How queries and candidates are embedded and trained (docs/protocol.md): as XTREME-R's code does, or this artifact's way."""
Benchmark = Literal["xtreme-r", "xtreme"]
OnError = Literal["refuse", "repair", "drop"]
"""What becomes of a bad example of a file: the file is refused; it is repaired, or dropped if it cannot be; it is dropped."""
Rate = Annotated[float, Field(gt=0)]
Checkpoint = Literal["best", "last", "average"]
"""Which weights a training ends with: the best epoch's on English development data, the last one's, or the mean of all."""
LONGEST_QUESTION = 64
"""Sub-words of a question that are read (XTREME's ``run_squad.py``)."""
QUERY_TOKENS = 96
"""Longest LAReQA question in sub-words (XTREME's ``train_lareqa.sh``); the rest of ``max_length`` is for the answer."""


class Strict(BaseModel):
    """A config section: unknown keys are refused, values are not coerced silently, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Source(Strict):
    """One way a split may lie in the data folder: a path pattern and the name of the reader for its format.

    ``languages`` limits it to some languages; ``skip`` and ``take`` cut one file into disjoint parts where an owner
    publishes a single split. ``apart_from``: records of what trains are left out where they share a sentence with what this
    task is scored on or, in a training set, with its development set. ``on_error`` lets one per cent of bad examples pass.
    """

    path: str
    format: str
    languages: list[str] | None = None
    skip: int = Field(default=0, ge=0)
    take: int | None = Field(default=None, ge=1)
    apart_from: str | None = None
    on_error: OnError = Field(default="refuse", exclude_if=lambda value: value == "refuse")


class Input(Strict):
    """What a task and a recipe both say about their input."""

    family: Family
    labels: list[str] | None = Field(default=None, min_length=1)
    label_map: dict[str, str] | None = Field(default=None, exclude_if=lambda value: value is None)
    """What each label of the files that is none of ``labels`` is read as."""
    options: int | None = Field(default=None, ge=2)
    max_length: int = Field(ge=8)
    doc_stride: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _fits_the_family(self) -> Input:
        if self.family in ("classification", "tagging") and self.labels is None:
            raise ValueError(f"expected labels for the family {self.family}")
        if self.family == "choice" and self.options is None:
            raise ValueError("expected options, their number, for the family choice")
        if self.family == "span" and self.doc_stride is None:
            raise ValueError("expected doc_stride for the family span")
        if self.family == "span" and self.max_length <= LONGEST_QUESTION + 4:  # 4 special tokens
            raise ValueError(f"expected max_length above {LONGEST_QUESTION + 4} for a passage, got {self.max_length}")
        return self

    @model_validator(mode="after")
    def _maps_labels(self) -> Input:
        own = self.labels or []
        for given, label in (self.label_map or {}).items():
            if given in own:
                raise ValueError(f"label_map: expected labels that are not among labels, got {given}")
            if label not in own:
                raise ValueError(f"label_map: expected {given} to be one of {', '.join(own) or 'labels'}, got {label}")
            inside = f"I-{given[2:]}"
            if given.startswith("B-") and inside not in (*own, *(self.label_map or {})):
                raise ValueError(f"label_map: expected {inside} too where there is {given}")
        return self

    @property
    def known_labels(self) -> list[str] | dict[str, str] | None:
        """The labels that a file may have; with a ``label_map`` what each is read as."""
        return self.labels if self.label_map is None else {label: label for label in self.labels or []} | self.label_map


class MiningRule(Strict):
    """How pairs are mined: by the ratio margin (Artetxe and Schwenk 2019, equation 2) or cosine, over k neighbours."""

    score: Literal["ratio", "cosine"] = "ratio"
    neighbours: int = Field(default=4, ge=1)


class Task(Input):
    """An evaluation task: which languages, which files, which metric, and the recipe that trains for it."""

    name: str
    title: str
    recipe: str
    metrics: list[str] = Field(min_length=1)
    chance: float | None = None
    languages: dict[Benchmark, list[str]]
    normalization: Literal["squad", "mlqa"] | None = None  # family span: whose rules compare answers; null: SQuAD's
    mining: MiningRule | None = None  # family bucc; null: XTREME's rule
    unlabelled_rows: Literal["drop", "keep"] = "drop"
    """Family classification: whether PAWS-X's untranslated rows ("NS"), all labelled 0, are scored."""
    separate: bool = False
    """Evaluated in a run of its own that loads the weights, so that what needs only the other tasks does not pay for it."""
    pairs: bool = False
    """Scored on ordered pairs of its languages ("de-fr"): an example's first text (for questions the passage) is in one
    language, the second in the other."""
    sources: dict[Literal["dev", "test"], list[Source]]

    @model_validator(mode="after")
    def _keys_fit(self) -> Task:
        if (self.normalization and self.family != "span") or (self.mining and self.family != "bucc"):
            raise ValueError("expected normalization with the family span only, and mining with the family bucc only")
        if self.unlabelled_rows == "keep" and (self.family != "classification" or self.pairs):
            raise ValueError("unlabelled_rows: expected keep with the family classification and without pairs only")
        if self.pairs and not self.separate:
            raise ValueError("separate: expected true for a task with pairs: its many files would slow every run down")
        if self.pairs and self.family not in ("classification", "span", "lareqa"):
            raise ValueError(f"pairs: expected a family of classification, span, lareqa, got {self.family}")
        return self


class Recipe(Input):
    """A training set in the source language with the published hyper-parameters that go with it.

    ``after``: the recipe that is trained before it. ``training_set``: the name of the set, where several recipes train on it.
    ``decay``: how the learning rate goes on after the warm-up, linearly down to 0 or not at all.
    """

    name: str
    title: str
    family: Literal["classification", "choice", "tagging", "span", "lareqa", "mewslix"]
    language: str = "en"
    sources: dict[Literal["train", "dev"], list[Source]]
    after: str | None = None
    training_set: str | None = None
    decay: Literal["linear", "constant"] = "linear"
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    """Examples whose loss the reference takes together; four of them, say, are a batch. Families tagging, lareqa, mewslix."""
    learning_rate: dict[Literal["full", "adapter", "lora"], Rate]
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    checkpoint: Checkpoint = "best"
    source: str

    @model_validator(mode="after")
    def _micro_batches_matter(self) -> Recipe:
        if self.micro_batch_size is not None and self.family not in ("tagging", *DUAL_ENCODERS):
            raise ValueError(f"micro_batch_size: no loss of the family {self.family} depends on it; remove it")
        return self


class Caps(Strict):
    """How many examples are used at most (LAReQA: passages; test and dev: per language); null means all."""

    train: int | None = Field(default=None, ge=1)
    dev: int | None = Field(default=None, ge=1)
    test: int | None = Field(default=None, ge=1)


class Profile(Strict):
    """How much of the benchmark is run, on which model, and which split of a task is scored."""

    name: str
    title: str
    benchmark: Benchmark = "xtreme-r"
    model: str
    seeds: list[int] = Field(min_length=1)
    data: str
    caps: dict[str, Caps] = {}
    splits: dict[str, Literal["dev", "test"]] = {}
    split_notes: dict[str, str] = {}
    sources: dict[str, dict[Literal["train", "dev", "test"], list[Source]]] = {}
    languages_from: str | None = None
    rows: dict[str, list[str]] = {}
    """Rows of a table that this profile runs, by table; a table not named here has all of its rows."""
    epochs: dict[str, Annotated[int, Field(ge=1)]] = {}
    dual_encoder: DualEncoder = "reference"

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"expected distinct seeds, got {seeds}")
        return seeds

    def cap(self, name: str) -> Caps:
        """The caps of a task or recipe: its own entry, or the ``default`` entry."""
        return self.caps.get(name, self.caps.get("default", Caps()))


class ModelSource(Strict):
    """One place a model may come from: exactly one of ``hub``, ``local``, ``pypi`` or ``packaged``.

    ``packaged``: a folder of this package, such as ``babel/encoder``, whose stamp lists the hashes of its files.
    """

    hub: str | None = None
    revision: str | None = None
    local: str | None = None
    pypi: str | None = None
    version: str | None = None
    sha256: str | None = None
    file: str | None = None
    packaged: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> ModelSource:
        if sum(place is not None for place in (self.hub, self.local, self.pypi, self.packaged)) != 1:
            raise ValueError("expected exactly one of hub, local, pypi, packaged")
        return self


class Rounding(Strict):
    """What rounded weights do to a score: a standard deviation in points, for encoders whose origin has ``origin`` in it."""

    origin: str
    points: float = Field(gt=0)
    measured: str


class Decoder(Strict):
    """How a decoder-only model is loaded: whole (null), or with its weights in 4 bits (needs bitsandbytes and CUDA)."""

    quantisation: Literal["nf4"] | None = None


class ForRecipe(Strict):
    """What an encoder does otherwise in one recipe than the recipe says."""

    learning_rate: dict[Literal["full", "adapter", "lora", "fusion"], Rate] = {}
    batch_size: int | None = Field(default=None, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)


class Model(Strict):
    """An encoder: where it comes from, how it embeds sentences, and its learning rates where they differ.

    With ``decoder`` it is a decoder-only model, for lexical injection alone.
    """

    name: str
    title: str
    sources: list[ModelSource]
    pooling: Literal["mean", "cls"]
    retrieval_prefix: str = ""
    retrieval_layer: int | None = None
    tokenizer_from: str | None = None
    learning_rate: dict[Literal["full", "adapter", "lora", "fusion"], Rate] | None = None
    batch_size: int | None = Field(default=None, ge=1)
    recipes: dict[str, ForRecipe] = {}
    rounding_error: Rounding | None = None
    decoder: Decoder | None = None
    licence: str
    citation: str
    parameters: str


class RegimeGrid(Strict):
    """Rows made by crossing: each regime as it is, and after intermediate training on each recipe (``continue``)."""

    regimes: list[str] = Field(min_length=1)
    intermediates: list[str] = Field(min_length=1)


class Table(Strict):
    """A table of the artifact: its rows (regimes, or what crossing gives) and columns (tasks)."""

    name: str
    title: str
    kind: Literal["benchmark", "languages", "pairs", "grid", "lexical", "groups", "sizes"] = "benchmark"
    regimes: list[str] = []
    grid: RegimeGrid | None = None
    lexical: list[str] = []
    tasks: list[str] = []
    reference: str = "full"
    differences: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    """Kind pairs: regimes compared cell by cell, [regime, what it is compared with]."""
    notes: list[str] = []

    @model_validator(mode="after")
    def _rows_compared(self) -> Table:
        for name in (name for pair in self.differences for name in pair):
            if name not in self.regimes:
                raise ValueError(f"differences: {one_of(self.regimes, name)}")
        return self


ConfigModel = TypeVar("ConfigModel", bound=BaseModel)


def parse(model: type[ConfigModel], value: Any, path: Path) -> ConfigModel:
    """Validate a parsed YAML ``value`` against ``model``.

    Raises:
        InputError: with file and line of the first key that is unknown, missing or of the wrong type.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors()
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])  # a misspelt key first
        raise InputError(message_of(first), path, line_of(path, location_of(first))) from None


def load(model: type[ConfigModel], path: Path) -> ConfigModel:
    """Read and validate one config file; its ``name`` must be the file's name, which paths and commands can carry."""
    if not ALLOWED.fullmatch(path.stem):
        raise InputError("expected a file name of letters, digits, . _ and -; rename it", path)
    config = parse(model, load_yaml(path), path)
    name = getattr(config, "name", path.stem)
    if name != path.stem:
        raise InputError(f"name: expected {path.stem} (the file's name), got {name}", path, line_of(path, ("name",)))
    return config


def load_all(model: type[ConfigModel], folder: Path) -> dict[str, ConfigModel]:
    """Read and validate every config of a folder, by name."""
    return {path.stem: load(model, path) for path in visible(folder, "*.yaml")}
