"""The axes robustness and smoothing: how a training step sees its input, and how predictions are voted on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xlt.config.benchmark import Strict


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
    ``neighbours``: the JSON file of word -> neighbours below the data folder; or, with ``{lang}`` in it, the word lists
    of all languages, whose translations are the neighbours (code-switching: Qin et al. 2020, CoSDA-ML, section 3).
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
