"""Word lists: readers, the filter that keeps single words, the split without shared words, and the random control."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from xlt.data.readers.files import lines
from xlt.errors import InputError

_PARENTHESES = re.compile(r"\([^()]*\)")
_INSIDE_A_WORD = frozenset("-'’ʼʻ")
MARK = "\x1f"
"""Stands before and after a word that is given with the sentence it is in."""
TRIES = 50
REASONS = ("several words or other characters", "the same on both sides", "repeated")


@dataclass(frozen=True, slots=True)
class WordPair:
    """A word of a target language and an English translation of it."""

    language: str
    word: str
    english: str

    @property
    def keys(self) -> tuple[str, str]:
        """Both words without regard to case and context: what makes two words the same word."""
        return key(self.word), key(self.english)


def key(text: str) -> str:
    """A word without regard to case; of one in a sentence (``xlt.data.parallel``) the word alone."""
    return (text.split(MARK)[1] if MARK in text else text).casefold()


@dataclass
class Lexicon:
    """The pairs of some word lists, and how many lines were left out for which reason."""

    pairs: list[WordPair] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def columns(path: Path) -> Iterable[tuple[int, str, str]]:
    """Line number and the two columns of a word list."""
    for number, row in lines(path):
        cells = row.split("\t")
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            raise InputError(f"expected two words with a tab between them, got {row!r}", path, number)
        yield number, cells[0].strip(), cells[1].strip()


def first_gloss(sense: str) -> str:
    """The first translation of a dictionary's sense: what stands before ``,`` or ``;`` once parentheses are taken out."""
    while (shorter := _PARENTHESES.sub(" ", sense)) != sense:
        sense = shorter
    return re.split("[,;]", sense)[0].strip()


def lexicon_tsv(path: Path) -> list[tuple[str, str]]:
    """(word, English) from lines ``English<TAB>word``, as they stand."""
    return [(word, english) for _, english, word in columns(path)]


def freedict_from_en(path: Path) -> list[tuple[str, str]]:
    """(word, English) from a FreeDict dictionary from English: headword, tab, first sense."""
    return [(first_gloss(sense), first_gloss(head)) for _, head, sense in columns(path)]


def freedict_to_en(path: Path) -> list[tuple[str, str]]:
    """(word, English) from a FreeDict dictionary into English: headword, tab, first sense."""
    return [(first_gloss(head), first_gloss(sense)) for _, head, sense in columns(path)]


FORMATS: dict[str, Callable[[Path], list[tuple[str, str]]]] = {
    "lexicon-tsv": lexicon_tsv,
    "freedict-from-en": freedict_from_en,
    "freedict-to-en": freedict_to_en,
}


def is_word(text: str) -> bool:
    """Whether a text is a single word: letters and their marks, with hyphens or apostrophes between them."""
    kinds = [unicodedata.category(character)[0] for character in text if character not in _INSIDE_A_WORD]
    return "L" in kinds and set(kinds) <= {"L", "M"}


def read_lexicon(files: Sequence[tuple[Path, str]], language: str) -> Lexicon:
    """The distinct single-word pairs of some word lists (path and format each), in the order of the files.

    Left out and counted: an entry of which one side is not a single word (``is_word``, after ``first_gloss`` for
    dictionaries; "Plural of {x}: y" is none), one with the same word on both sides, and a repeated one, case apart.

    Raises:
        InputError: a file is absent, empty, or has a line that is not two columns (with the line); no pair is left.
    """
    lexicon, seen = Lexicon(), set()
    for path, form in files:
        for word, english in FORMATS[form](path):
            pair = WordPair(language, word, english)
            if not (is_word(word) and is_word(english)):
                lexicon.left_out[REASONS[0]] += 1
            elif pair.keys[0] == pair.keys[1]:
                lexicon.left_out[REASONS[1]] += 1
            elif pair.keys in seen:
                lexicon.left_out[REASONS[2]] += 1
            else:
                seen.add(pair.keys)
                lexicon.pairs.append(pair)
    if not lexicon.pairs:
        raise InputError("expected pairs of single words, got none; is it the right format?", files[0][0])
    return lexicon


def split_pairs(pairs: Sequence[WordPair], held_out: float, seed: int) -> tuple[list[WordPair], list[WordPair]]:
    """(trained, held-out) pairs that share no word, on whichever side and in whichever language.

    Pairs that share a word belong together: whole connected components, in random order, go to the held-out side until
    it has ``held_out`` of all pairs; one that is too large for what is left to fill is passed over.

    Raises:
        InputError: the pairs hang together so much that one side stays empty.
    """
    numbers: dict[str, int] = {}
    ends = np.array([[numbers.setdefault(key, len(numbers)) for key in pair.keys] for pair in pairs]).T
    graph = coo_array((np.ones(len(pairs)), (ends[0], ends[1])), shape=(len(numbers), len(numbers)))
    _, labels = connected_components(graph, directed=False)
    groups: dict[int, list[int]] = {}
    for index, end in enumerate(ends[0]):
        groups.setdefault(int(labels[end]), []).append(index)
    order = sorted(groups.values())
    random.Random(f"split/{seed}").shuffle(order)
    room, apart = round(held_out * len(pairs)), set[int]()
    for group in order:
        if len(group) <= room - len(apart):
            apart.update(group)
    if not 0 < len(apart) < len(pairs):
        raise InputError(
            f"expected pairs of which {held_out:.0%} can be held out without sharing a word with the others, "
            f"got {len(pairs)} pairs in {len(groups)} groups; use a larger word list or another held_out"
        )
    return [p for i, p in enumerate(pairs) if i not in apart], [pairs[i] for i in sorted(apart)]


def translations(pairs: Iterable[WordPair]) -> set[tuple[str, str]]:
    """All true pairs, case apart: with synonyms a word has several translations."""
    return {pair.keys for pair in pairs}


def random_pairs(pairs: Sequence[WordPair], true: set[tuple[str, str]], seed: int) -> list[WordPair]:
    """The control: the same words, each with the English word of another pair; none is a true pair or the same word twice.

    A random permutation, in which every pair that is true by chance changes partners with another one; where that gets
    stuck, which takes very few words, another permutation is drawn.

    Raises:
        InputError: no such permutation is found (two pairs that translate each other, say).
    """
    draw = random.Random(f"random/{seed}")
    for _ in range(TRIES):
        partners = _mixed(pairs, true, draw)
        if partners is not None:
            return [
                WordPair(pair.language, pair.word, pairs[partner].english)
                for pair, partner in zip(pairs, partners, strict=True)
            ]
    raise InputError(
        f"{pairs[0].language}: expected word pairs that can be mixed up, got {len(pairs)} of them that are translations "
        "of each other; use a larger word list"
    )


def _mixed(pairs: Sequence[WordPair], true: set[tuple[str, str]], draw: random.Random) -> list[int] | None:
    """One permutation without a true pair, or None when changing partners gets stuck."""
    partners = list(range(len(pairs)))
    draw.shuffle(partners)

    def is_true(index: int, partner: int) -> bool:
        word, english = pairs[index].keys[0], pairs[partner].keys[1]
        return word == english or (word, english) in true

    for index in range(len(pairs)):
        if is_true(index, partners[index]):
            others = draw.sample(range(len(pairs)), len(pairs))
            fit = (o for o in others if not is_true(index, partners[o]) and not is_true(o, partners[index]))
            other = next(fit, None)
            if other is None:
                return None
            partners[index], partners[other] = partners[other], partners[index]
    return partners
