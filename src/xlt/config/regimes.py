"""A regime is a point on four axes: what is tuned, what is trained before, how a step sees its input, what is unfrozen when.

Every axis value has a config class here and one module that carries it out (docs/extending.md). Combinations that make
no sense are refused when the config is read, before anything is planned or trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from xlt.config.benchmark import Checkpoint, Strict
from xlt.config.robustness import Robustness, Smoothing
from xlt.config.schedules import Training, Unfreezing

Placement = Literal["pfeiffer", "houlsby", "parallel"]


class Full(Strict):
    """Full fine-tuning: every parameter of the encoder and the head is trained."""

    kind: Literal["full"]


class Head(Strict):
    """Only the head is trained, on the states of the encoder as released (linear probing)."""

    kind: Literal["head"]


class Frozen(Strict):
    """Nothing is trained: the encoder as released, for retrieval tasks only."""

    kind: Literal["frozen"]


class Bottleneck(Strict):
    """A bottleneck adapter in every layer (Houlsby et al. 2019; Pfeiffer et al. 2020, MAD-X section 4)."""

    kind: Literal["bottleneck"]
    placement: Placement = "pfeiffer"
    reduction_factor: float = Field(default=16, gt=0)


class MadX(Strict):
    """A task adapter on a frozen language adapter with invertible layers (Pfeiffer et al. 2020, MAD-X, section 4).

    In training the source language's adapter is active, in testing the target language's. ``missing`` says what serves a
    language that has none: the ``source`` language's adapter, ``none`` (the task adapter alone), or ``refuse``.
    """

    kind: Literal["madx"]
    placement: Placement = "pfeiffer"
    reduction_factor: float = Field(default=16, gt=0)
    missing: Literal["source", "none", "refuse"] = "source"


class LowRank(Strict):
    """Low-rank updates of weight matrices. ``layers``: those that get one, counted from 0 at the bottom; null for all."""

    kind: str
    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=8, gt=0)
    targets: list[Literal["q", "k", "v", "intermediate", "output"]] = Field(default=["q", "v"], min_length=1)
    layers: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @field_validator("targets", "layers")
    @classmethod
    def _distinct(cls, values: list[str] | list[int] | None) -> list[str] | list[int] | None:
        if values is not None and len(set(values)) != len(values):
            raise ValueError(f"expected distinct values, got {', '.join(map(str, values))}")
        return values


class LoRA(LowRank):
    """Low-rank updates B A, times ``alpha`` / ``rank``, of weight matrices (Hu et al. 2022, section 4)."""

    kind: Literal["lora"]


class DoRA(LowRank):
    """LoRA whose result is brought to a trained length row by row (Liu et al. 2024, DoRA, section 4).

    The adapters library divides by the norm of W + B A, so that ``alpha`` has to be ``rank``, passes gradients through that
    norm, and scales a matrix's bias with its rows.
    """

    kind: Literal["dora"]

    @model_validator(mode="after")
    def _unscaled(self) -> DoRA:
        if self.alpha != self.rank:
            raise ValueError(
                f"alpha: the update of DoRA is not scaled; expected alpha equal to rank, got {self.alpha:g}"
            )
        return self


class IA3(Strict):
    """Keys, values and inner feed-forward states are multiplied by trained vectors (Liu et al. 2022, T-Few, section 3.3)."""

    kind: Literal["ia3"]


class Prefix(Strict):
    """``length`` trained keys and values before those of the text in every layer (Li & Liang 2021; Tu et al. 2022).

    They are trained as they are, not made by another network.
    """

    kind: Literal["prefix"]
    length: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class LoReFT(Strict):
    """States h of the first ``positions`` sub-words become h + R'(W h + b - R h) after every layer.

    R has ``rank`` orthonormal rows (Wu et al. 2024, ReFT, section 3).
    """

    kind: Literal["loreft"]
    rank: int = Field(default=1, ge=1)
    positions: int = Field(default=3, ge=1)
    dropout: float = Field(default=0.05, ge=0, lt=1)


Tuning = Full | Head | Frozen | Bottleneck | MadX | LoRA | DoRA | IA3 | Prefix | LoReFT
KINDS = [get_args(each.model_fields["kind"].annotation)[0] for each in get_args(Tuning)]
"""The kinds of tuning, as a regime names them."""


def learning_rate_key(tuning: Tuning) -> Literal["full", "adapter", "lora"]:
    """Which entry of a ``learning_rate`` map applies. A head alone learns at the rate of adapters: both are fresh."""
    if isinstance(tuning, (Full, Frozen)):
        return "full"
    return "lora" if isinstance(tuning, LowRank) else "adapter"


class MaskedText(Strict):
    """Masked-language modelling on raw text of all languages, mixed in so that the encoder does not forget.

    (Phang et al. 2020, section 3.2.) ``share``: part of the optimizer steps that are of this kind. ``mask``: part of the
    sub-words that are predicted (Devlin et al. 2019, section 3.1). ``max_length``: longest block of text in sub-words.
    """

    share: float = Field(default=0.5, gt=0, lt=1)
    mask: float = Field(default=0.15, gt=0, lt=1)
    max_length: int = Field(default=128, ge=8)


class Intermediate(Strict):
    """Training on other tasks before the target task (Phang et al. 2020), and how what was learnt is passed on.

    ``continue``: the same weights go on. ``stack``: the intermediate adapter is frozen below a new one. ``fuse``: the
    intermediate adapters are trained apart and combined by AdapterFusion (Pfeiffer et al. 2021, section 3.2). Several
    recipes with ``continue`` or ``stack`` are trained together (Phang et al. 2020, section 3.2), batches drawn in
    proportion to ``size ** (1 / temperature)``; temperature 1 is proportional to size. ``learning_rate``: that of the
    fusion layers and the head above them; null for the recipe's rate for adapters. A model may have its own (``fusion``).
    """

    recipes: list[str] = Field(min_length=1)
    transfer: Literal["continue", "stack", "fuse"] = "continue"
    temperature: float = Field(default=1.0, ge=1)
    masked_text: MaskedText | None = None
    learning_rate: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Intermediate:
        if len(set(self.recipes)) != len(self.recipes):
            raise ValueError(f"recipes: expected distinct recipes, got {', '.join(self.recipes)}")
        if self.transfer == "fuse" and self.masked_text is not None:
            raise ValueError(
                "masked_text: adapters to be fused are those of plain runs; "
                "expected no masked_text, or transfer continue or stack"
            )
        if self.temperature != 1.0 and (len(self.recipes) == 1 or self.transfer == "fuse"):
            raise ValueError(
                "temperature: it weighs recipes that are trained together; "
                "expected 1.0, or two or more recipes with transfer continue or stack"
            )
        if self.learning_rate is not None and self.transfer != "fuse":
            raise ValueError(
                "learning_rate: intermediate tasks are trained with the rates of their recipes; "
                "expected none, or transfer fuse"
            )
        return self


class Regime(Strict):
    """A row of the tables: one point on the four axes; ``lexical`` names a config of configs/lexical that comes first.

    ``training``: by recipe, or ``default``, what is trained otherwise. ``instead``: recipe -> the recipe that serves its
    tasks in its place.
    ``checkpoint``: which weights every training ends with, in place of what its recipe says; ``average`` is the mean of the
    weights after each epoch (Schmidt et al. 2023, Free Lunch).
    ``method``: the regime that this one is with other settings; published numbers of that regime are held against it too.
    ``rate_factor``: every learning rate is multiplied by it.
    """

    name: str
    title: str
    description: str
    tuning: Tuning = Field(discriminator="kind")
    lexical: str | None = None
    intermediate: Intermediate | None = None
    robustness: Annotated[Robustness, Field(discriminator="kind")] | None = None
    smoothing: Smoothing | None = None
    unfreezing: Annotated[Unfreezing, Field(discriminator="kind")] | None = None
    training: dict[str, Training] = Field(default={})
    instead: dict[str, str] = Field(default={})
    checkpoint: Checkpoint | None = None
    method: str | None = None
    rate_factor: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Regime:
        for contradiction in CONTRADICTIONS:
            if contradiction.found(self):
                raise ValueError(contradiction.message)
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a ``checkpoint`` or ``rate_factor`` that is not given, so that configs which have none stay as they are."""
        lately = ("checkpoint", "rate_factor")
        return {key: value for key, value in serialize(self).items() if key not in lately or value is not None}

    def training_of(self, recipe: str) -> Training:
        """What is trained otherwise on a recipe."""
        return self.training.get(recipe, self.training.get("default", Training()))

    def plain(self) -> Regime:
        """The same regime without intermediate training: where its intermediate runs are found."""
        return self.model_copy(update={"intermediate": None, "smoothing": None})

    def axes(self) -> dict[str, object]:
        """The regime without its names: two regimes with equal axes are the same method."""
        return self.model_dump(mode="json", exclude={"name", "title", "description", "method"})


