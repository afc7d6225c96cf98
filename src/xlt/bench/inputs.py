"""Token ids of inputs as long as real ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlt.bench.settings import Bench, Lengths
from xlt.data.features import Feature
from xlt.data.records import Pair
from xlt.data.sources import Located, read
from xlt.errors import InputError
from xlt.families.classification import pair_features
from xlt.families.qa import span_features

SPECIAL = 4
"""Ids below are special tokens: <s>, <pad>, </s>, <unk>."""
LONGEST_ANSWER = 5


def counts_of(bench: Bench, wanted: Lengths) -> Mapping[int, int]:
    """How many inputs have how many tokens: counted in real files where data and an encoder are given, else as recorded."""
    if bench.data is None or bench.encoder is None:
        return wanted.counts
    features = [feature for path in files_of(bench, wanted) for feature in _features(bench, wanted, path)]
    return Counter(feature.length for feature in features)


def files_of(bench: Bench, wanted: Lengths) -> list[Path]:
    """The real files lengths are counted in.

    Raises:
        InputError: there are none.
    """
    assert bench.data is not None
    found = sorted(bench.data.glob(wanted.files))
    if not found:
        raise InputError(f"expected files {wanted.files}; leave --data out for recorded lengths", bench.data)
    return found


def records_of(wanted: Lengths, path: Path) -> list[Any]:
    """The records of one real file."""
    found = read(Located(path.name, wanted.format, (path,)), "en", None)
    assert isinstance(found, list)
    return found


def _features(bench: Bench, wanted: Lengths, path: Path) -> list[Feature]:
    from xlt.modeling.pretrained import load_tokenizer  # torch: slow import

    assert bench.encoder is not None
    tokenizer, limit = load_tokenizer(bench.encoder), bench.config.max_length
    records = records_of(wanted, path)
    if wanted.format == "squad":
        return span_features(records, tokenizer, limit["squad"], bench.config.stride, training=False)
    pairs = [Pair(record.id, record.text_a, record.text_b, None) for record in records]
    return pair_features(pairs, tokenizer, [], limit["nli"])


def draw_lengths(counts: Mapping[int, int], number: int, seed: str) -> list[int]:
    """``number`` lengths drawn from a distribution."""
    lengths = sorted(counts)
    return random.Random(seed).choices(lengths, [counts[length] for length in lengths], k=number)


def class_inputs(lengths: list[int], vocabulary: int, seed: str) -> list[Feature]:
    """Sequences of random ids between <s> and </s>, one of three classes each."""
    draw = random.Random(seed)
    return [Feature(i, [ids(draw, n, vocabulary)], [[0] * n], draw.randrange(3)) for i, n in enumerate(lengths)]


def span_inputs(lengths: list[int], vocabulary: int, seed: str) -> list[Feature]:
    """Windows of random ids with an answer in them."""
    draw = random.Random(seed)
    features = []
    for number, length in enumerate(lengths):
        start = draw.randrange(1, length - LONGEST_ANSWER)
        target = (start, start + draw.randrange(LONGEST_ANSWER))
        features.append(Feature(number, [ids(draw, length, vocabulary)], [[0] * length], target))
    return features


def ids(draw: random.Random, length: int, vocabulary: int) -> list[int]:
    """<s>, random ids, </s>."""
    return [0, *(draw.randrange(SPECIAL, vocabulary) for _ in range(length - 2)), 2]
