"""Adversarial training and RS-RP: the ball, what is left alone, the loss, the gradients, the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor

from xlt.config.regimes import Bottleneck, Full, Head, LoRA, MadX, Tuning
from xlt.config.robustness import Adversarial, RandomPerturbation
from xlt.config.run_config import LanguageAdapterSettings
from xlt.data.features import Feature
from xlt.data.records import Pair
from xlt.families import FAMILIES
from xlt.families.base import MicroBatchLoss
from xlt.families.classification import pair_features
from xlt.families.retrieval import contrastive_features
from xlt.files import sha256_file, to_json, write_atomic
from xlt.layout import ADAPTER
from xlt.modeling.collate import TokenBatch, rows_of
from xlt.modeling.language_adapters import ADAPTER_WEIGHTS, add_language_adapter, save_language_adapter
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.perturbation import (
    Norm,
    ascent_direction,
    embedding_scale,
    project,
    special_token_ids,
    uniform_in_ball,
    words_of,
)
from xlt.modeling.pretrained import load_encoder
from xlt.training.multitask import fit
from xlt.training.robustness.adversarial import AdversarialTraining
from xlt.training.robustness.noise import RandomNoise
from xlt.training.trainer import TrainingArguments

NORMS = pytest.mark.parametrize("norm", ["l2", "linf"])
TUNINGS: dict[str, Tuning] = {
    "full": Full(kind="full"),
    "adapter": Bottleneck(kind="bottleneck", reduction_factor=4),
    "lora": LoRA(kind="lora", rank=2, alpha=4),
    "head": Head(kind="head"),
}


def adversarial(**changes: Any) -> Adversarial:
    return Adversarial(**{"kind": "adversarial", "norm": "l2", "radius": 0.3, "steps": 2, "step_size": 0.2, **changes})


def noise(**changes: Any) -> RandomPerturbation:
    return RandomPerturbation(**{"kind": "random", "norm": "l2", "radius": 0.3, **changes})


def method(kind: str, tokenizer: Any, seed: int = 1, **changes: Any) -> AdversarialTraining | RandomNoise:
    if kind == "adversarial":
        return AdversarialTraining(adversarial(**changes), tokenizer, seed)
    return RandomNoise(noise(**changes), tokenizer, seed)


def model(path: Path, tuning: str = "full", family: str = "classification") -> TransferModel:
    return build_model(path, family=FAMILIES[family], labels=2, tuning=TUNINGS[tuning], pooling="mean", seed=1)


@pytest.fixture(scope="module")
def features(tokenizer: Any) -> list[Feature]:
    records = [
        Pair(f"{first}{second}", f"the {first} sat", f"a {second}", "yes" if first == "cat" else "no")
        for first in ("cat", "dog")
        for second in ("big river", "mat", "small old blue house")
    ]
    return pair_features(records, tokenizer, ["no", "yes"], 32)


@pytest.fixture(scope="module")
def trained(mini_encoder: Path, features: list[Feature]) -> TransferModel:
    """A small model that has learnt the features but for the last bit."""
    learnt = model(mini_encoder)
    values = TrainingArguments(
        epochs=12, batch_size=6, learning_rate=0.01, warmup_steps=0, weight_decay=0.0, max_grad_norm=1.0, seed=1
    )
    fit(learnt, features, values, None, title="t")
    learnt.zero_grad(set_to_none=True)
    return learnt.eval()


def whole(model: TransferModel, features: list[Feature]) -> MicroBatchLoss:
    (part,) = model.family.losses(model, features, 10_000)
    return part


class Spy:
    """Notes the perturbation of every pass through the embeddings."""

    def __init__(self, model: TransferModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[Tensor, TokenBatch]] = []
        hidden = TransferModel.hidden

        def spying(this: TransferModel, rows: TokenBatch) -> Tensor:
            shift = this.embedding_perturbation
            if shift is not None:

                def noted(words: Tensor, rows: TokenBatch) -> Tensor:
                    moved = shift(words, rows)
                    self.seen.append(((moved - words).detach(), rows))
                    return moved

                this.embedding_perturbation = noted
            try:
                return hidden(this, rows)
            finally:
                this.embedding_perturbation = shift

        monkeypatch.setattr(TransferModel, "hidden", spying)


def lengths(delta: Tensor, norm: str) -> Tensor:
    return delta.norm(dim=-1) if norm == "l2" else delta.abs().amax(-1)


shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9))


@NORMS
@given(shape=shapes, radius=st.floats(0.01, 5), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_draws_and_projections_stay_in_the_ball(norm: Norm, shape: tuple[int, ...], radius: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    drawn = uniform_in_ball(torch.Size(shape), norm, radius, generator)
    assert drawn.shape == shape and lengths(drawn, norm).max() <= radius * (1 + 1e-5)
    far = torch.randn(shape, generator=generator) * 3 * radius
    near = project(far, norm, radius)
    assert lengths(near, norm).max() <= radius * (1 + 1e-5)
    inside = lengths(far, norm) <= radius * (1 - 1e-5)
    torch.testing.assert_close(near[inside], far[inside])
    assert (torch.nn.functional.cosine_similarity(near, far, dim=-1) > 0).all()


def test_projection_and_steepest_direction_by_hand() -> None:
    vector = torch.tensor([[3.0, -4.0]])
    torch.testing.assert_close(project(vector, "l2", 2.5), torch.tensor([[1.5, -2.0]]))  # half of it
    torch.testing.assert_close(project(vector, "linf", 3.5), torch.tensor([[3.0, -3.5]]))
    torch.testing.assert_close(ascent_direction(vector, "l2"), torch.tensor([[0.6, -0.8]]))
    torch.testing.assert_close(ascent_direction(vector, "linf"), torch.tensor([[1.0, -1.0]]))
    assert ascent_direction(torch.zeros(1, 2), "l2").abs().sum() == 0  # a token the loss does not depend on stays


def test_draws_are_uniform_in_volume() -> None:
    width = 7
    drawn = uniform_in_ball(torch.Size((4000, width)), "l2", 2.0, torch.Generator().manual_seed(3))
    # P(|x| <= r) is the share of the volume, (r / radius)^d; so (|x| / radius)^d is uniform on [0, 1]
    volumes = (drawn.norm(dim=-1).numpy() / 2.0) ** width
    assert kstest(volumes, "uniform").pvalue > 0.01
    assert drawn.mean(0).abs().max() < 0.1  # no direction is preferred
    square = uniform_in_ball(torch.Size((4000, 1)), "linf", 2.0, torch.Generator().manual_seed(3))
    assert kstest(square[:, 0].numpy(), "uniform", args=(-2, 4)).pvalue > 0.01


def test_a_unit_is_the_mean_length_of_a_word_embedding(mini_encoder: Path) -> None:
    small = model(mini_encoder)
    with torch.no_grad():
        small.encoder.get_input_embeddings().weight.zero_()
        small.encoder.get_input_embeddings().weight[:, :4] = 3.0  # every row (3, 3, 3, 3, 0, ...): length 6, width 16
    assert embedding_scale(small, "l2") == pytest.approx(6.0)
    assert embedding_scale(small, "linf") == pytest.approx(1.5)


def test_padding_and_special_tokens_are_no_words(tokenizer: Any, features: list[Feature]) -> None:
    rows = rows_of(features, 1)
    words = words_of(rows, special_token_ids(tokenizer))[..., 0].bool()
    assert not words[rows.attention_mask == 0].any() and (rows.attention_mask == 0).any()
    assert not words[torch.isin(rows.input_ids, torch.tensor([0, 1, 2]))].any()  # <s>, <pad>, </s>
    assert words.sum() == sum(token not in (0, 1, 2) for feature in features for token in feature.rows[0])
    assert tokenizer.unk_token_id not in special_token_ids(tokenizer)  # an unknown word is a word


@NORMS
@pytest.mark.parametrize("kind", ["adversarial", "random"])
def test_only_words_move_and_stay_in_the_ball(
    mini_encoder: Path, tokenizer: Any, features: list[Feature], monkeypatch: pytest.MonkeyPatch, kind: str, norm: Norm
) -> None:
    small = model(mini_encoder)
    spy = Spy(small, monkeypatch)
    method(kind, tokenizer, norm=norm, radius=0.3).loss(small, whole(small, features))
    assert len(spy.seen) == (3 if kind == "adversarial" else 1)
    for delta, rows in spy.seen:
        words = words_of(rows, special_token_ids(tokenizer))[..., 0].bool()
        assert (delta[~words] == 0).all()
        assert (delta[words] != 0).any(-1).all()
        # the difference of two float32 numbers of size 1 is off by up to 1e-6
        assert lengths(delta[words], norm).max() <= 0.3 * embedding_scale(small, norm) + 1e-5
    assert small.embedding_perturbation is None


def test_an_ascent_raises_the_loss_over_clean_and_random_input(
    trained: TransferModel, tokenizer: Any, features: list[Feature]
) -> None:
    part = whole(trained, features)
    clean = float(part().detach())
    for norm in ("l2", "linf"):
        worst = [
            float(method("adversarial", tokenizer, seed, norm=norm).loss(trained, part).detach()) for seed in range(8)
        ]
        drawn = [float(method("random", tokenizer, seed, norm=norm).loss(trained, part).detach()) for seed in range(8)]
        assert np.mean(worst) > clean and np.mean(worst) > np.mean(drawn)
        assert min(worst) > max(drawn)
    assert all(parameter.grad is None for parameter in trained.parameters())  # the ascent left none behind


def test_more_steps_raise_the_loss_further(trained: TransferModel, tokenizer: Any, features: list[Feature]) -> None:
    part = whole(trained, features)
    values = {"radius": 0.5, "step_size": 0.1}
    losses = [
        float(method("adversarial", tokenizer, steps=steps, **values).loss(trained, part).detach())
        for steps in (1, 3, 6)
    ]
    assert losses == sorted(losses)


def check_gradients(
    small: TransferModel, tokenizer: Any, features: list[Feature], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradients of the trained parameters, and of no others, are those of the loss at the last perturbation."""
    spy = Spy(small, monkeypatch)
    part = whole(small, features)
    method("adversarial", tokenizer).loss(small, part).backward()
    found = {name: p.grad.clone() for name, p in small.named_parameters() if p.grad is not None}
    small.zero_grad(set_to_none=True)
    final = spy.seen[-1][0]
    small.embedding_perturbation = lambda words, rows: words + final
    part().backward()
    small.embedding_perturbation = None
    expected = {name: p.grad for name, p in small.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys() and found.keys() <= small.trainable and found
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], cast(Tensor, gradient), atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize("tuning", list(TUNINGS))
def test_gradients_are_those_of_the_loss_at_the_last_perturbation(
    mini_encoder: Path, tokenizer: Any, features: list[Feature], monkeypatch: pytest.MonkeyPatch, tuning: str
) -> None:
    check_gradients(model(mini_encoder, tuning).eval(), tokenizer, features, monkeypatch)


