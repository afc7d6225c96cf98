"""Smoothed prediction: votes and certificates by hand, noise that depends on the row and the seed alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xlt.config.regimes import Full
from xlt.config.robustness import Smoothing
from xlt.data.records import Pair, Question, Tagged
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.families.classification import Classification
from xlt.files import read_json
from xlt.modeling.collate import pad_rows
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.perturbation import special_token_ids
from xlt.pipeline import smoothing
from xlt.pipeline.context import Context
from xlt.pipeline.predict_run import prediction_key
from xlt.pipeline.smoothing import (
    GaussianNoise,
    abstains,
    certify,
    keep_certificate,
    lower_bounds,
    majority,
    predict_smoothed,
    radius,
)

TEXTS = [[0, 5, 6, 2], [0, 7, 2], [0, 8, 9, 10, 11, 2]]
LABELS = ["no", "yes"]


class Spec:
    """A task as prediction sees it."""

    def __init__(self, family: str, labels: list[str] | None = None) -> None:
        self.name = self.title = "t"
        self.family, self.labels, self.max_length, self.doc_stride = family, labels, 32, None


def test_majority_by_hand() -> None:
    assert majority(["b", "a", "b"]) == "b"
    assert majority(["b", "a"]) == majority(["a", "b"]) == "a"  # a tie: the first in order, not the first cast
    assert majority([2, 0, 2, 1]) == 2


def test_predict_abstains_where_a_binomial_test_cannot_tell() -> None:
    # two-sided p-value of 5 to 0 at 1/2: 2 / 2^5 = 0.0625; of 6 to 0: 2 / 2^6 = 0.031; of 7 to 1: 2 (1 + 8) / 2^8 = 0.07
    assert abstains(["a"] * 5, 0.05) and not abstains(["a"] * 5, 0.07)
    assert not abstains(["a"] * 6, 0.05)
    assert abstains(["a"] * 7 + ["b"], 0.05) and not abstains(["a"] * 7 + ["b"], 0.08)
    assert not abstains(["a"] * 6 + ["b"] * 0 + ["c"] * 0, 0.05)
    # only the two most frequent count: 6 to 0 plus nothing, but 8 a, 1 b, 1 c is 8 to 1: 2 (1 + 9) / 2^9 = 0.039
    assert not abstains(["a"] * 8 + ["b"] + ["c"], 0.04) and abstains(["a"] * 8 + ["b"] + ["c"], 0.038)


def test_lower_bounds_by_hand() -> None:
    bounds = lower_bounds(4, 0.05)
    assert bounds[0] == 0.0
    assert bounds[4] == pytest.approx(0.05 ** (1 / 4))  # P(4 of 4 | p) = p^4 = alpha
    assert bounds[1] == pytest.approx(1 - 0.95 ** (1 / 4))  # P(at least 1 of 4 | p) = 1 - (1 - p)^4 = alpha
    p = bounds[3]  # P(at least 3 of 4 | p) = 4 p^3 (1 - p) + p^4 = alpha
    assert 4 * p**3 * (1 - p) + p**4 == pytest.approx(0.05)


def test_radius_by_hand() -> None:
    # 10 of 10 at 0.05: p = 0.05^0.1 = 0.7411, and Phi(0.6468) = 0.7411
    assert radius(10, 10, 0.05) == pytest.approx(0.6468, abs=1e-4)
    assert radius(6, 10, 0.05) == 0.0  # p = 0.30 is under one half


def test_certificates_by_hand() -> None:
    sure, close, other = ["a"] * 10, ["a"] * 6 + ["b"] * 4, ["b"] * 10
    found = certify([["a"], ["a"], ["a"]], [sure, close, other], alpha=0.05, sigma=2.0)
    # the third: chosen is a, the votes say b; so one of three has a radius, of 2 x 0.6468
    assert found.radius == pytest.approx(2 * 0.6468 / 3, abs=1e-4)
    assert found.certified == pytest.approx(100 / 3) and found.examples == 3
    assert found.abstained == pytest.approx(100 / 3)  # 6 to 4: p = 0.75


def test_noise_depends_on_row_seed_and_copy_not_on_the_batch(tokenizer: Any) -> None:
    def noise(texts: list[list[int]], **changes: int) -> torch.Tensor:
        rows = pad_rows(texts, [[0] * len(text) for text in texts], 1)
        given = GaussianNoise(0.5, special_token_ids(tokenizer), **{"seed": 1, "copy": 0, **changes})
        return given(torch.zeros(*rows.input_ids.shape, 16), rows)

    together, alone = noise(TEXTS), noise(TEXTS[1:2])
    torch.testing.assert_close(together[1, :3], alone[0])
    assert (together[1, 3:] == 0).all() and (together[:, 0] == 0).all()  # padding, <s>
    assert (together[0, 3] == 0).all() and (together[0, 1:3] != 0).all()  # </s>, words
    assert not torch.equal(noise(TEXTS, copy=1), together) and not torch.equal(noise(TEXTS, seed=2), together)
    many = noise([[0, *range(10, 110), 2]])[0, 1:-1]
    assert float(many.std()) == pytest.approx(0.5, rel=0.05)


@pytest.fixture
def context(open_run: Callable[[str], Context]) -> Context:
    """The context of the smoothed regime's XNLI run."""
    return open_run("full-rs-rp-smoothed/mnli/seed-1")


