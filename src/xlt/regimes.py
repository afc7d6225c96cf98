"""A regime is a point on four axes: what is tuned, what is trained before, how a step sees its input, what is unfrozen when.

Every axis value has a config class here and one module that carries it out (docs/extending.md). Combinations that make
no sense are refused when the config is read, before anything is planned or trained.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xlt.config import Strict

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
    alpha: float = Field(default=16, gt=0)
    targets: list[Literal["q", "k", "v", "intermediate", "output"]] = Field(default=["q", "v"], min_length=1)
    layers: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


Tuning = Full | Head | Frozen | Bottleneck | MadX | LoRA
ADAPTER_KINDS = ("bottleneck", "madx", "lora")
"""Ways of tuning that add a module whose weights can be kept apart from others."""


def learning_rate_key(tuning: Tuning) -> Literal["full", "adapter", "lora"]:
    """Which entry of a ``learning_rate`` map applies. A head alone learns at the rate of adapters: both are fresh."""
    return {"full": "full", "frozen": "full", "lora": "lora"}.get(tuning.kind, "adapter")  # type: ignore[return-value]


class MaskedText(Strict):
    """Masked-language modelling on raw text of all languages, mixed in so that the encoder does not forget.

    (Phang et al. 2020, section 3.2.) ``share``: part of the optimizer steps that are of this kind. ``mask``: part of the
    sub-words that are predicted (Devlin et al. 2019, section 3.1).
    """

    share: float = Field(default=0.5, gt=0, lt=1)
    mask: float = Field(default=0.15, gt=0, lt=1)


class Intermediate(Strict):
    """Training on other tasks before the target task (Phang et al. 2020), and how what was learnt is passed on.

    ``continue``: the same weights go on. ``stack``: the intermediate adapter is frozen below a new one. ``fuse``: the
    intermediate adapters are trained apart and combined by AdapterFusion (Pfeiffer et al. 2021, section 3.2). Several
    recipes with ``continue`` or ``stack`` are trained together (Phang et al. 2020, section 3.2), batches drawn in
    proportion to ``size ** (1 / temperature)``; temperature 1 is proportional to size.
    """

    recipes: list[str] = Field(min_length=1)
    transfer: Literal["continue", "stack", "fuse"] = "continue"
    temperature: float = Field(default=1.0, ge=1)
    masked_text: MaskedText | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Intermediate:
        if len(set(self.recipes)) != len(self.recipes):
            raise ValueError(f"recipes: expected distinct recipes, got {', '.join(self.recipes)}")
        if self.transfer == "fuse" and self.masked_text is not None:
            raise ValueError("masked_text: adapters to be fused are those of plain runs; remove one of them")
        if self.temperature != 1.0 and (len(self.recipes) == 1 or self.transfer == "fuse"):
            raise ValueError("temperature: it weighs recipes that are trained together; here none are, remove it")
        return self


class Adversarial(Strict):
    """Adversarial training (Huang et al. 2021, section 3.1): projected gradient ascent on the word embeddings.

    The perturbation stays within ``radius`` in the given norm, per token; ``steps`` steps of length ``step_size``.
    """

    kind: Literal["adversarial"]
    norm: Literal["l2", "linf"] = "l2"
    radius: float = Field(gt=0)
    steps: int = Field(default=1, ge=1)
    step_size: float = Field(gt=0)


class RandomPerturbation(Strict):
    """Randomized smoothing by random perturbation, RS-RP (Huang et al. 2021, section 3.2): noise from the same ball."""

    kind: Literal["random"]
    norm: Literal["l2", "linf"] = "l2"
    radius: float = Field(gt=0)


class Synonyms(Strict):
    """Randomized smoothing by data augmentation, RS-DA (Huang et al. 2021, section 3.2).

    Each training example becomes ``copies`` (by recipe, or ``default``) seeded copies in which every word is a uniform
    draw from itself and its neighbours. ``neighbours``: the JSON file of word -> neighbours below the data folder.
    """

    kind: Literal["synonyms"]
    copies: dict[str, Annotated[int, Field(ge=1)]]
    neighbours: str = "robust/counterfitted_neighbors.json"

    @model_validator(mode="after")
    def _has_default(self) -> Synonyms:
        if "default" not in self.copies:
            raise ValueError("copies: expected an entry default")
        return self


Robustness = Adversarial | RandomPerturbation | Synonyms


class Smoothing(Strict):
    """Smoothed prediction: majority vote over ``votes`` noisy copies (Cohen et al. 2019, section 3).

    Noise is Gaussian with standard deviation ``sigma`` on every word embedding; ``alpha`` is the chance that a certified
    radius is wrong.
    """

    votes: int = Field(default=32, ge=2)
    sigma: float = Field(gt=0)
    alpha: float = Field(default=0.05, gt=0, lt=1)


class Unfreezing(Strict):
    """When the layers' trained parts are unfrozen (Liu et al. 2024, section 3): from the top down, or by Fisher information.

    ``interval``: optimizer steps between one layer and the next; ``share`` (of all steps) is used instead when the
    training has too few steps to unfreeze all layers.
    """

    kind: Literal["gradual", "fisher"]
    interval: int = Field(default=100, ge=1)
    share: float = Field(default=0.5, gt=0, le=1)


class Regime(Strict):
    """A row of the tables: one point on the four axes; ``lexical`` names a config of configs/lexical that comes first."""

    name: str
    title: str
    description: str
    tuning: Tuning = Field(discriminator="kind")
    lexical: str | None = None
    intermediate: Intermediate | None = None
    robustness: Annotated[Robustness, Field(discriminator="kind")] | None = None
    smoothing: Smoothing | None = None
    unfreezing: Unfreezing | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Regime:
        kind = self.tuning.kind
        if kind == "frozen":
            for axis in ("intermediate", "robustness", "unfreezing", "smoothing"):
                if getattr(self, axis) is not None:
                    raise ValueError(f"{axis}: nothing of a frozen encoder is trained; remove it, or change tuning")
        if kind == "head" and self.intermediate is not None:
            raise ValueError(
                "intermediate: only what is shared moves on, and with tuning head nothing is; use another tuning"
            )
        if kind == "head" and self.unfreezing is not None:
            raise ValueError("unfreezing: with tuning head no layer is trained; use full, bottleneck, madx or lora")
        transfer = None if self.intermediate is None else self.intermediate.transfer
        if transfer in ("stack", "fuse") and kind not in ("bottleneck", "madx"):
            raise ValueError(f"intermediate.transfer: {transfer} needs tuning bottleneck or madx, got {kind}")
        return self

    def plain(self) -> Regime:
        """The same regime without intermediate training: where its intermediate runs are found."""
        return self.model_copy(update={"intermediate": None, "smoothing": None})

    def axes(self) -> dict[str, object]:
        """The regime without its names: two regimes with equal axes are the same method."""
        return self.model_dump(mode="json", exclude={"name", "title", "description"})