def test_gradients_on_a_language_adapter_with_invertible_layers(
    mini_encoder: Path, tokenizer: Any, features: list[Feature], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    encoder = load_encoder(mini_encoder)
    values = {"reduction_factor": 2.0, "invertible_reduction_factor": 2.0, "learning_rate": 1e-3}
    sizes = {"steps": 1, "batch_size": 1, "max_length": 8}
    add_language_adapter(encoder, "en", LanguageAdapterSettings(name="l", **values, **sizes))
    save_language_adapter(encoder, "en", tmp_path)
    write_atomic(tmp_path / ADAPTER, to_json({"weights_sha256": sha256_file(tmp_path / ADAPTER_WEIGHTS)}))
    small = build_model(
        mini_encoder,
        family=FAMILIES["classification"],
        labels=2,
        tuning=MadX(kind="madx", reduction_factor=4),
        pooling="mean",
        seed=1,
        language_adapters={"en": tmp_path},
    )
    check_gradients(small.eval(), tokenizer, features, monkeypatch)


def test_a_contrastive_loss_has_a_perturbation_for_queries_and_one_for_answers(
    mini_encoder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs: list[Any] = [("who sat", "the cat sat on the mat"), ("who ran under", "a dog ran"), ("where", "in Paris")]
    rows = contrastive_features(pairs, tokenizer, query_length=16, answer_length=16, prefix="")
    dual = model(mini_encoder, family="lareqa").eval()
    (part,) = FAMILIES["lareqa"].losses(dual, rows, 0)
    clean = float(part().detach())
    spy = Spy(dual, monkeypatch)
    loss = method("adversarial", tokenizer, steps=2).loss(dual, part)
    shapes = [delta.shape for delta, _ in spy.seen]
    assert len(shapes) == 6 and shapes[0] != shapes[1] and shapes[0::2] == [shapes[0]] * 3
    assert float(loss.detach()) > clean
    assert not torch.equal(spy.seen[0][0], spy.seen[2][0])  # the queries' perturbation moved


@pytest.mark.parametrize("kind", ["adversarial", "random"])
def test_the_seed_decides(mini_encoder: Path, tokenizer: Any, features: list[Feature], kind: str) -> None:
    small = model(mini_encoder).eval()
    part = whole(small, features)

    def twice(seed: int) -> list[float]:
        own = method(kind, tokenizer, seed)
        return [float(own.loss(small, part).detach()) for _ in range(2)]

    assert twice(1) == twice(1) != twice(2)
    assert len(set(twice(1))) == 2  # each step draws anew


def test_dropout_masks_are_those_of_a_plain_step(mini_encoder: Path, tokenizer: Any, features: list[Feature]) -> None:
    small = model(mini_encoder).train()
    part = whole(small, features)
    torch.manual_seed(5)
    plain = float(part().detach())
    after = torch.get_rng_state()
    torch.manual_seed(5)
    tiny = method("adversarial", tokenizer, steps=3, radius=1e-7, step_size=1e-7).loss(small, part)
    assert float(tiny.detach()) == pytest.approx(plain, abs=1e-5)  # a vanishing ball: the same loss, mask by mask
    assert torch.equal(torch.get_rng_state(), after)
    torch.manual_seed(6)
    assert float(part().detach()) != pytest.approx(plain, abs=1e-4)  # other masks would show


@pytest.mark.parametrize("kind", ["adversarial", "random"])
def test_labels_and_rows_are_left_alone(
    mini_encoder: Path, tokenizer: Any, features: list[Feature], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    small = model(mini_encoder)
    given = rows_of(features, small.pad_id)
    targets = [feature.target for feature in features]
    spy = Spy(small, monkeypatch)
    embeddings = small.encoder.get_input_embeddings().weight.detach().clone()
    method(kind, tokenizer).loss(small, whole(small, features)).backward()
    for _, rows in spy.seen:
        assert sorted(map(tuple, rows.input_ids.tolist())) == sorted(map(tuple, given.input_ids.tolist()))
        assert rows.attention_mask.sum() == given.attention_mask.sum()
    assert [feature.target for feature in features] == targets
    assert torch.equal(small.encoder.get_input_embeddings().weight, embeddings)
