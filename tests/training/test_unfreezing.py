"""Which layers train when, and that what is frozen neither moves nor costs anything."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from xlt.config.regimes import Bottleneck, Frozen, Full, LoRA, Regime, Tuning
from xlt.config.schedules import FisherUnfreezing, GradualUnfreezing
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.files import read_json
from xlt.layout import TRAINED
from xlt.modeling.model import TransferModel
from xlt.modeling.tuning import attach
from xlt.pipeline.context import Context
from xlt.pipeline.train_run import train
from xlt.training.fisher import Labels, fisher_traces
from xlt.training.registry import make_schedule
from xlt.training.trainer import TrainingArguments, fit
from xlt.training.unfreezing import Fisher, Gradual, outside_layers, trained_layers

LAYERS = 4
FULL = Full(kind="full")
ADAPTER = Bottleneck(kind="bottleneck", reduction_factor=4)
LORA = LoRA(kind="lora", rank=2, alpha=4)
TUNINGS = pytest.mark.parametrize("tuning", [FULL, ADAPTER, LORA], ids=["full", "adapter", "lora"])
FEATURES = [
    Feature(0, rows=[[0, 10 + i, 20 + i, 30 + i % 3, 2][: 4 + i % 2]], types=[[0] * (4 + i % 2)], target=i % 2)
    for i in range(12)
]


def build(tuning: Tuning = ADAPTER, family: str = "classification") -> TransferModel:
    """Four layers of width 16, drawn at random."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(1)
    config = XLMRobertaConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        type_vocab_size=1,
        pad_token_id=1,
    )
    encoder = XLMRobertaModel(config, add_pooling_layer=False)
    attach(encoder, tuning)
    return TransferModel(encoder, FAMILIES[family].head(16, 2, 0.1), FAMILIES[family], "mean")


def settings(**changes: Any) -> TrainingArguments:
    given: dict[str, Any] = {
        "epochs": 4,
        "batch_size": 4,
        "learning_rate": 0.01,
        "warmup_steps": 0,
        "weight_decay": 0.1,
        "max_grad_norm": 1.0,
        "seed": 1,
    }
    return TrainingArguments(**{**given, **changes})


def gradual(interval: int, share: float = 0.9) -> Gradual:
    return Gradual(GradualUnfreezing(kind="gradual", share=share), interval, 1)


def fisher(interval: int, share: float = 0.9, labels: Labels = "gold", batches: int = 1) -> Fisher:
    return Fisher(FisherUnfreezing(kind="fisher", share=share, labels=labels, batches=batches), interval, 1)


def the_same(count: int) -> list[list[Feature]]:
    """The batches to come where every one is all examples."""
    return count * [FEATURES]


def open_layers(model: TransferModel) -> list[int]:
    """The layers all of whose trained parameters require gradients; no layer may be half open."""
    found = []
    for number, parameters in trained_layers(model).items():
        assert len({p.requires_grad for p in parameters}) == 1
        found += [number] if parameters[0].requires_grad else []
    return found


@TUNINGS
def test_every_trained_parameter_is_of_a_layer_or_outside_or_of_the_head(tuning: Tuning) -> None:
    model = build(tuning)
    layers = trained_layers(model)
    assert list(layers) == list(range(LAYERS))
    assert len({len(parameters) for parameters in layers.values()}) == 1
    head = list(model.head.parameters())
    assert sum(map(len, layers.values())) + len(outside_layers(model)) + len(head) == len(model.trainable)
    # outside, with full fine-tuning: word, position and type embeddings, and their layer norm's weight and bias
    assert len(outside_layers(model)) == (5 if tuning is FULL else 0)


