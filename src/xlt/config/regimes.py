"""A regime is a point on four axes: what is tuned, what is trained before, how a step sees its input, what is unfrozen when.

Every axis value has a config class here and one module that carries it out (docs/extending.md). Combinations that make
no sense are refused when the config is read, before anything is planned or trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from xlt.config.benchmark import Strict
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


class LoRA(Strict):
    """Low-rank updates of weight matrices (Hu et al. 2022, section 4).

    ``layers``: the layers that get one, counted from 0 at the bottom; null for all of them.
    """

    kind: Literal["lora"]
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


Tuning = Full | Head | Frozen | Bottleneck | MadX | LoRA
ADAPTER_KINDS = ("bottleneck", "madx", "lora")
"""Ways of tuning that add a module whose weights can be kept apart from others."""


def learning_rate_key(tuning: Tuning) -> Literal["full", "adapter", "lora"]:
    """Which entry of a ``learning_rate`` map applies. A head alone learns at the rate of adapters: both are fresh."""
    if isinstance(tuning, (Full, Frozen)):
        return "full"
    return "lora" if isinstance(tuning, LoRA) else "adapter"


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


class Adversarial(Strict):
    """Adversarial training (Huang et al. 2021, section 3.1): projected gradient ascent on the word embeddings.

    ``steps`` steps of length ``step_size`` inside a ball of ``radius`` around each token's word embedding. Both lengths
    are relative to the size of the encoder's word embeddings, so that one value fits all encoders: for ``l2`` to their
    mean L2 norm, for ``linf`` to that norm divided by the root of the width (the size of one coordinate).
    """

    kind: Literal["adversarial"]
    norm: Literal["l2", "linf"] = "l2"
    radius: float = Field(gt=0)
    steps: int = Field(default=1, ge=1)
    step_size: float = Field(gt=0)


class RandomPerturbation(Strict):
    """Randomized smoothing by random perturbation, RS-RP (Huang et al. 2021, section 3.2): noise from the same ball.

    ``radius`` is relative as for adversarial training.
    """

    kind: Literal["random"]
    norm: Literal["l2", "linf"] = "l2"
    radius: float = Field(gt=0)


class Copies(Strict):
    """What trains on several copies of each example: how many, and for how many epochs, by recipe.

    ``copies``: by recipe, or ``default``. ``epochs``: by recipe, in place of the recipe's own; an epoch has all copies.
    """

    copies: dict[str, Annotated[int, Field(ge=1)]]
    epochs: dict[str, Annotated[int, Field(ge=1)]] = Field(default={})

    @model_validator(mode="after")
    def _has_default(self) -> Copies:
        if "default" not in self.copies:
            raise ValueError("copies: expected an entry default")
        return self

    def copies_of(self, recipe: str) -> int:
        """How many copies an example of a recipe becomes."""
        return self.copies.get(recipe, self.copies["default"])


class Synonyms(Copies):
    """Randomized smoothing by data augmentation, RS-DA (Huang et al. 2021, section 3.2).

    Each training example becomes seeded copies in which every word is a uniform draw from itself and its neighbours.
    ``neighbours``: the JSON file of word -> neighbours below the data folder.
    """

    kind: Literal["synonyms"]
    neighbours: str = "robust/counterfitted_neighbors.json"


class Repeated(Copies):
    """The control of RS-DA: as many copies, epochs and updates, and every copy is the example as it stands."""

    kind: Literal["repeated"]


Robustness = Adversarial | RandomPerturbation | Synonyms | Repeated


class Smoothing(Strict):
    """Smoothed prediction: majority vote over ``votes`` noisy copies (Cohen et al. 2019, section 3).

    Noise is Gaussian on every word embedding. ``sigma`` is its standard deviation relative to the size of one coordinate
    (the mean L2 norm of the encoder's word embeddings over the root of the width). ``selection`` more copies choose the
    class that is certified; ``alpha`` is the chance that a certified radius is wrong.
    """

    votes: int = Field(default=32, ge=2)
    selection: int = Field(default=8, ge=1)
    sigma: float = Field(gt=0)
    alpha: float = Field(default=0.05, gt=0, lt=1)


SMOOTHED = ("classification", "choice", "tagging")
"""Task families whose predictions can be voted on; a smoothed regime is evaluated on no others."""


class Regime(Strict):
    """A row of the tables: one point on the four axes; ``lexical`` names a config of configs/lexical that comes first.

    ``training``: by recipe, what is trained otherwise. ``instead``: recipe -> the recipe that serves its tasks in its place.
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
    method: str | None = None
    rate_factor: float | None = Field(default=None, gt=0)

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without an absent ``rate_factor``, so that configs which have none stay as they are."""
        return {key: value for key, value in serialize(self).items() if key != "rate_factor" or value is not None}

    @model_validator(mode="after")
    def _makes_sense(self) -> Regime:
        for contradiction in CONTRADICTIONS:
            if contradiction.found(self):
                raise ValueError(contradiction.message)
        return self

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
    return before is not None and before.transfer != "continue" and regime.tuning.kind in ("full", "lora")


def _parallel_above(regime: Regime) -> bool:
    before = regime.intermediate
    composed = regime.tuning.kind == "madx" or (before is not None and before.transfer != "continue")
    return composed and getattr(regime.tuning, "placement", None) == "parallel"


def _masked_in_many_languages(regime: Regime) -> bool:
    before = regime.intermediate
    return before is not None and before.masked_text is not None and regime.tuning.kind == "madx"


def _one_layer(regime: Regime) -> bool:
    layers = regime.tuning.layers if isinstance(regime.tuning, LoRA) else None
    return regime.unfreezing is not None and layers is not None and len(layers) == 1


_IN_LAYERS = "tuning full, bottleneck, madx or lora"
_WITH_HEAD = "tuning full, head, bottleneck, madx or lora"
_NOTHING = "nothing of a frozen encoder is trained"
CONTRADICTIONS = (
    _not_with("frozen", "intermediate", _NOTHING, _IN_LAYERS),
    _not_with("frozen", "robustness", _NOTHING, _WITH_HEAD),
    _not_with("frozen", "smoothing", "an encoder without a head predicts no classes to vote on", _WITH_HEAD),
    _not_with("frozen", "unfreezing", _NOTHING, _IN_LAYERS),
    _not_with("head", "intermediate", "only what is shared moves on, and with tuning head nothing is", _IN_LAYERS),
    _not_with("head", "unfreezing", "with tuning head no layer is trained", _IN_LAYERS),
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
        "no masked_text, or tuning full, bottleneck or lora",
    ),
)
"""Everything that is refused when a regime's config is read (docs/regimes.md lists it)."""
