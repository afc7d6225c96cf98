"""Parallel sentences whose words are aligned by the similarity of their vectors, and given in their sentences.

A word pair is aligned where each word is the nearest of the other sentence to the other one: the intersection of both
directions (Jalili Sabet et al. 2020, SimAlign, ``Argmax``). Words are what stands between spaces.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xlt.data.word_lists import MARK, REASONS, Lexicon, WordPair, columns, is_word, key

LONGEST = 60
"""Words of a sentence; pairs with a longer one are passed over."""


def read_bitext(paths: Sequence[Path], most: int) -> list[tuple[str, str]]:
    """The first ``most`` distinct (sentence, English) pairs of files with lines ``English<TAB>sentence``; no text twice.

    Raises:
        InputError: a file is absent, empty, or has a line that is not two columns (with the line).
    """
    found: list[tuple[str, str]] = []
    seen = set[str]()
    for _, english, sentence in (row for path in paths for row in columns(path)):
        short = max(len(english.split()), len(sentence.split())) <= LONGEST
        if len(found) < most and short and not {english, sentence} & seen:
            seen |= {english, sentence}
            found.append((sentence, english))
    return found


def words_in(sentence: str) -> list[str]:
    """Every word of a sentence with the sentence around it."""
    words = sentence.split()
    return [" ".join([*words[:i], MARK + words[i] + MARK, *words[i + 1 :]]) for i in range(len(words))]


def aligned(language: str, pair: tuple[Sequence[str], Sequence[str]], left: np.ndarray, right: np.ndarray) -> Lexicon:
    """The aligned words of one sentence pair; those that are no words or the same on both sides are left out and counted.

    Args:
        language: of the first sentence; the second is English.
        pair: the words of both sentences, as ``words_in`` gives them.
        left: vectors of the first sentence's words, of L2 norm 1: [words, width].
        right: those of the second one's.
    """
    similarity, lexicon = left @ right.T, Lexicon()
    to, back = similarity.argmax(1), similarity.argmax(0)
    for number, other in enumerate(to):
        if back[other] != number:
            continue
        found = WordPair(language, pair[0][number], pair[1][other])
        if not all(map(is_word, found.keys)):
            lexicon.left_out[REASONS[0]] += 1
        elif key(found.word) == key(found.english):
            lexicon.left_out[REASONS[1]] += 1
        else:
            lexicon.pairs.append(found)
    return lexicon


def held_out_of(count: int, share: float, seed: int) -> set[int]:
    """The numbers of the sentence pairs that are held out, at least one and not all."""
    return set(random.Random(f"split/{seed}").sample(range(count), min(max(1, round(share * count)), count - 1)))