@dataclass(frozen=True)
class Contradiction:
    """A combination of axis values that makes no sense: the key at fault, how to tell, why, and what is allowed."""

    key: str
    found: Callable[[Regime], bool]
    why: str
    allowed: str

    @property
    def message(self) -> str:
        """One line: the key, the reason, the allowed values."""
        return f"{self.key}: {self.why}; expected {self.allowed}"


def _not_with(kind: str, axis: str, why: str, allowed: str) -> Contradiction:
    """The axis is refused, whatever its value, with tuning ``kind``."""

    def found(regime: Regime) -> bool:
        return regime.tuning.kind == kind and getattr(regime, axis) is not None

    return Contradiction(axis, found, why, f"no {axis}, or {allowed}")


def _cannot_pass_on(regime: Regime) -> bool:
    before = regime.intermediate
    return before is not None and before.transfer != "continue" and not isinstance(regime.tuning, Bottleneck | MadX)


def _parallel_above(regime: Regime) -> bool:
    before = regime.intermediate
    composed = regime.tuning.kind == "madx" or (before is not None and before.transfer != "continue")
    return composed and getattr(regime.tuning, "placement", None) == "parallel"


def _masked_in_many_languages(regime: Regime) -> bool:
    before = regime.intermediate
    return before is not None and before.masked_text is not None and regime.tuning.kind == "madx"


