"""The raw text of the Babel world as batches of piece ids: what pre-training reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from xlt.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from xlt.babel.config import EncoderConfig

Item = TypeVar("Item")
BOS, PAD, EOS, UNK = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Encoded:
    """One input: piece ids, and per piece the mark of its word (0 to 4) or -1 where there is nothing to detect."""

    ids: np.ndarray
    marks: np.ndarray


def read_lines(path: Path) -> list[str]:
    """Lines of a raw file. Raises InputError when it is absent or empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError("expected raw text, found no file; generate the world first", path) from None
    if not lines:
        raise InputError("expected raw text, found an empty file; generate the world again", path)
    return lines


class Corpus:
    """The raw text as encoded sequences, by kind: "text", "mixed" and "pairs"."""

    def __init__(self, data: Path, tokenizer: Tokenizer, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        raw = data / "raw"
        names = sorted(path.name for path in raw.glob("*.txt") if path.name != "mixed.txt")
        self.parallel = self._parallel(raw / "parallel.tsv")
        self.kinds: dict[str, list[Encoded]] = {
            "text": [one for name in names for one in self._documents(raw / name)],
            "mixed": self._documents(raw / "mixed.txt"),
            "pairs": self._pairs(raw / "pairs.tsv"),
        }

    def _documents(self, path: Path) -> list[Encoded]:
        """Each document once, cut in two segments after a sentence: <s> first </s></s> rest </s>."""
        lines = read_lines(path)
        encoded = self._ids([line for line in lines if line])
        position = 0
        ready: list[list[list[int]]] = [[]]
        for line in lines:
            if line:
                ready[-1].append(encoded[position])
                position += 1
            else:
                ready.append([])
        found = []
        for number, sentences in enumerate(one for one in ready if one):
            cut = number % len(sentences) + 1
            first = [piece for sentence in sentences[:cut] for piece in sentence]
            second = [piece for sentence in sentences[cut:] for piece in sentence]
            found.append(self._sequence(first, second, []))
        return found

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def _pairs(self, path: Path) -> list[Encoded]:
        rows = [line.split("\t") for line in read_lines(path)]
        for number, row in enumerate(rows, start=1):
            if len(row) != 5 or len(row[3].split()) != len(row[4]):
                expected = "two languages, two texts and a mark per word of the second, tab-separated"
                raise InputError(f"expected {expected}; generate the world again", path, number)
        first = self._ids([row[2] for row in rows])
        second = self.tokenizer.encode_batch([row[3] for row in rows], add_special_tokens=False)
        found = []
        for row, left, right in zip(rows, first, second, strict=True):
            ends = np.cumsum([len(word) + 1 for word in row[3].split()])
            words = np.searchsorted(ends, [start for start, _ in right.offsets], side="right")
            # a piece that is only the space before a word starts on that space: it belongs to the next word
            marks = [int(row[4][min(word, len(row[4]) - 1)]) for word in words]
            found.append(self._sequence(left, right.ids, marks))
        return found

    def _parallel(self, path: Path) -> list[tuple[Encoded, Encoded]]:
        rows = [line.split("\t") for line in read_lines(path)]
        for number, row in enumerate(rows, start=1):
            if len(row) != 4:
                expected = "two languages and two sentences, tab-separated"
                raise InputError(f"expected {expected}; generate the world again", path, number)
        sides = [[self._sequence(ids, [], []) for ids in self._ids([row[side] for row in rows])] for side in (2, 3)]
        return list(zip(*sides, strict=True))

    def _sequence(self, first: Sequence[int], second: Sequence[int], marks: Sequence[int]) -> Encoded:
        """Join one or two segments as the tokenizer's template does, cut to the maximal length."""
        ids = [BOS, *first, EOS]
        found = [-1] * len(ids)
        if second:
            ids += [EOS, *second, EOS]
            found += [-1, *(marks or [-1] * len(second)), -1]
        return Encoded(np.array(ids[: self.max_length]), np.array(found[: self.max_length]))


@dataclass(frozen=True, slots=True)
class PretrainingBatch:
    """ids, marks: rows x length. ``paired``: the second half of the rows translates the first half."""

    ids: np.ndarray
    marks: np.ndarray
    paired: bool


def batches(corpus: Corpus, settings: EncoderConfig, seed: int) -> Iterator[PretrainingBatch]:
    """Endless batches of about ``batch_tokens`` pieces each.

    A batch is of translations with probability ``share["parallel"]``, else of sequences of one length, so that no padding
    is computed, whose kinds are drawn by their ``share``.
    """
    rng = np.random.default_rng([seed, 1])
    plain = _plain_batches(corpus, settings, rng)
    paired = _paired_batches(corpus, settings, rng)
    share = settings.share.get("parallel", 0.0) / sum(settings.share.values())
    while True:
        yield next(paired) if rng.random() < share else next(plain)


def _plain_batches(corpus: Corpus, settings: EncoderConfig, rng: np.random.Generator) -> Iterator[PretrainingBatch]:
    share: dict[str, float] = {
        kind: value for kind, value in settings.share.items() if kind != "parallel" and value > 0
    }
    pools = {kind: _rounds(corpus.kinds[kind], rng) for kind in share}
    kinds = sorted(pools)
    chances = np.array([share[kind] for kind in kinds])
    buckets: dict[int, list[Encoded]] = {}
    while True:
        one = next(pools[kinds[rng.choice(len(kinds), p=chances / chances.sum())]])
        bucket = buckets.setdefault(len(one.ids), [])
        bucket.append(one)
        if len(bucket) * len(one.ids) >= settings.batch_tokens:
            yield PretrainingBatch(
                np.stack([item.ids for item in bucket]), np.stack([item.marks for item in bucket]), False
            )
            buckets[len(one.ids)] = []


def _paired_batches(corpus: Corpus, settings: EncoderConfig, rng: np.random.Generator) -> Iterator[PretrainingBatch]:
    stream = _rounds(corpus.parallel, rng)
    chosen: list[tuple[Encoded, Encoded]] = []
    longest = 0
    while True:
        pair = next(stream)
        chosen.append(pair)
        longest = max(longest, len(pair[0].ids), len(pair[1].ids))
        if 2 * len(chosen) * longest >= settings.batch_tokens:
            ids = np.full((2 * len(chosen), longest), PAD)
            for row, one in enumerate([first for first, _ in chosen] + [second for _, second in chosen]):
                ids[row, : len(one.ids)] = one.ids
            yield PretrainingBatch(ids, np.full(ids.shape, -1), True)
            chosen, longest = [], 0


def _rounds(items: Sequence[Item], rng: np.random.Generator) -> Iterator[Item]:
    """The items in a new random order each time round."""
    while True:
        for index in rng.permutation(len(items)):
            yield items[index]
