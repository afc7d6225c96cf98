"""XNLI in full, counted: this project's protocol, and XTREME's script, which scores all test sets as it goes."""

from __future__ import annotations

from collections.abc import Sequence

from xlt.bench.inputs import counts_of, draw_lengths
from xlt.bench.measure import Promise, Report
from xlt.bench.settings import Bench
from xlt.data.batching import by_token_budget, epoch_batches
from xlt.pipeline.context import TOKEN_BUDGET

BACKWARD = 2
"""A backward pass computes two products for each one of the forward pass."""


def padded_tokens(lengths: Sequence[int], budget: int) -> int:
    """Tokens and padding of inputs that are sorted by length and cut into batches."""
    groups = by_token_budget(range(len(lengths)), [1] * len(lengths), lengths, budget)
    return sum(len(group) * max(lengths[i] for i in group) for group in groups)


def step_tokens(lengths: Sequence[int], batch_size: int, budget: int) -> int:
    """Tokens and padding of one epoch: random batches, each cut into micro-batches."""
    batches = epoch_batches(len(lengths), batch_size, 0, 0)
    return sum(padded_tokens([lengths[i] for i in batch], budget) for batch in batches)


def protocol(bench: Bench) -> Report:
    """(c) Token-layers of XNLI: train, choose an epoch, predict 15 languages.

    XTREME (``scripts/train_xnli.sh``, ``third_party/run_classify.py`` with ``--eval_test_set``) pads all to 128 and every
    100 steps scores the 15 test sets and English development data, and the 15 test sets once more at the end. Here
    development data are scored once an epoch and test data once. A training example counts as three passes.
    """
    config, counted = bench.config, bench.config.protocol
    width, sample = config.max_length["nli"], bench.sizes.protocol.sample
    train = draw_lengths(counts_of(bench, config.lengths.nli_train), sample, "train")
    test = draw_lengths(counts_of(bench, config.lengths.nli_test), sample, "test")
    budget = TOKEN_BUDGET["cpu"]
    per_train = step_tokens(train, counted.batch, budget) / sample
    per_test = padded_tokens(test, budget) / sample
    steps = -(-counted.train // counted.batch) * counted.epochs
    evaluations = steps // counted.evaluate_every
    tests = counted.languages * counted.test
    pairs = {
        "ours": {"train": counted.train * counted.epochs, "dev": counted.dev * counted.epochs, "test": tests},
        "xtreme": {
            "train": counted.train * counted.epochs,
            "dev": counted.dev * evaluations,
            "test": tests * (evaluations + 1),
        },
    }
    sizes = {
        "ours": {"train": per_train, "dev": per_test, "test": per_test},
        "xtreme": dict.fromkeys(("train", "dev", "test"), float(width)),
    }
    tokens = {name: {split: own[split] * sizes[name][split] for split in own} for name, own in pairs.items()}
    layers = {name: _layers(own, counted.layers) for name, own in tokens.items()}
    value = layers["xtreme"] / layers["ours"]
    report = Report("XNLI in full, in token-layers")
    report.promises.append(Promise("XTREME's script / ours", value, value, value, "at least", config.targets.protocol))
    report.figures = {
        "pairs": pairs,
        "tokens": tokens,
        "token_layers": layers,
        "steps": steps,
        "evaluations_of_the_script": evaluations,
        "tokens_of_a_training_pair": per_train,
        "tokens_of_a_test_pair": per_test,
    }
    return report


def _layers(tokens: dict[str, float], layers: int) -> float:
    """Token-layers, a training token as a forward and a backward pass."""
    return layers * (tokens["train"] * (1 + BACKWARD) + tokens["dev"] + tokens["test"])