def _one_layer(regime: Regime) -> bool:
    layers = regime.tuning.layers if isinstance(regime.tuning, LowRank) else None
    return regime.unfreezing is not None and layers is not None and len(layers) == 1


def _tuning_but(*kinds: str) -> str:
    *names, last = (kind for kind in KINDS if kind not in kinds)
    return f"tuning {', '.join(names)} or {last}"


_IN_LAYERS = _tuning_but("frozen", "head")
_WITH_HEAD = _tuning_but("frozen")
_NOTHING = "nothing of a frozen encoder is trained"
CONTRADICTIONS = (
    _not_with("frozen", "intermediate", _NOTHING, _IN_LAYERS),
    _not_with("frozen", "robustness", _NOTHING, _WITH_HEAD),
    _not_with("frozen", "smoothing", "an encoder without a head predicts no classes to vote on", _WITH_HEAD),
    _not_with("frozen", "unfreezing", _NOTHING, _IN_LAYERS),
    _not_with("frozen", "checkpoint", _NOTHING, _WITH_HEAD),
    _not_with("head", "intermediate", "only what is shared moves on, and with tuning head nothing is", _IN_LAYERS),
    _not_with("head", "unfreezing", "with tuning head no layer is trained", _IN_LAYERS),
    _not_with(
        "prefix", "unfreezing", "the prefixes of all layers are one parameter", _tuning_but("frozen", "head", "prefix")
    ),
    Contradiction(
        "unfreezing",
        _one_layer,
        "a single layer has no order to be unfrozen in",
        "no unfreezing, or two or more tuning.layers",
    ),
    Contradiction(
        "intermediate.transfer",
        _cannot_pass_on,
        "only bottleneck adapters can be stacked or fused",
        "continue, or tuning bottleneck or madx",
    ),
    Contradiction(
        "tuning.placement",
        _parallel_above,
        "a parallel adapter reads the input of its layer, so it would not see the adapters below it",
        "pfeiffer or houlsby, or tuning bottleneck with transfer continue",
    ),
    Contradiction(
        "intermediate.masked_text",
        _masked_in_many_languages,
        "a batch of masked text is in many languages, and one language adapter is active at a time",
        f"no masked_text, or {_tuning_but('frozen', 'head', 'madx')}",
    ),
)
"""Everything that is refused when a regime's config is read (docs/regimes.md lists it)."""
