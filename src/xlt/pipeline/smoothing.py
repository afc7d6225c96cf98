"""Smoothed prediction: a majority vote over noisy copies, and the radius inside which it is certified.

Cohen et al. 2019, section 3.2. PREDICT: the label that most of n noisy copies get; it abstains where a two-sided binomial
test cannot tell the two most frequent labels apart. CERTIFY: a few copies choose a label, n others count how often it
wins; with p the lower Clopper-Pearson bound of its probability, no shift of the embeddings shorter than sigma * Phi^-1(p)
changes the smoothed label, with confidence 1 - alpha, and there is no certificate where p is at most one half. Here the
embedded input is all perturbed word embeddings of an example, so the radius is an L2 norm over all of them together.

The scorer wants a label for every example, so the majority label stands where PREDICT abstains; how often that is, is
reported beside the scores.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy  # its parts are loaded when first used
import torch
from numpy.typing import NDArray
from torch import Tensor

from xlt.config.robustness import SMOOTHED
from xlt.errors import InputError
from xlt.families import SUPERVISED
from xlt.files import read_json, to_json, write_atomic
from xlt.layout import CERTIFICATES
from xlt.modeling.collate import TokenBatch
from xlt.modeling.distributed import broadcast_from_main
from xlt.modeling.model import TransferModel
from xlt.modeling.perturbation import embedding_scale, special_token_ids, words_of
from xlt.pipeline.context import Context


class GaussianNoise:
    """Adds noise to word embeddings, drawn for each row from a generator seeded by its token ids, a seed and the copy.

    So a row's noise depends neither on the batch it is in nor on the device. Padding and special tokens stay as they are.
    """

    def __init__(self, sigma: float, markers: frozenset[int], seed: int, copy: int) -> None:
        self.sigma = sigma
        self.markers = markers
        self.seed = seed
        self.copy = copy

    def __call__(self, words: Tensor, rows: TokenBatch) -> Tensor:
        """[rows, tokens, width] word embeddings with noise of standard deviation ``sigma`` in every coordinate."""
        noise = torch.zeros(words.shape)
        for number, (ids, length) in enumerate(
            zip(rows.input_ids.tolist(), rows.attention_mask.sum(1).tolist(), strict=True)
        ):
            noise[number, :length] = self.draw(ids[:length], words.shape[-1])
        return words + (self.sigma * noise).to(words) * words_of(rows, self.markers).to(words)

    def draw(self, ids: Sequence[int], width: int) -> Tensor:
        """Standard normal numbers for one row: [tokens, width]."""
        name = f"{self.seed} {self.copy} {ids}".encode()
        seed = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")
        return torch.randn((len(ids), width), generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True, slots=True)
class Certificate:
    """One language of one task: means over examples (tagging: words).

    ``radius``: certified radius, 0 where there is no certificate, in units of the mean L2 norm of the encoder's word
    embeddings. ``certified`` and ``abstained`` are percentages of the ``examples``.
    """

    radius: float
    certified: float
    abstained: float
    examples: int


def majority(labels: Sequence[Any]) -> Any:
    """The most frequent label; of equally frequent ones the first in their order, so that the order of votes is no matter."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def abstains(labels: Sequence[Any], alpha: float) -> bool:
    """Whether the two most frequent labels cannot be told apart: PREDICT's test, p-value above ``alpha``."""
    (_, first), second = Counter(labels).most_common(1)[0], 0
    if len(set(labels)) > 1:
        second = Counter(labels).most_common(2)[1][1]
    return _p_value(first, first + second) > alpha


@cache
def _p_value(successes: int, trials: int) -> float:
    return float(scipy.stats.binomtest(successes, trials, 0.5).pvalue)


def lower_bounds(votes: int, alpha: float) -> NDArray[np.float64]:
    """One-sided lower Clopper-Pearson bounds of a probability at level ``alpha``, for 0 to ``votes`` successes."""
    wins = np.arange(1, votes + 1)
    return np.concatenate([[0.0], scipy.stats.beta.ppf(alpha, wins, votes - wins + 1)])


