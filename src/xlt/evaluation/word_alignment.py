"""What tells alignment from a shift of all cosines: held-out and random word pairs, and words that look each other up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlt.data.word_lists import WordPair, key, random_pairs, translations

SPLITS = ("trained", "held-out")
BLOCK = 1024
"""Words that are looked up at a time."""


@dataclass(frozen=True)
class Pairs:
    """The word pairs of a job by language: all, those trained on, those held out; and what was left out, by reason."""

    every: dict[str, list[WordPair]]
    trained: dict[str, list[WordPair]]
    held_out: dict[str, list[WordPair]]
    left_out: dict[str, dict[str, int]]

    def words(self) -> list[str]:
        """Every distinct word of either side."""
        pairs = [pair for found in self.every.values() for pair in found]
        return list(dict.fromkeys([p.word for p in pairs] + [p.english for p in pairs]))


def cosine(vectors: np.ndarray, numbers: Mapping[str, int], pairs: Sequence[WordPair]) -> float:
    """Mean cosine of pairs, from the L2-normalised vectors [words, width] of one layer."""
    left = vectors[[numbers[p.word] for p in pairs]]
    right = vectors[[numbers[p.english] for p in pairs]]
    return float((left * right).sum(1).mean())


def precision_at_1(
    vectors: np.ndarray, numbers: Mapping[str, int], queries: Sequence[WordPair], every: Sequence[WordPair]
) -> dict[str, float]:
    """How often the nearest word of the other side is a translation, in percent of the distinct query words.

    Candidates are all words of the other side of the language, those of trained and held-out pairs alike, so that the
    two are looked up among the same. ``to-en``: English words for a word; ``from-en``: words for an English word.
    """
    found = {}
    for direction, own, other in (("to-en", 0, 1), ("from-en", 1, 0)):
        sides = [(pair.word, pair.english) for pair in every]
        gold = {(pair.keys[own], pair.keys[other]) for pair in every}
        candidates = list(dict.fromkeys(side[other] for side in sides))
        asked = list(dict.fromkeys((pair.word, pair.english)[own] for pair in queries))
        matrix = vectors[[numbers[word] for word in candidates]].T
        hits = 0
        for start in range(0, len(asked), BLOCK):
            block = asked[start : start + BLOCK]
            nearest = (vectors[[numbers[word] for word in block]] @ matrix).argmax(1)
            pairs = zip(block, nearest, strict=True)
            hits += sum((key(word), key(candidates[best])) in gold for word, best in pairs)
        found[direction] = 100 * hits / len(asked)
    return found


def measure(layers: np.ndarray, words: Sequence[str], pairs: Pairs, seed: int) -> dict[str, list[dict[str, Any]]]:
    """For each language and layer: mean cosine of trained, held-out and random pairs, and P@1 of the first two.

    ``layers`` are the vectors [layers + 1, words, width]. ``random trained`` and ``random held-out`` mix the words of
    either up, so that their pairs are no translations.
    """
    numbers = {word: number for number, word in enumerate(words)}
    figures = {}
    for code, every in pairs.every.items():
        true = translations(every)
        splits = dict(zip(SPLITS, (pairs.trained[code], pairs.held_out[code]), strict=True))
        mixed = {f"random {name}": random_pairs(own, true, seed) for name, own in splits.items()}
        figures[code] = [
            {
                "cosine": {name: cosine(vectors, numbers, own) for name, own in (splits | mixed).items()},
                "p@1": {name: precision_at_1(vectors, numbers, own, every) for name, own in splits.items()},
            }
            for vectors in layers
        ]
    return figures
