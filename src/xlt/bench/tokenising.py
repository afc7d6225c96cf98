"""Sentence pairs to token ids: all in one call, against a call for each as the scripts make."""

from __future__ import annotations

import random

from xlt.bench.inputs import real_records
from xlt.bench.measure import Measurement, in_turn, ratio
from xlt.bench.settings import Bench
from xlt.data.records import Pair
from xlt.families.classification import pair_features
from xlt.files import SOURCE_ROOT
from xlt.modeling.pretrained import load_tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PACKAGED = SOURCE_ROOT / "src" / "xlt" / "babel" / "encoder"
"""The encoder whose tokenizer cuts random words where no real files are given."""


def random_pairs(number: int) -> list[Pair]:
    """Pairs of sentences of 5 to 30 words out of 5,000."""
    draw = random.Random(0)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(5000)]
    texts = [" ".join(draw.choices(words, k=draw.randint(5, 30))) for _ in range(2 * number)]
    return [Pair(str(i), texts[2 * i], texts[2 * i + 1], None) for i in range(number)]


def tokenisation(bench: Bench) -> Measurement:
    """(f) Pairs to ids as for prediction: ``pair_features``, against one call a pair (as ``run_classify.py`` of XTREME)."""
    size, limit = bench.sizes["tokenisation"], bench.config.max_length["nli"]
    tokenizer = load_tokenizer(bench.encoder or PACKAGED)
    if bench.data is None:
        pairs = random_pairs(size.pairs)
    else:
        records = real_records(bench, bench.config.lengths["nli_test"])
        pairs = random.Random(0).sample(records, min(size.pairs, len(records)))
    found: dict[str, list[list[int]]] = {}

    def ours(turn: int) -> None:
        found["ours"] = [feature.rows[0] for feature in pair_features(pairs, tokenizer, [], limit)]

    def each(turn: int) -> None:
        found["each"] = [
            tokenizer(pair.text_a, pair.text_b, truncation="longest_first", max_length=limit)["input_ids"]
            for pair in pairs
        ]

    ours(0)
    times = in_turn({"each": each, "ours": ours}, size)
    promise = ratio("a call for each pair / ours", times["each"], times["ours"], "at least", None)
    same = sum(a == b for a, b in zip(found["ours"], found["each"], strict=True))
    figures = {"pairs": len(pairs), "vocabulary": len(tokenizer)}
    return Measurement("Tokenisation", times, [promise], {"share of equal ids": same / len(pairs)}, figures)