def radius(wins: int, votes: int, alpha: float) -> float:
    """The certified radius in units of sigma for a label that wins ``wins`` of ``votes`` copies; 0 without a certificate."""
    bound = float(lower_bounds(votes, alpha)[wins])
    return float(scipy.stats.norm.ppf(bound)) if bound > 0.5 else 0.0


def certify(chosen: Sequence[Sequence[Any]], cast: Sequence[Sequence[Any]], alpha: float, sigma: float) -> Certificate:
    """The certificate of some examples.

    Args:
        chosen: for each example the labels of the copies that choose what is certified.
        cast: for each example the labels of the copies that vote.
        alpha: chance that a radius is wrong.
        sigma: standard deviation of the noise, in the unit of the radius.
    """
    votes = len(cast[0])
    table = [radius(wins, votes, alpha) for wins in range(votes + 1)]
    # a label other than the votes' majority wins at most half of them, so it gets no radius
    radii = [table[labels.count(majority(own))] for own, labels in zip(chosen, cast, strict=True)]
    share = 100 / len(cast)
    return Certificate(
        radius=sigma * float(np.mean(radii)),
        certified=share * sum(value > 0 for value in radii),
        abstained=share * sum(abstains(labels, alpha) for labels in cast),
        examples=len(cast),
    )


def predict_smoothed(
    model: TransferModel, tokenizer: Any, records: Sequence[Any], spec: Any, *, context: Context, title: str
) -> tuple[list[Any], Certificate]:
    """The majority labels of ``records`` and how far they are certified.

    Raises:
        InputError: answers and rankings cannot be voted on.
    """
    if spec.family not in SMOOTHED:
        allowed = ", ".join(SMOOTHED)
        raise InputError(f"smoothing: {spec.family} has no labels to vote on; it works for {allowed}; remove the task")
    values = context.config.regime.smoothing
    assert values is not None
    family, width = SUPERVISED[spec.family], int(model.encoder.config.hidden_size)
    sigma = values.sigma * embedding_scale(model, "linf")
    runs = []
    try:
        for copy in range(values.selection + values.votes):
            model.embedding_perturbation = GaussianNoise(sigma, special_token_ids(tokenizer), context.config.seed, copy)
            name = f"{title} copy {copy + 1}"
            runs.append(family.predict(model, tokenizer, records, spec, budget=context.budget, title=name))
    finally:
        model.embedding_perturbation = None
    by_unit = [list(labels) for labels in zip(*map(family.votes, runs), strict=True)]
    cast = [labels[values.selection :] for labels in by_unit]
    chosen = [labels[: values.selection] for labels in by_unit]
    certificate = certify(chosen, cast, values.alpha, values.sigma / width**0.5)
    return family.elected([majority(labels) for labels in cast], runs[0]), certificate


def predict_language(
    model: TransferModel, tokenizer: Any, records: Sequence[Any], spec: Any, language: str, context: Context
) -> list[Any]:
    """Predictions of one language of a supervised task, smoothed (and their certificate kept) if the regime says so."""
    title = f"{spec.title} {language}"
    if context.config.regime.smoothing is None:
        return SUPERVISED[spec.family].predict(model, tokenizer, records, spec, budget=context.budget, title=title)
    given, certificate = predict_smoothed(model, tokenizer, records, spec, context=context, title=title)
    broadcast_from_main(keep_certificate, context, spec.name, language, certificate)
    return given


def keep_certificate(context: Context, task: str, language: str, certificate: Certificate) -> None:
    """Write the certificate of one language to ``smoothing.json``; tasks and languages of an earlier config go."""
    config = context.config
    assert config.regime.smoothing is not None
    path = context.folder / CERTIFICATES
    before = read_json(path)["tasks"] if path.exists() else {}
    tasks = {
        name: {code: entry for code, entry in found.items() if code in config.languages[name]}
        for name, found in before.items()
        if name in config.tasks
    }
    tasks.setdefault(task, {})[language] = asdict(certificate)
    write_atomic(path, to_json({"settings": config.regime.smoothing.model_dump(), "tasks": tasks}))