def with_votes(context: Context, **changes: Any) -> Context:
    values = Smoothing(**{"votes": 6, "selection": 2, "sigma": 0.5, **changes})
    regime = context.config.regime.model_copy(update={"smoothing": values})
    return Context(
        context.config.model_copy(update={"regime": regime}), context.folder, context.root, context.data,
        context.encoder, context.device,
    )  # fmt: skip


def small(path: Path, family: str) -> TransferModel:
    return build_model(path, family=FAMILIES[family], labels=2, tuning=Full(kind="full"), pooling="mean", seed=1)


def test_a_little_noise_changes_nothing(mini_encoder: Path, tokenizer: Any, context: Context) -> None:
    records = [
        Pair(str(i), f"the {word} sat", "a mat", None) for i, word in enumerate(("cat", "dog", "bird", "old house"))
    ]
    model, spec = small(mini_encoder, "classification"), Spec("classification", LABELS)
    plain = model.family.predict(model, tokenizer, records, spec, budget=1024, title="t")
    quiet, sure = predict_smoothed(model, tokenizer, records, spec, context=with_votes(context, sigma=1e-6), title="t")
    assert quiet == plain and sure.certified == 100 and sure.abstained == 0
    assert sure.radius == pytest.approx(1e-6 / 4 * radius(6, 6, 0.05))  # width 16: one coordinate is a quarter
    assert model.embedding_perturbation is None


def test_tags_are_voted_word_by_word(mini_encoder: Path, tokenizer: Any, context: Context) -> None:
    records = [Tagged("1", ("the", "cat", "sat"), None), Tagged("2", ("dog",), None)]
    model, spec = small(mini_encoder, "tagging"), Spec("tagging", LABELS)
    tags, certificate = predict_smoothed(model, tokenizer, records, spec, context=with_votes(context), title="t")
    assert [len(own) for own in tags] == [3, 1] and certificate.examples == 4
    again, _ = predict_smoothed(model, tokenizer, records[::-1], spec, context=with_votes(context), title="t")
    assert again == tags[::-1]  # the order of the records is no matter
    loud = predict_smoothed(model, tokenizer, records, spec, context=with_votes(context, sigma=30.0), title="t")[1]
    assert loud.certified < 100 and loud.abstained > 0


def test_votes_decide(monkeypatch: pytest.MonkeyPatch, mini_encoder: Path, context: Context, tokenizer: Any) -> None:
    cast = iter([["no"], ["no"], *[["yes"]] * 4, ["no"], ["no"]])  # two that choose, then six that vote
    monkeypatch.setattr(Classification, "predict", lambda *a, **k: next(cast))
    model = small(mini_encoder, "classification")
    labels, found = predict_smoothed(
        model,
        tokenizer,
        [Pair("1", "a", "b", None)],
        Spec("classification", LABELS),
        context=with_votes(context),
        title="",
    )
    assert labels == ["yes"] and found.certified == 0  # the certificate was to be of "no"


def test_answers_cannot_be_voted_on(mini_encoder: Path, tokenizer: Any, context: Context) -> None:
    with pytest.raises(InputError, match="span has no labels to vote on; it works for classification, choice, tagging"):
        predict_smoothed(
            small(mini_encoder, "span"),
            tokenizer,
            [Question("q", "a", "b", ())],
            Spec("span"),
            context=context,
            title="",
        )


def test_certificates_are_kept_by_task_and_language(context: Context) -> None:
    certificate = certify([["a"]], [["a"] * 8], 0.05, 1.0)
    keep_certificate(context, "xnli", "en", certificate)
    keep_certificate(context, "xnli", "qaa", certificate)
    kept = read_json(context.folder / smoothing.CERTIFICATES)
    assert set(kept["tasks"]) == {"xnli"} and set(kept["tasks"]["xnli"]) == {"en", "qaa"}
    assert kept["tasks"]["xnli"]["en"]["radius"] == certificate.radius > 0
    assert kept["settings"]["votes"] == context.config.regime.smoothing.votes  # type: ignore[union-attr]
    changed = context.config.model_copy(update={"languages": {"xnli": ["en"]}})
    narrower = Context(changed, context.folder, context.root, context.data, context.encoder, context.device)
    keep_certificate(narrower, "xnli", "en", certificate)
    assert set(read_json(context.folder / smoothing.CERTIFICATES)["tasks"]["xnli"]) == {"en"}


def test_predictions_depend_on_the_noise(context: Context) -> None:
    (evaluation,) = context.config.evaluations
    keys = {
        prediction_key(with_votes(context, **change), evaluation, "w") for change in ({}, {"sigma": 0.1}, {"votes": 7})
    }
    assert len(keys) == 3
    assert np.isfinite(radius(6, 6, 0.05))