@TUNINGS
def test_gradual_goes_from_the_top_down_one_layer_per_interval(tuning: Tuning) -> None:
    model, schedule = build(tuning), gradual(3)
    seen, outside = [], []
    for step in range(12):
        schedule.before_step(model, the_same, step, 100)
        seen.append(open_layers(model))
        outside.append(all(p.requires_grad for p in outside_layers(model)))
        assert all(p.requires_grad for p in model.head.parameters())
    assert seen == 3 * [[3]] + 3 * [[2, 3]] + 3 * [[1, 2, 3]] + 3 * [[0, 1, 2, 3]]
    if tuning is FULL:
        assert outside == 9 * [False] + 3 * [True]  # the embeddings come with the lowest layer
    assert [(entry.step, entry.layer, entry.trace) for entry in schedule.unfrozen] == [
        (0, 3, None), (3, 2, None), (6, 1, None), (9, 0, None)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "share", "total", "expected"),
    [
        (100, 0.5, 60, [0, 10, 20, 30]),  # 3 gaps in half of 60 steps: 10 each
        (100, 0.5, 61, [0, 11, 21, 31]),  # 10.17 each: the first whole step after 10.17, 20.33, 30.5
        (8, 0.5, 60, [0, 8, 16, 24]),  # enough steps: as configured
        (100, 0.25, 60, [0, 5, 10, 15]),
        (100, 0.5, 3, [0, 1, 1, 2]),  # gaps of half a step: 0, 0.5, 1, 1.5
    ],
)
def test_a_short_training_unfreezes_evenly_within_its_share(
    interval: int, share: float, total: int, expected: list[int]
) -> None:
    model, schedule = build(), gradual(interval, share)
    for step in range(total):
        schedule.before_step(model, the_same, step, total)
    assert [entry.step for entry in schedule.unfrozen] == expected
    assert [entry.layer for entry in schedule.unfrozen] == [3, 2, 1, 0]


@TUNINGS
def test_frozen_parameters_do_not_move_decay_or_cost_and_start_afresh(tuning: Tuning) -> None:
    model = build(tuning)
    states: list[dict[str, Tensor]] = []
    with_grad: list[set[str]] = []

    class Watch(Gradual):
        def before_step(self, model: TransferModel, upcoming: Any, step: int, total: int) -> None:
            states.append(model.trained_state())
            with_grad.append({n for n, p in model.trained_parameters().items() if p.grad is not None})
            super().before_step(model, upcoming, step, total)

    schedule = Watch(GradualUnfreezing(kind="gradual", share=0.9), 3, 1)
    history = fit(model, FEATURES, settings(), None, title="t", schedule=schedule)
    states.append(model.trained_state())
    assert history.unfrozen == schedule.unfrozen
    joined = {entry.layer: entry.step for entry in history.unfrozen}
    assert joined == {3: 0, 2: 3, 1: 6, 0: 9}
    for name in model.trainable:
        number = next((n for n in range(LAYERS) if f".layer.{n}." in name), None)
        first = 0 if name.startswith("head.") else 9 if number is None else joined[number]
        moved = [not torch.equal(before[name], after[name]) for before, after in itertools.pairwise(states)]
        assert moved == first * [False] + (12 - first) * [True], name  # a decay of 0.1 would show before
        assert not any(name in names for names in with_grad[: first + 1])


def test_the_optimizer_s_moments_start_when_a_layer_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[torch.optim.AdamW] = []
    original = torch.optim.AdamW

    def make(*given: Any, **more: Any) -> torch.optim.AdamW:
        kept.append(original(*given, **more))
        return kept[-1]

    monkeypatch.setattr(torch.optim, "AdamW", make)
    model = build()
    fit(model, FEATURES, settings(), None, title="t", schedule=gradual(3))
    (optimizer,) = kept
    layers = trained_layers(model)
    counts = {number: {int(optimizer.state[p]["step"]) for p in parameters} for number, parameters in layers.items()}
    assert counts == {3: {12}, 2: {9}, 1: {6}, 0: {3}}


def graph_layers(model: TransferModel) -> set[int]:
    """The layers whose output is part of the graph of the loss."""
    found = set()
    hooks = []
    for number, layer in enumerate(model.encoder.encoder.layer):

        def note(module: Any, given: Any, out: Any, number: int = number) -> None:
            state = out[0] if isinstance(out, tuple) else out
            if state.requires_grad:
                found.add(number)

        hooks.append(layer.register_forward_hook(note))
    for part in model.family.losses(model, FEATURES, 1024):
        part()
    for hook in hooks:
        hook.remove()
    return found


