"""Token ids of inputs as long as real ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from xlt.bench.settings import Bench, LengthCounts, Lengths
from xlt.data.dataset import Located, read
from xlt.data.features import Feature
from xlt.data.records import Pair
from xlt.errors import InputError
from xlt.families.classification import pair_features
from xlt.families.qa import span_features

SPECIAL = 4
"""Ids below are special tokens: <s>, <pad>, </s>, <unk>."""
CLASSES = 3
LONGEST_ANSWER = 5


def real_records(bench: Bench, wanted: LengthCounts) -> list[Any]:
    """The records of the real files that lengths are counted in; those of sentence pairs without their labels.

    Raises:
        InputError: there are no such files.
    """
    assert bench.data is not None
    files = sorted(bench.data.glob(wanted.files))
    if not files:
        raise InputError(f"expected files {wanted.files}; leave --data out for recorded lengths", bench.data)
    parts: Any = [read(Located(path.name, wanted.format, (path,)), "en", None) for path in files]
    records = [record for part in parts for record in part]
    return records if wanted.format == "squad" else [Pair(r.id, r.text_a, r.text_b, None) for r in records]


def counts_of(bench: Bench, name: Lengths) -> Mapping[int, int]:
    """How many inputs have how many tokens: counted in real files where data and an encoder are given, else as recorded."""
    wanted, limit = bench.config.lengths[name], bench.config.max_length
    if bench.data is None or bench.encoder is None:
        return wanted.counts
    from xlt.modeling.pretrained import load_tokenizer  # torch: slow import

    tokenizer, records = load_tokenizer(bench.encoder), real_records(bench, wanted)
    if wanted.format == "squad":
        features = span_features(records, tokenizer, limit["squad"], bench.config.stride, training=False)
    else:
        features = pair_features(records, tokenizer, [], limit["nli"])
    return Counter(feature.length for feature in features)


def draw_lengths(counts: Mapping[int, int], number: int, seed: str) -> list[int]:
    """``number`` lengths drawn from a distribution."""
    lengths = sorted(counts)
    return random.Random(seed).choices(lengths, [counts[length] for length in lengths], k=number)


def draw_inputs(bench: Bench, name: Lengths, number: int, seed: str) -> list[Feature]:
    """``number`` inputs of a task, as long as real ones."""
    lengths = draw_lengths(counts_of(bench, name), number, seed)
    return random_features(lengths, bench.shape["vocab_size"], seed, spans=name == "squad_windows")


def random_features(lengths: Sequence[int], vocabulary: int, seed: str, *, spans: bool = False) -> list[Feature]:
    """Sequences of random ids between <s> and </s>, of one of three classes each, or with an answer in them."""
    draw, features = random.Random(seed), []
    for number, length in enumerate(lengths):
        ids = [0, *(draw.randrange(SPECIAL, vocabulary) for _ in range(length - 2)), 2]
        start = draw.randrange(1, length - LONGEST_ANSWER) if spans else 0
        target = (start, start + draw.randrange(LONGEST_ANSWER)) if spans else draw.randrange(CLASSES)
        features.append(Feature(number, [ids], [[0] * length], target))
    return features
