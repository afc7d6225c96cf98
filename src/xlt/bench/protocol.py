"""XNLI in full, counted: this project's protocol, and XTREME's script, which scores all test sets as it goes."""

from __future__ import annotations

from collections.abc import Sequence

from xlt.bench.inputs import counts_of, draw_lengths
from xlt.bench.measure import Measurement, Promise
from xlt.bench.settings import Bench
from xlt.data.batching import by_token_budget, epoch_batches
from xlt.pipeline.context import TOKEN_BUDGET

BUDGET = TOKEN_BUDGET["cpu"]
PASSES = {"train": 3, "dev": 1, "test": 1}
"""A backward pass computes two products for each one of the forward pass."""


def padded_tokens(lengths: Sequence[int]) -> int:
    """Tokens and padding of inputs that are sorted by length and cut into batches."""
    groups = by_token_budget(range(len(lengths)), [1] * len(lengths), lengths, BUDGET)
    return sum(len(group) * max(lengths[i] for i in group) for group in groups)


def protocol(bench: Bench) -> Measurement:
    """(c) Token-layers of XNLI: train, choose an epoch, predict 15 languages.

    XTREME (``scripts/train_xnli.sh``, ``third_party/run_classify.py`` with ``--eval_test_set``) pads all to 128 and every
    100 steps scores the 15 test sets and English development data, and the 15 test sets once more at the end. Here
    development data are scored once an epoch and test data once.
    """
    counted, sample = bench.config.protocol, bench.sizes["protocol"].sample
    train = draw_lengths(counts_of(bench, "nli_train"), sample, "train")
    test = draw_lengths(counts_of(bench, "nli_test"), sample, "test")
    batches = epoch_batches(sample, counted.batch, 0, 0)  # each cut into micro-batches
    per_train = sum(padded_tokens([train[i] for i in batch]) for batch in batches) / sample
    per_test = padded_tokens(test) / sample
    steps = -(-counted.train // counted.batch) * counted.epochs
    evaluations = steps // counted.evaluate_every
    trained, tested = counted.train * counted.epochs, counted.languages * counted.test
    pairs = {
        "ours": {"train": trained, "dev": counted.dev * counted.epochs, "test": tested},
        "xtreme": {"train": trained, "dev": counted.dev * evaluations, "test": tested * (evaluations + 1)},
    }
    width = float(bench.config.max_length["nli"])
    of_a_pair = {
        "ours": {"train": per_train, "dev": per_test, "test": per_test},
        "xtreme": {"train": width, "dev": width, "test": width},
    }
    tokens = {way: {split: pairs[way][split] * of_a_pair[way][split] for split in PASSES} for way in pairs}
    layers = {way: counted.layers * sum(PASSES[split] * tokens[way][split] for split in PASSES) for way in pairs}
    value = layers["xtreme"] / layers["ours"]
    target = bench.config.targets["protocol"]["ratio"]
    figures = {
        "pairs": pairs,
        "tokens": tokens,
        "token_layers": layers,
        "steps": steps,
        "evaluations_of_the_script": evaluations,
        "tokens_of_a_training_pair": per_train,
        "tokens_of_a_test_pair": per_test,
    }
    promise = Promise("XTREME's script / ours", value, value, value, "at least", target)
    return Measurement("XNLI in full, in token-layers", promises=[promise], figures=figures)