@TUNINGS
def test_autograd_stops_below_the_lowest_unfrozen_layer(tuning: Tuning) -> None:
    model, schedule = build(tuning), gradual(1)
    graphs = []
    for step in range(4):
        schedule.before_step(model, the_same, step, 100)
        graphs.append(graph_layers(model))
    assert graphs == [{3}, {2, 3}, {1, 2, 3}, {0, 1, 2, 3}]


def by_hand(model: TransferModel, features: list[Feature]) -> dict[int, float]:
    """Mean over examples of the squared gradient of the example's own loss, without dropout."""
    model.eval()
    traces = dict.fromkeys(range(LAYERS), 0.0)
    for feature in features:
        model.zero_grad(set_to_none=True)
        model.family.loss_sum(model, [feature]).backward()
        for number, parameters in trained_layers(model).items():
            traces[number] += sum(float((p.grad**2).sum()) for p in parameters if p.grad is not None) / len(features)
    model.zero_grad(set_to_none=True)
    model.train()
    return traces


@TUNINGS
def test_the_fisher_trace_is_the_mean_squared_gradient_of_each_example(tuning: Tuning) -> None:
    model = build(tuning)
    expected = by_hand(model, FEATURES)
    given = fisher_traces(model, [FEATURES], trained_layers(model), "gold", "1")
    assert given == pytest.approx(expected, rel=1e-4)
    assert min(given.values()) > 0
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_fisher_begins_with_the_top_layer_and_takes_the_largest_trace_each_time() -> None:
    model, schedule = build(), fisher(5)
    with torch.no_grad():  # the adapters of layers 0 and 1 see their gradient through a larger up-projection
        for number, factor in ((0, 40.0), (1, 10.0)):
            for name, parameter in model.trained_parameters().items():
                if f".layer.{number}." in name and "adapter_up.weight" in name:
                    parameter.mul_(factor)
    traces = by_hand(model, FEATURES)  # nothing is trained here: the same at every step
    expected: list[Any] = [(0, 3, None)]
    left = set(range(LAYERS)) - {3}
    for step in range(16):
        if step in (5, 10, 15):
            best = max(left, key=lambda n: traces[n])
            left.remove(best)
            expected.append((step, best, pytest.approx(traces[best], rel=1e-4)))
        schedule.before_step(model, the_same, step, 1000)
        assert set(open_layers(model)) == set(range(LAYERS)) - left
    assert [(entry.step, entry.layer, entry.trace) for entry in schedule.unfrozen] == expected
    assert [entry.layer for entry in schedule.unfrozen] != [3, 2, 1, 0]


@pytest.mark.parametrize(("interval", "batches", "read"), [(5, 3, 3), (5, 41, 5), (1, 41, 1)])
def test_a_measurement_reads_as_many_batches_as_asked_but_no_more_than_an_interval_has(
    interval: int, batches: int, read: int
) -> None:
    asked: list[int] = []

    def upcoming(count: int) -> list[list[Feature]]:
        asked.append(count)
        return count * [FEATURES[:2]]

    model, schedule = build(), fisher(interval, labels="sampled", batches=batches)
    for step in range(interval + 1):
        schedule.before_step(model, upcoming, step, 1000)
    assert asked == [read]


def test_the_batches_measured_are_those_that_are_trained_on_next() -> None:
    seen: list[list[int]] = []
    promised: dict[int, list[list[int]]] = {}

    class Watch(Fisher):
        def before_step(self, model: TransferModel, upcoming: Any, step: int, total: int) -> None:
            promised[step] = [[feature.rows[0][1] for feature in batch] for batch in upcoming(4)]
            seen.append(promised[step][0])
            super().before_step(model, upcoming, step, total)

    schedule = Watch(FisherUnfreezing(kind="fisher", share=0.9, batches=4), 3, 1)
    fit(build(), FEATURES, settings(), None, title="t", schedule=schedule)  # 3 batches an epoch, 4 epochs
    assert sorted(token for batch in seen[:3] for token in batch) == [10 + i for i in range(12)]
    assert promised[1] == seen[1:5]  # two of this epoch, two of the next


