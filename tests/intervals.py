"""How often the interval of a difference between two methods holds what it is about, in simulated comparisons.

    python tests/intervals.py

prints the table of docs/verification.md (two minutes of one core). Items are translated into every language; what one model
gets right and another wrong is correlated between an item's languages.
"""

from __future__ import annotations

import argparse
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from tabulate import tabulate

from xlt.results.effects import Cell, Effect, Scored, effect

ITEMS = 300
LEVELS = (0.45, 0.3)
"""Of the two methods, in units of the latent variable: scores of about 67 and 62."""
SHARES = (0.4, 0.3, 0.3)
"""Of the latent variance: what both methods find hard, what all models of one find hard, and what one model does."""
COMMON = {0.0: 0.0, 0.3: 0.56, 0.5: 0.815}
"""By correlation of the differences between languages: the share of these that an item's languages have in common. Found by
trial, because right and wrong answers correlate less than what is behind them."""


@dataclass(frozen=True)
class Setting:
    """A row of the table.

    ``correlation``: of the differences between two languages of an item; ``shared``: the share of the items that a language
    has; ``training``: standard deviation between models, of all languages together and of each, in latent units.
    """

    correlation: float
    seeds: int
    languages: int
    shared: float = 1.0
    training: float = 0.04


SETTINGS = [
    *(Setting(*each) for each in itertools.product((0.0, 0.3, 0.5), (1, 3, 5), (7, 15))),
    *(Setting(0.5, seeds, 7, shared=0.6) for seeds in (1, 3, 5)),
    *(Setting(0.3, seeds, 7, training=training) for training in (0.01, 0.12) for seeds in (3, 5)),
]


HEADERS = [
    "correlation",
    "seeds",
    "languages",
    "items in each",
    "training",
    "coverage",
    "languages apart",
    "half width",
]


@dataclass(frozen=True)
class Drawn:
    """A simulated comparison: its cells, the difference it is about, and the correlation between languages."""

    cells: list[Cell]
    truth: float
    correlation: float


def draw(setting: Setting, generator: np.random.Generator) -> Drawn:
    """Train and test both methods.

    An answer is right when level + language + training + the item's parts are above 0, these parts being standard normal
    together. With one seed the truth is the difference of these models over all items there could be; with more it is that
    of the methods, over all models, too.
    """
    seeds, languages, training = setting.seeds, setting.languages, setting.training
    common = COMMON[setting.correlation]

    def parts(share: float, models: int) -> NDArray[np.float64]:
        """[models, languages, items]: normal with the variance ``share``, ``common`` of it an item's in all languages."""
        one, each = generator.normal(size=(models, 1, ITEMS)), generator.normal(size=(models, languages, ITEMS))
        return math.sqrt(share) * (math.sqrt(common) * one + math.sqrt(1 - common) * each)

    level = np.linspace(-0.3, 0.3, languages)[:, None]
    both = parts(SHARES[0], 1)
    has = [np.flatnonzero(generator.random(ITEMS) < setting.shared) for _ in range(languages)]
    cells, truth, first = [], 0.0, []
    for method, own, sign in zip("AB", LEVELS, (1, -1), strict=True):
        mean = level + own
        trained = generator.normal(0, training, (seeds, 1, 1)) + generator.normal(0, training, (seeds, languages, 1))
        right = mean + trained + both + parts(SHARES[1], 1) + parts(SHARES[2], seeds) > 0
        chances = norm.cdf(mean + trained if seeds == 1 else mean / math.sqrt(1 + 2 * training**2))
        truth += sign * 100 * float(chances.mean())
        first.append(right[0].astype(np.float64))
        for language, items in enumerate(has):
            scored = Scored(tuple(range(seeds)), right[:, language, items].astype(np.float64), items.astype(np.uint64))
            cells.append(Cell(method, sign / languages, scored))
    found = np.corrcoef(first[0] - first[1])
    return Drawn(cells, truth, float((found.sum() - languages) / (languages * (languages - 1))))


def apart(cells: list[Cell]) -> list[Cell]:
    """The same with the items of each language taken for other ones."""
    half = len(cells) // 2
    return [
        replace(cell, scored=replace(cell.scored, items=cell.scored.items + np.uint64(ITEMS * (number % half))))
        for number, cell in enumerate(cells)
    ]


def holds(found: Effect | None, truth: float) -> bool:
    """Whether the truth is in the interval."""
    return found is not None and found.low <= truth <= found.high


def coverage(setting: Setting, comparisons: int, seed: int = 1) -> float:
    """The share of intervals that hold the truth."""
    generator = np.random.default_rng(seed)
    drawn = [draw(setting, generator) for _ in range(comparisons)]
    return float(np.mean([holds(effect(each.cells), each.truth) for each in drawn]))


def row(setting: Setting, comparisons: int) -> list[str]:
    """What the table says of a setting."""
    generator = np.random.default_rng(1)
    drawn = [draw(setting, generator) for _ in range(comparisons)]
    found = [(effect(each.cells), effect(apart(each.cells)), each.truth) for each in drawn]
    width = float(np.mean([(own.high - own.low) / 2 for own, _, _ in found if own is not None]))
    return [
        f"{np.mean([each.correlation for each in drawn]):.2f}".replace("-0.00", "0.00"),
        str(setting.seeds),
        str(setting.languages),
        f"{100 * setting.shared:.0f} %",
        f"{100 * setting.training * float(norm.pdf(np.mean(LEVELS))):.1f}",
        f"{100 * np.mean([holds(own, truth) for own, _, truth in found]):.1f} %",
        f"{100 * np.mean([holds(other, truth) for _, other, truth in found]):.1f} %",
        f"{width:.1f}",
    ]


def table(comparisons: int) -> str:
    """The table, in Markdown."""
    rows = [row(setting, comparisons) for setting in SETTINGS]
    return str(tabulate(rows, HEADERS, tablefmt="github", disable_numparse=True, colalign=["right"] * len(HEADERS)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=2000, help="simulated for each row (default: 2000)")
    print(table(parser.parse_args().comparisons))


if __name__ == "__main__":
    main()
