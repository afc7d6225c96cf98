from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from xlt.config.regimes import Bottleneck, Full, LoRA, Tuning
from xlt.data.features import Feature
from xlt.data.records import Pair
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.families.classification import pair_features
from xlt.modeling.model import TransferModel, build_model
from xlt.training.multitask import fit
from xlt.training.trainer import TrainingArguments, constant_schedule, linear_schedule, make_optimizer

FULL = Full(kind="full")
ADAPTER = Bottleneck(kind="bottleneck", reduction_factor=4)
LORA = LoRA(kind="lora", rank=2, alpha=4)
TUNINGS = pytest.mark.parametrize("tuning", [FULL, ADAPTER, LORA], ids=["full", "adapter", "lora"])


def settings(**changes: Any) -> TrainingArguments:
    given: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 0.01,
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": 1,
    }
    return TrainingArguments(**{**given, **changes})


def model(path: Path, tuning: Tuning = ADAPTER, seed: int = 1) -> TransferModel:
    return build_model(path, family=FAMILIES["classification"], labels=2, tuning=tuning, pooling="mean", seed=seed)


@pytest.fixture(scope="module")
def features(tokenizer: Any) -> list[Feature]:
    animals = ("cat", "dog", "bird", "fish")
    records = [
        Pair(f"{first}{second}", f"the {first}", f"a {second} ran", "yes" if first in ("cat", "fish") else "no")
        for first in animals
        for second in animals[:3]
    ]
    return pair_features(records, tokenizer, ["no", "yes"], 32)


def test_linear_schedule_by_hand() -> None:
    assert [linear_schedule(step, 4, 0) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    # two steps up, then from 1 down to 0 over the four that are left
    assert [linear_schedule(step, 6, 2) for step in range(7)] == [0.5, 1, 1, 0.75, 0.5, 0.25, 0]


def test_a_constant_rate_stays_after_the_warm_up(mini_encoder: Path, features: list[Feature], monkeypatch: Any) -> None:
    assert [constant_schedule(step, 2) for step in range(4)] == [0.5, 1, 1, 1]
    assert constant_schedule(0, 0) == 1
    rates = []

    class Watch(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Watch)
    fit(model(mini_encoder), features, settings(epochs=2, batch_size=6, decay="constant"), None, title="t")
    assert rates == 4 * [settings().learning_rate]


def test_biases_and_norms_are_not_decayed(mini_encoder: Path) -> None:
    whole = model(mini_encoder, FULL)
    optimizer = make_optimizer(whole.trained_parameters(), settings(weight_decay=0.1))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in whole.named_parameters():
        assert decay[id(parameter)] == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.1), name


@TUNINGS
def test_exactly_the_trainable_parameters_change(mini_encoder: Path, features: list[Feature], tuning: Tuning) -> None:
    trained = model(mini_encoder, tuning)
    before = {name: p.detach().clone() for name, p in trained.named_parameters()}
    trainable = {name for name, p in trained.named_parameters() if p.requires_grad}
    fit(trained, features, settings(), None, title="t")
    changed = {name for name, p in trained.named_parameters() if not torch.equal(p, before[name])}
    assert changed == trainable
    assert (trainable == set(before)) == (tuning is FULL)


def test_the_loss_falls_and_steps_are_counted(mini_encoder: Path, features: list[Feature]) -> None:
    history = fit(
        model(mini_encoder, FULL), features, settings(epochs=30, batch_size=5, learning_rate=0.02), None, title="t"
    )
    assert history.steps == 30 * 3  # 12 examples in batches of 5, 5 and 2
    assert len(history.losses) == 30
    assert history.losses[-1] < 0.5 * history.losses[0]
    assert history.best_epoch == 29
    assert history.dev_scores == []


@TUNINGS
def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    mini_encoder: Path, features: list[Feature], tuning: Tuning
) -> None:
    def run(seed: int) -> dict[str, torch.Tensor]:
        trained = model(mini_encoder, tuning, seed)
        fit(trained, features, settings(seed=seed), None, title="t")
        torch.rand(3)  # what a run leaves behind must not matter to the next
        return trained.trained_state()

    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first if name.startswith("encoder."))
    assert not torch.equal(first["head.out.weight"], other["head.out.weight"])


