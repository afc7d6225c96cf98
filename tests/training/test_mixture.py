"""Intermediate tasks trained together: how often each is drawn, what a step does, which epoch is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xlt.config.regimes import Bottleneck, Full, Tuning
from xlt.config.schedules import GradualUnfreezing
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.modeling.mlm import load_masked_lm_head
from xlt.modeling.model import TransferModel, another_head, build_model
from xlt.training import multitask
from xlt.training.mlm_data import MaskedCorpus
from xlt.training.multitask import (
    MASKED,
    MASKED_NAME,
    MaskedTask,
    MixtureTask,
    MultiTaskModel,
    fit_multitask,
    masked_settings,
    order_of_steps,
    proportions,
    set_rates,
)
from xlt.training.trainer import TrainingArguments, make_optimizer
from xlt.training.unfreezing import Gradual

ADAPTER = Bottleneck(kind="bottleneck", reduction_factor=4)


def settings(**values: Any) -> TrainingArguments:
    given = {"epochs": 2, "batch_size": 2, "learning_rate": 0.01, "warmup_steps": 0, "weight_decay": 0.0}
    return TrainingArguments(**{**given, "max_grad_norm": 1.0, "seed": 3, **values})


def pairs(count: int, length: int = 4) -> list[Feature]:
    return [
        Feature(i, rows=[[0, *range(5 + i, 5 + i + length), 2]], types=[[0] * (length + 2)], target=i % 2)
        for i in range(count)
    ]


def parts(path: Path, tuning: Tuning = ADAPTER, counts: tuple[int, ...] = (6, 2), **values: Any) -> list[MixtureTask]:
    """Two tasks on one encoder, with constant development scores."""
    first = build_model(path, family=FAMILIES["classification"], labels=2, tuning=tuning, pooling="mean", seed=1)
    models = [first, *(another_head(first, path, FAMILIES["classification"], 2, 1) for _ in counts[1:])]
    return [
        MixtureTask(name, model, pairs(count), count, settings(**values), lambda: 50.0)
        for name, model, count in zip("abc", models, counts, strict=False)
    ]


def masked(path: Path, tokenizer: Any, tmp_path: Path, share: float = 0.5) -> MaskedTask:
    (tmp_path / "en.txt").write_text("the cat sat on the mat\nthe dog ran\n\nAnna saw a bird\n" * 9, encoding="utf-8")
    text = MaskedCorpus({"en": tmp_path / "en.txt"}, tokenizer, 16, 0.3, 1)
    return MaskedTask(text, load_masked_lm_head(path, 1), share)


def test_proportions_by_hand() -> None:
    # 1 : 4 : 16 in proportion to size; temperature 2 takes the square roots, 1 : 2 : 4
    assert proportions([100, 400, 1600], 1.0) == pytest.approx([1 / 21, 4 / 21, 16 / 21])
    assert proportions([100, 400, 1600], 2.0) == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    assert proportions([10, 90], 1e9) == pytest.approx([0.5, 0.5])  # evened out completely


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=9), st.floats(1, 100), st.floats(1, 10))
def test_a_higher_temperature_evens_out(sizes: list[int], temperature: float, more: float) -> None:
    cool, warm = proportions(sizes, temperature), proportions(sizes, temperature * more)
    assert cool.sum() == pytest.approx(1)
    assert warm.max() <= cool.max() + 1e-9
    assert warm.min() >= cool.min() - 1e-9


def plan(counts: tuple[int, ...], temperature: float, share: float) -> tuple[list[MixtureTask], Any]:
    """Parts of which only sizes and settings matter, and the order of their steps."""
    model: Any = None
    made = [MixtureTask(str(count), model, pairs(1) * count, count, settings(), None) for count in counts]
    return made, order_of_steps(made, temperature, share, 7)


@pytest.mark.parametrize(("temperature", "chance"), [(1.0, 0.9), (2.0, 0.75)])
def test_tasks_are_drawn_in_proportion(temperature: float, chance: float) -> None:
    # 9000 and 1000 examples: 0.9, or 3 : 1 with square roots. 5000 draws: six standard deviations of the binomial
    _, order = plan((9000, 1000), temperature, 0.0)
    assert len(order) == 2 * (4500 + 500)  # the steps that both would have alone: 2 epochs of batches of 2
    bound = 6 * math.sqrt(chance * (1 - chance) / len(order))
    assert abs(np.mean(order == 0) - chance) < bound
    assert set(order) == {0, 1}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 30), (0.25, 10), (0.2, 8), (0.9, 270)])
def test_masked_text_has_exactly_its_share_of_the_steps(share: float, expected: int) -> None:
    # 20 + 10 examples, batches of 2, 2 epochs: 30 task steps; with x masked steps x / (30 + x) = share, rounded
    _, order = plan((20, 10), 1.0, share)
    assert (order == MASKED).sum() == expected
    assert (order != MASKED).sum() == 30
    assert order[0] != MASKED


def test_the_order_depends_on_the_seed_only() -> None:
    sized, order = plan((20, 10), 1.0, 0.5)
    assert (order == order_of_steps(sized, 1.0, 0.5, 7)).all()
    assert (order != order_of_steps(sized, 1.0, 0.5, 8)).any()


def test_batches_show_every_example_before_any_comes_again(mini_encoder: Path) -> None:
    (part,) = parts(mini_encoder, counts=(5,))
    stream = part.batches()
    for _ in range(3):
        seen = [feature for _ in range(3) for feature in next(stream)]
        assert sorted(feature.rows[0][1] for feature in seen) == [5, 6, 7, 8, 9]


def test_a_step_has_the_values_of_its_recipe(mini_encoder: Path) -> None:
    a, b = parts(mini_encoder, weight_decay=0.1)
    optimizer = make_optimizer(MultiTaskModel([a, b], None), a.settings)
    set_rates(optimizer, settings(learning_rate=0.4, weight_decay=0.3), 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    # 6 and 2 examples: 3/4 and 1/4
    other = MixtureTask(
        b.name, b.model, b.features, 2, settings(learning_rate=0.05, batch_size=8, max_grad_norm=0.5), None
    )
    mean = masked_settings([a, other], 1.0)
    assert (mean.learning_rate, mean.batch_size, mean.max_grad_norm) == (pytest.approx(0.02), 8, 0.5)
    assert mean.weight_decay == pytest.approx(0.075)


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("tuning", [Full(kind="full"), ADAPTER])
def test_a_batch_moves_what_is_shared_and_its_own_head(
    mini_encoder: Path, tuning: Tuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = MultiTaskModel(parts(mini_encoder, tuning), None)
    before = {name: tensor.clone() for name, tensor in both.named_parameters()}
    monkeypatch.setattr(multitask, "order_of_steps", lambda *given: np.array([1, 1]))
    histories = fit_multitask(both, None, 1.0, title="t")
    changed = moved(before, dict(both.named_parameters()))
    assert any(".head." in name for name in changed)
    assert not any(name.startswith("models.a.head") for name in changed)  # never drawn
    trained = {name for name, _ in both.named_parameters() if ".head." not in name and name in changed}
    assert {name.removeprefix("models.a.") for name in trained} <= both.parts[0].model.trainable
    assert any(".layer.1." in name for name in trained)
    assert (histories["a"].steps, histories["b"].steps) == (0, 2)


def test_masked_text_trains_the_encoder_and_its_embeddings(
    mini_encoder: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = masked(mini_encoder, tokenizer, tmp_path)
    both = MultiTaskModel(parts(mini_encoder, Full(kind="full")), text)
    before = {name: tensor.clone() for name, tensor in both.named_parameters()}
    monkeypatch.setattr(multitask, "order_of_steps", lambda *given: np.full(4, MASKED))
    histories = fit_multitask(both, text, 1.0, title="t")
    changed = moved(before, dict(both.named_parameters()))
    assert not any(".a.head." in name or ".b.head." in name for name in changed)
    assert "models.a.encoder.embeddings.word_embeddings.weight" in changed
    assert {"masked_head.bias", "masked_head.dense.weight"} <= changed
    assert [
        name for name in dict(both.named_parameters()) if "decoder" in name
    ] == []  # the output matrix is the embeddings
    assert histories[MASKED_NAME].steps == 4
    assert histories[MASKED_NAME].losses[-1] < histories[MASKED_NAME].losses[0] + 0.5
    assert both.shared().keys() == {n for n in both.parts[0].model.trainable if n.startswith("encoder.")}


def test_masked_text_moves_the_adapter_and_not_the_encoder(
    mini_encoder: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = masked(mini_encoder, tokenizer, tmp_path)
    both = MultiTaskModel(parts(mini_encoder), text)
    before = {name: tensor.clone() for name, tensor in both.named_parameters()}
    monkeypatch.setattr(multitask, "order_of_steps", lambda *given: np.full(4, MASKED))
    fit_multitask(both, text, 1.0, title="t")
    changed = moved(before, dict(both.named_parameters()))
    encoder = {name for name in changed if not name.startswith("masked_head.")}
    assert encoder and all(".adapters.task." in name for name in encoder)


def test_the_best_epoch_has_the_highest_mean_score(mini_encoder: Path) -> None:
    # epoch means: (10 + 40) / 2 = 25, (60 + 20) / 2 = 40, (50 + 25) / 2 = 37.5
    given = {"a": [10.0, 60.0, 50.0], "b": [40.0, 20.0, 25.0]}
    seen: list[dict[str, torch.Tensor]] = []
    made: list[MixtureTask] = []

    def scorer(name: str) -> Callable[[], float]:
        left = iter(given[name])

        def score() -> float:
            if name == "b":
                seen.append(MultiTaskModel(made, None).shared())
            return next(left)

        return score

    for part in parts(mini_encoder, epochs=3):
        made.append(MixtureTask(part.name, part.model, part.features, part.examples, part.settings, scorer(part.name)))
    both = MultiTaskModel(made, None)
    histories = fit_multitask(both, None, 1.0, title="t")
    assert histories["a"].dev_scores == given["a"] and histories["b"].dev_scores == given["b"]
    assert {history.best_epoch for history in histories.values()} == {1}
    kept = both.shared()
    assert all(torch.equal(kept[name], seen[1][name]) for name in kept)
    assert not all(torch.equal(kept[name], seen[2][name]) for name in kept)


def test_without_development_data_the_last_epoch_is_kept(mini_encoder: Path) -> None:
    made = [MixtureTask(p.name, p.model, p.features, p.examples, p.settings, None) for p in parts(mini_encoder)]
    histories = fit_multitask(MultiTaskModel(made, None), None, 1.0, title="t")
    assert {history.best_epoch for history in histories.values()} == {1}
    assert sum(history.steps for history in histories.values()) == 2 * (3 + 1)


def test_the_same_seed_gives_the_same_weights(mini_encoder: Path) -> None:
    def trained() -> dict[str, torch.Tensor]:
        both = MultiTaskModel(parts(mini_encoder), None)
        fit_multitask(both, None, 1.0, title="t")
        return both.shared()

    first, second = trained(), trained()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_layers_are_unfrozen_in_a_mixture_too(mini_encoder: Path) -> None:
    both = MultiTaskModel(parts(mini_encoder, counts=(12, 6)), None)
    schedule = Gradual(GradualUnfreezing(kind="gradual"), 4, 1)
    histories = fit_multitask(both, None, 1.0, title="t", schedule=schedule)
    assert [entry.layer for entry in histories["a"].unfrozen] == [1, 0]


def test_heads_are_counted_and_the_encoder_once(mini_encoder: Path) -> None:
    made = parts(mini_encoder)
    trained, total = MultiTaskModel(made, None).parameter_counts()
    one: TransferModel = made[0].model
    head = sum(parameter.numel() for parameter in one.head.parameters())
    assert (trained, total) == tuple(number + head for number in one.parameter_counts())


def test_an_empty_part_and_a_loss_that_is_not_finite_are_input_errors(mini_encoder: Path) -> None:
    a, b = parts(mini_encoder)
    empty = MixtureTask("b", b.model, [], 0, b.settings, None)
    with pytest.raises(InputError, match="t: expected training examples of b, got none"):
        fit_multitask(MultiTaskModel([a, empty], None), None, 1.0, title="t")
    with torch.no_grad():
        a.model.head.out.bias.fill_(math.nan)  # type: ignore[union-attr, operator]
    with pytest.raises(InputError, match="t: loss nan at step 0"):
        fit_multitask(MultiTaskModel([a], None), None, 1.0, title="t")
