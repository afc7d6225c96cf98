"""What each way of tuning trains, and the traps of the adapters library that matter here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from adapters.methods.reft import ReftUnit

from xlt.config.regimes import IA3, Bottleneck, DoRA, Frozen, Full, Head, LoRA, LoReFT, Prefix, Tuning
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.modeling.collate import pad_rows
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.tuning import merged
from xlt.training.trainer import TrainingArguments, make_optimizer

FULL = Full(kind="full")
FROZEN = Frozen(kind="frozen")
LORA = LoRA(kind="lora", rank=4, alpha=8)
PFEIFFER = Bottleneck(kind="bottleneck", placement="pfeiffer", reduction_factor=4)
HOULSBY = Bottleneck(kind="bottleneck", placement="houlsby", reduction_factor=4)
PARALLEL = Bottleneck(kind="bottleneck", placement="parallel", reduction_factor=4)
DORA = DoRA(kind="dora", rank=4, alpha=4)
SCALED = IA3(kind="ia3")
PREFIX = Prefix(kind="prefix", length=5)
LOREFT = LoReFT(kind="loreft", rank=2, positions=3)
ADDED: list[Tuning] = [PFEIFFER, HOULSBY, PARALLEL, LORA, DORA, SCALED, PREFIX, LOREFT]
MARK = {"lora": ".loras.task.", "dora": ".loras.task.", "ia3": ".loras.task.lora_B", "prefix": ".prefix_tunings.task."}
WIDTH, INNER, LAYERS = 16, 32, 2  # of the miniature encoder
ARGUMENTS = TrainingArguments(1, 4, 0.05, 0, weight_decay=0.1, max_grad_norm=1.0, seed=1)


def build(path: Path, tuning: Tuning, *, family: str = "classification", seed: int = 1) -> TransferModel:
    return build_model(path, family=FAMILIES[family], labels=3, tuning=tuning, pooling="mean", seed=seed)


def trainable(model: TransferModel) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def rows() -> Any:
    ids = [[0, 50, 60, 70, 2], [0, 80, 2]]
    return pad_rows(ids, [[0] * len(row) for row in ids], 1)


def hidden(model: TransferModel) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval().hidden(rows())


def test_full_trains_everything(mini_encoder: Path) -> None:
    model = build(mini_encoder, FULL)
    assert set(trainable(model)) == {name for name, _ in model.named_parameters()}


def test_frozen_trains_nothing(mini_encoder: Path) -> None:
    model = build(mini_encoder, FROZEN, family="tatoeba")
    assert trainable(model) == {}
    assert model.parameter_counts()[0] == 0
    assert model.trained_state() == {}


@pytest.mark.parametrize("tuning", ADDED, ids=lambda tuning: getattr(tuning, "placement", tuning.kind))
def test_only_what_was_added_and_this_model_s_own_head_train(mini_encoder: Path, tuning: Tuning) -> None:
    # Trap 7 of the library: its own heads all stay trainable. Here there is one head, the project's.
    model = build(mini_encoder, tuning)
    names = set(trainable(model))
    head = {name for name in names if name.startswith("head.")}
    assert head == {f"head.{part}.{kind}" for part in ("dense", "out") for kind in ("weight", "bias")}
    mark = MARK.get(tuning.kind, ".task.")
    assert names - head
    assert all(name.startswith("encoder.") and mark in name for name in names - head)
    assert not hasattr(model.encoder, "heads")


def test_parameter_counts_by_hand(mini_encoder: Path) -> None:
    head = WIDTH * WIDTH + WIDTH + 3 * WIDTH + 3
    down = WIDTH // 4
    one = 2 * WIDTH * down + down + WIDTH  # down and up projection with biases
    assert build(mini_encoder, PFEIFFER).parameter_counts()[0] == LAYERS * one + head
    assert build(mini_encoder, HOULSBY).parameter_counts()[0] == 2 * LAYERS * one + head
    assert build(mini_encoder, LORA).parameter_counts()[0] == LAYERS * 2 * 2 * 4 * WIDTH + head  # q, v; A, B; rank 4
    assert build(mini_encoder, DORA).parameter_counts()[0] == LAYERS * 2 * (2 * 4 * WIDTH + WIDTH) + head  # and lengths
    assert (
        build(mini_encoder, SCALED).parameter_counts()[0] == LAYERS * (2 * WIDTH + INNER) + head
    )  # keys, values, inner
    assert build(mini_encoder, PREFIX).parameter_counts()[0] == LAYERS * 2 * 5 * WIDTH + head  # keys, values; length 5
    assert build(mini_encoder, LOREFT).parameter_counts()[0] == LAYERS * 2 * (2 * WIDTH + 1) + head  # R, W, b; rank 2
    trained, total = build(mini_encoder, FULL).parameter_counts()
    assert trained == total
    wide = LoRA(kind="lora", rank=4, alpha=8, targets=["q", "k", "v", "intermediate", "output"])
    assert build(mini_encoder, wide).parameter_counts()[0] == LAYERS * 4 * (3 * 2 * WIDTH + 2 * (WIDTH + INNER)) + head


@pytest.mark.parametrize("tuning", ADDED, ids=lambda tuning: getattr(tuning, "placement", tuning.kind))
def test_what_was_added_is_active_in_the_forward_pass(mini_encoder: Path, tuning: Tuning) -> None:
    # Trap 13: an adapter that is not activated only logs a warning, and the bare encoder runs.
    model = build(mini_encoder, tuning)
    before = hidden(model)
    changed = 0
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            if not name.startswith("head.") and ".parametrizations." not in name:
                parameter.add_(torch.randn_like(parameter))  # some start at zero
                changed += 1
    assert changed >= (1 if tuning == PREFIX else LAYERS)
    assert (hidden(model) - before).abs().max() > 1e-4


@pytest.mark.parametrize("tuning", [LORA, DORA, SCALED], ids=lambda tuning: tuning.kind)
def test_these_start_as_the_identity(mini_encoder: Path, tuning: Tuning) -> None:
    assert torch.allclose(hidden(build(mini_encoder, tuning)), hidden(build(mini_encoder, FULL)), atol=1e-6)


def test_every_way_of_tuning_starts_from_the_same_head(mini_encoder: Path) -> None:
    # Trap 14: the library's default heads differ from transformers' ones.
    for family in ("classification", "choice", "tagging", "span"):
        heads = [build(mini_encoder, tuning, family=family).head.state_dict() for tuning in (FULL, *ADDED)]
        assert heads[0]
        for other in heads[1:]:
            assert list(other) == list(heads[0])
            assert all(torch.equal(other[name], heads[0][name]) for name in other)


def test_adding_an_adapter_leaves_the_random_numbers_of_the_run_alone(mini_encoder: Path) -> None:
    # Trap 9: the library may reseed the global generator; dropout and order would then differ between regimes.
    def after(tuning: Tuning, seed: int) -> list[float]:
        build(mini_encoder, tuning, seed=seed)
        return torch.rand(4).tolist()  # type: ignore[no-any-return]

    first = [after(tuning, 1) for tuning in (FULL, *ADDED)]
    assert all(drawn == first[0] for drawn in first)
    assert after(PFEIFFER, 2) != first[0]


@pytest.mark.parametrize("tuning", [PFEIFFER, LORA], ids=["bottleneck", "lora"])
def test_the_seed_draws_adapter_and_head(mini_encoder: Path, tuning: Tuning) -> None:
    first, again, other = (build(mini_encoder, tuning, seed=seed).trained_state() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    for part in ("encoder.", "head."):
        assert any(not torch.equal(first[name], other[name]) for name in first if name.startswith(part))


@pytest.mark.parametrize("tuning", ADDED, ids=lambda tuning: getattr(tuning, "placement", tuning.kind))
def test_training_leaves_the_encoder_alone_and_what_it_saves_predicts_the_same(
    mini_encoder: Path, tuning: Tuning
) -> None:
    model = build(mini_encoder, tuning)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if name not in model.trainable}
    optimizer = make_optimizer(model.trained_parameters(), ARGUMENTS)
    for _ in range(3):
        model.train().scores(rows()).pow(2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    parameters = dict(model.named_parameters())
    assert all(torch.equal(parameters[name], tensor) for name, tensor in frozen.items())
    other = build(mini_encoder, tuning, seed=2)  # everything that is drawn is another
    other.load_trained_state(model.trained_state(), with_head=True)
    with torch.inference_mode():
        assert torch.equal(other.eval().scores(rows()), model.eval().scores(rows()))


def test_loreft_by_hand_and_with_orthonormal_rows_after_training(mini_encoder: Path) -> None:
    model = build(mini_encoder, LOREFT)
    optimizer = make_optimizer(model.trained_parameters(), ARGUMENTS)  # with decay, which must leave R's size alone
    for _ in range(20):
        model.train().scores(rows()).pow(2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    unit = next(module for module in model.modules() if isinstance(module, ReftUnit)).eval()
    projection = unit.projection.weight
    assert torch.allclose(projection @ projection.T, torch.eye(2), atol=1e-5)
    state = torch.arange(float(WIDTH)) / WIDTH
    wanted = unit.learned_source.weight @ state + unit.learned_source.bias - projection @ state
    assert torch.allclose(unit(state), state + projection.T @ wanted, atol=1e-5)


def test_loreft_changes_the_first_positions_only(mini_encoder: Path) -> None:
    model = build(mini_encoder, LoReFT(kind="loreft", rank=2, positions=2))
    unit = [module for module in model.modules() if isinstance(module, ReftUnit)][-1]  # of the top layer
    before = hidden(model)
    with torch.no_grad():
        unit.learned_source.bias.add_(1.0)
    changed = (hidden(model) - before).abs().amax(-1) > 1e-4
    assert changed.tolist() == [[True, True, False, False, False]] * 2


def test_a_prefix_is_seen_by_every_row_whatever_its_padding(mini_encoder: Path) -> None:
    model = build(mini_encoder, PREFIX).eval()
    alone = pad_rows([[0, 80, 2]], [[0, 0, 0]], 1)
    with torch.inference_mode():
        assert torch.allclose(model.hidden(rows())[1, :3], model.hidden(alone)[0], atol=1e-5)
    assert (hidden(model) - hidden(build(mini_encoder, FULL))).abs().max() > 1e-3


def test_dora_by_hand(mini_encoder: Path) -> None:
    model = build(mini_encoder, DORA).eval()
    layer = next(module for name, module in model.named_modules() if name.endswith("layer.1.attention.self.value"))
    lora = layer.loras["task"]
    with torch.no_grad():
        lora.lora_B.normal_()
        lora.m.weight.mul_(2.0)
    matrix = layer.weight + lora.lora_B @ lora.lora_A
    matrix = lora.m.weight * matrix / matrix.norm(dim=1, keepdim=True)
    assert torch.allclose(matrix.norm(dim=1), 2 * layer.weight.norm(dim=1), atol=1e-5)
    with merged(model.encoder):
        assert torch.allclose(layer.weight, matrix, atol=1e-5)


HEAD_NAMES = {f"head.{part}.{kind}" for part in ("dense", "out") for kind in ("weight", "bias")}
ATTENTION = "attention.self.{}"
WHERE = {  # target: (module of a layer, inputs, outputs)
    "q": (ATTENTION.format("query"), WIDTH, WIDTH),
    "k": (ATTENTION.format("key"), WIDTH, WIDTH),
    "v": (ATTENTION.format("value"), WIDTH, WIDTH),
    "intermediate": ("intermediate.dense", WIDTH, INNER),
    "output": ("output.dense", INNER, WIDTH),
}


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("layers", [None, [0], [1], [1, 0]], ids=str)
@pytest.mark.parametrize("targets", [["q", "v"], ["k"], ["intermediate"], ["output", "q"], list(WHERE)], ids=str)
def test_lora_adds_exactly_these_tensors(mini_encoder: Path, rank: int, layers: Any, targets: Any) -> None:
    model = build(mini_encoder, LoRA(kind="lora", rank=rank, alpha=4, targets=targets, layers=layers))
    expected = {}
    for number in layers or range(LAYERS):
        for target in targets:
            module, inputs, outputs = WHERE[target]
            start = f"encoder.encoder.layer.{number}.{module}.loras.task.lora_"
            expected[f"{start}A"], expected[f"{start}B"] = (rank, inputs), (outputs, rank)
    given = {name: tuple(parameter.shape) for name, parameter in trainable(model).items()}
    assert {name: shape for name, shape in given.items() if name not in HEAD_NAMES} == expected
    assert set(given) - set(expected) == HEAD_NAMES
    assert not [name for name, _ in model.named_parameters() if "lora_" in name and name not in expected]


def test_a_layer_the_encoder_does_not_have_is_an_input_error(mini_encoder: Path) -> None:
    message = "tuning.layers: expected numbers from 0 to 1, got 2; the encoder has 2 layers"
    with pytest.raises(InputError, match=message):
        build(mini_encoder, LoRA(kind="lora", rank=2, alpha=4, layers=[0, 2]))


@pytest.mark.parametrize("tuning", [DORA, SCALED], ids=lambda tuning: tuning.kind)
def test_what_scales_rows_is_merged_with_the_bias(mini_encoder: Path, tuning: Tuning) -> None:
    model = build(mini_encoder, tuning).eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".loras.task." in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
            if name.endswith("bias") and not name.startswith("head."):
                parameter.add_(torch.randn_like(parameter))  # as released encoders have it
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        apart = model.scores(rows())
    with merged(model.encoder), torch.inference_mode():
        assert torch.allclose(model.scores(rows()), apart, atol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.inference_mode():
        assert torch.equal(model.scores(rows()), apart)


def trained_lora(path: Path, targets: Any, layers: Any = None) -> TransferModel:
    """A model whose updates are as large as those of a trained one, with dropout in them."""
    model = build(path, LoRA(kind="lora", rank=3, alpha=6, targets=targets, layers=layers, dropout=0.3))
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            if "lora_" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("targets", [["q", "v"], list(WHERE)], ids=str)
@pytest.mark.parametrize("layers", [None, [1]], ids=str)
def test_merged_lora_predicts_the_same_and_leaves_no_trace(mini_encoder: Path, targets: Any, layers: Any) -> None:
    model = trained_lora(mini_encoder, targets, layers)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        apart = model.scores(rows())
    with merged(model.encoder), torch.inference_mode():
        together = model.scores(rows())
        changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
        expected = {
            f"encoder.encoder.layer.{number}.{WHERE[target][0]}.weight"
            for number in layers or range(LAYERS)
            for target in targets
        }
        assert changed == expected
        assert model.trained_state().keys() == model.trainable
    assert torch.allclose(apart, together, atol=1e-5)
    assert torch.equal(apart.argmax(-1), together.argmax(-1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.inference_mode():
        assert torch.equal(model.scores(rows()), apart)
    bare = hidden(build(mini_encoder, FULL))
    assert (hidden(model) - bare).abs().max() > 0.01  # the updates do something


def test_a_merged_matrix_by_hand(mini_encoder: Path) -> None:
    model = trained_lora(mini_encoder, ["v"])
    parameters = dict(model.named_parameters())
    name = "encoder.encoder.layer.1.attention.self.value"
    released = parameters[f"{name}.weight"].detach().clone()
    update = parameters[f"{name}.loras.task.lora_B"] @ parameters[f"{name}.loras.task.lora_A"]
    with merged(model.encoder):
        assert torch.allclose(parameters[f"{name}.weight"], released + 6 / 3 * update, atol=1e-6)  # alpha / rank


def test_what_is_merged_comes_apart_after_an_error(mini_encoder: Path) -> None:
    model = trained_lora(mini_encoder, ["q"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(KeyError), merged(model.encoder):
        raise KeyError
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("tuning", [FULL, FROZEN, PFEIFFER], ids=["full", "frozen", "bottleneck"])
def test_without_lora_there_is_nothing_to_merge(mini_encoder: Path, tuning: Tuning) -> None:
    model = build(mini_encoder, tuning)
    before = hidden(model)
    with merged(model.encoder):
        assert torch.equal(hidden(model), before)


@pytest.mark.parametrize("family", ["classification", "choice", "tagging", "span"])
def test_head_only_trains_the_head_and_runs_the_encoder_without_a_graph(mini_encoder: Path, family: str) -> None:
    model = build(mini_encoder, Head(kind="head"), family=family)
    assert set(trainable(model)) == {name for name, _ in model.named_parameters() if name.startswith("head.")}
    assert model.trained_state().keys() == model.trainable
    states = model.train().hidden(rows())
    assert states.grad_fn is None and not states.requires_grad
    model.head(states).sum().backward()
    assert all((p.grad is not None) == name.startswith("head.") for name, p in model.named_parameters())