def test_the_loop_seeds_itself(mini_encoder: Path, features: list[Feature]) -> None:
    # dropout and order depend on the loop's seed alone, not on what was drawn before it
    states = []
    for drawn, seed in ((0, 1), (5, 1), (0, 2)):
        trained = model(mini_encoder)
        torch.rand(drawn)
        fit(trained, features, settings(seed=seed), None, title="t")
        states.append(trained.trained_state()["head.out.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@TUNINGS
@pytest.mark.parametrize(("scores", "best"), [([10.0, 30.0, 20.0], 1), ([30.0, 30.0, 10.0], 0), ([1.0, 2.0, 3.0], 2)])
def test_the_best_epoch_is_restored(
    mini_encoder: Path, features: list[Feature], tuning: Tuning, scores: list[float], best: int
) -> None:
    trained = model(mini_encoder, tuning)
    seen: list[dict[str, torch.Tensor]] = []

    def evaluate() -> float:
        seen.append(trained.trained_state())
        trained.eval()  # as prediction does; the next epoch must train with dropout again
        return scores[len(seen) - 1]

    history = fit(trained, features, settings(epochs=3), evaluate, title="t")
    assert (history.dev_scores, history.best_epoch) == (scores, best)
    final = trained.trained_state()
    assert all(torch.equal(final[name], seen[best][name]) for name in final)
    assert not torch.equal(seen[0]["head.out.weight"], seen[2]["head.out.weight"])


def test_the_last_epoch_may_be_kept(mini_encoder: Path, features: list[Feature]) -> None:
    trained = model(mini_encoder)
    seen: list[dict[str, torch.Tensor]] = []

    def evaluate() -> float:
        seen.append(trained.trained_state())
        return [30.0, 10.0][len(seen) - 1]

    history = fit(trained, features, settings(epochs=2, checkpoint="last"), evaluate, title="t")
    assert (history.dev_scores, history.best_epoch) == ([30.0, 10.0], 1)
    final = trained.trained_state()
    assert all(torch.equal(final[name], seen[1][name]) for name in final)


@TUNINGS
def test_the_mean_of_all_epochs_may_be_kept(mini_encoder: Path, features: list[Feature], tuning: Tuning) -> None:
    trained = model(mini_encoder, tuning)
    seen: list[dict[str, torch.Tensor]] = []

    def evaluate() -> float:
        seen.append(trained.trained_state())
        return [30.0, 10.0, 20.0][len(seen) - 1]

    history = fit(trained, features, settings(epochs=3, checkpoint="average"), evaluate, title="t")
    assert (history.dev_scores, history.best_epoch) == ([30.0, 10.0, 20.0], 2)
    for name, tensor in trained.trained_state().items():
        mean = torch.stack([state[name].double() for state in seen]).mean(0)
        assert torch.allclose(tensor.double(), mean, rtol=0, atol=1e-7), name
    assert not torch.allclose(seen[0]["head.out.weight"], seen[2]["head.out.weight"], atol=1e-4)


def test_an_average_needs_no_development_data(mini_encoder: Path, features: list[Feature]) -> None:
    averaged, last = model(mini_encoder), model(mini_encoder)
    fit(averaged, features, settings(epochs=2, checkpoint="average"), None, title="t")
    fit(last, features, settings(epochs=2), None, title="t")
    weights = [each.trained_state()["head.out.weight"] for each in (averaged, last)]
    assert not torch.equal(*weights)


def test_evaluation_between_epochs_does_not_change_training(mini_encoder: Path, features: list[Feature]) -> None:
    states = []
    for evaluated in (False, True):
        trained = model(mini_encoder)
        scores = iter(range(1, 9))

        def evaluate(trained: TransferModel = trained, scores: Any = scores) -> float:
            trained.eval()
            return float(next(scores))

        fit(trained, features, settings(), evaluate if evaluated else None, title="t")
        states.append(trained.trained_state())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(("capped", "warmup"), [(True, 2), (False, 500)])
def test_warm_up_is_as_published_and_at_most_a_tenth_of_a_capped_training(
    mini_encoder: Path, features: list[Feature], monkeypatch: pytest.MonkeyPatch, capped: bool, warmup: int
) -> None:
    seen = []

    def schedule(step: int, total: int, warmup: int) -> float:
        seen.append((step, total, warmup))
        return linear_schedule(step, total, warmup)

    monkeypatch.setattr("xlt.training.trainer.linear_schedule", schedule)
    asked = settings(epochs=10, batch_size=6, warmup_steps=500, capped=capped)
    fit(model(mini_encoder), features, asked, None, title="t")
    # 12 examples, batches of 6, 10 epochs: 20 steps
    assert set(seen) == {(step, 20, warmup) for step in range(20)}


def test_a_warm_up_longer_than_the_training_never_stops_rising() -> None:
    assert [linear_schedule(step, 3, 500) for step in range(3)] == [1 / 500, 2 / 500, 3 / 500]


def test_a_learning_rate_of_almost_nothing_changes_almost_nothing(mini_encoder: Path, features: list[Feature]) -> None:
    trained = model(mini_encoder)
    before = trained.trained_state()
    fit(trained, features, settings(learning_rate=1e-9), None, title="t")
    assert all(torch.allclose(before[name], p, atol=1e-7) for name, p in trained.trained_state().items())


def test_gradients_are_clipped(mini_encoder: Path, features: list[Feature], monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []

    class Watch(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            norms.append(math.sqrt(sum(float(grad.pow(2).sum()) for grad in grads)))
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Watch)
    fit(model(mini_encoder), features, settings(max_grad_norm=0.01), None, title="t")
    assert norms
    assert max(norms) == pytest.approx(0.01, rel=1e-3)


def test_a_loss_that_is_not_finite_is_an_input_error(mini_encoder: Path, features: list[Feature]) -> None:
    broken = model(mini_encoder)
    with torch.no_grad():
        broken.head.out.bias[0] = math.nan  # type: ignore[union-attr, index, operator]
    with pytest.raises(
        InputError, match=r"mnli: loss nan at step 0 \(gradient norm nan; training examples 4, 6, 9, 12\); try"
    ):
        fit(broken, features, settings(), None, title="mnli")


def test_nothing_to_train_on_is_an_input_error(mini_encoder: Path) -> None:
    with pytest.raises(InputError, match="expected training examples, got none"):
        fit(model(mini_encoder), [], settings(), None, title="t")