def test_the_interval_is_that_of_the_training_set() -> None:
    given = {"kind": "gradual", "interval": {"squad": 100, "mnli": 800, "copa": 1000, "default": 800}}
    regime = Regime.model_validate(
        {"name": "x", "title": "x", "description": "x", "tuning": {"kind": "lora"}, "unfreezing": given}
    )
    found = {name: make_schedule(regime, name, 1) for name in ("squad", "copa", "udpos")}
    assert {name: schedule.steps for name, schedule in found.items() if isinstance(schedule, Gradual)} == {
        "squad": 100, "copa": 1000, "udpos": 800
    }  # fmt: skip


def test_measuring_fisher_draws_no_random_numbers() -> None:
    model, schedule = build(), fisher(5, labels="sampled", batches=2)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    schedule.before_step(model, the_same, 0, 1000)
    schedule.before_step(model, the_same, 5, 1000)
    assert torch.equal(torch.rand(4), expected)


@TUNINGS
@pytest.mark.parametrize("make", [gradual, fisher])
def test_the_same_seed_gives_the_same_order_and_weights(tuning: Tuning, make: Callable[..., Any]) -> None:
    runs = []
    for _ in range(2):
        model = build(tuning)
        history = fit(model, FEATURES, settings(), None, title="t", schedule=make(2))
        runs.append((history.unfrozen, model.trained_state()))
    assert runs[0][0] == runs[1][0]
    assert len(runs[0][0]) == LAYERS
    assert set(runs[0][1]) == model.trainable
    assert all(torch.equal(runs[0][1][name], runs[1][1][name]) for name in runs[0][1])


def test_a_dual_encoder_s_batch_counts_as_one_example() -> None:
    model = build(family="lareqa")
    features = [
        Feature(0, rows=[[0, 10 + i, 2], [0, 20 + i, 30, 2]], types=[[0] * 3, [0] * 4], target=0) for i in range(3)
    ]
    model.eval()
    (part,) = model.family.losses(model, features, 1024)
    part().backward()
    layers = trained_layers(model)
    expected = {n: sum(float((p.grad**2).sum()) for p in ps if p.grad is not None) for n, ps in layers.items()}
    model.zero_grad(set_to_none=True)
    assert fisher_traces(model, [features], layers, "sampled", "1") == pytest.approx(expected, rel=1e-4)


def test_a_schedule_that_is_first_asked_later_catches_up() -> None:
    model, schedule = build(), gradual(3)  # a mixture may start with batches of masked text
    schedule.before_step(model, the_same, 4, 100)
    assert open_layers(model) == [2, 3]
    assert [(entry.step, entry.layer) for entry in schedule.unfrozen] == [(4, 3), (4, 2)]


def test_nothing_to_unfreeze_is_an_input_error() -> None:
    with pytest.raises(InputError, match="expected trained parameters in the encoder's layers"):
        gradual(3).before_step(build(Frozen(kind="frozen")), the_same, 0, 10)


@pytest.mark.parametrize("regime", ["adapter-gradual", "adapter-fisher", "full-gradual", "lora-gradual"])
def test_a_run_records_the_order(open_run: Callable[[str], Context], regime: str) -> None:
    context = open_run(f"{regime}/udpos/seed-1")
    model = train(context)
    recorded = read_json(context.folder / TRAINED)["stages"]["udpos"]["unfrozen"]
    assert recorded[0]["step"] == 0
    assert recorded[0]["trace"] is None  # the top layer is open from the start
    assert all((entry["trace"] is not None) == (regime == "adapter-fisher") for entry in recorded[1:])
    assert set(model.trained_state()) == model.trainable


def test_a_run_without_a_schedule_records_none(open_run: Callable[[str], Context]) -> None:
    context = open_run("adapter/udpos/seed-1")
    train(context)
    assert read_json(context.folder / TRAINED)["stages"]["udpos"]["unfrozen"] == []
