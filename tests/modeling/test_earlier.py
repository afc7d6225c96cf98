"""Adapters of earlier runs in a new model: what is frozen, what is trained, and what the model computes at first."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from xlt.config.regimes import Bottleneck, LoRA, Tuning
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.modeling.collate import TokenBatch, pad_rows
from xlt.modeling.intermediate_adapters import IntermediateAdapters, fusion_penalty
from xlt.modeling.model import TransferModel, build_model

ADAPTER = Bottleneck(kind="bottleneck", reduction_factor=4)
State = dict[str, Tensor]


def model(
    path: Path, earlier: IntermediateAdapters | None = None, *, seed: int = 1, tuning: Tuning = ADAPTER
) -> TransferModel:
    return build_model(
        path, family=FAMILIES["classification"], labels=3, tuning=tuning, pooling="mean", seed=seed, earlier=earlier
    ).eval()


def trained_elsewhere(path: Path, seed: int, tuning: Tuning = ADAPTER) -> State:
    """The tensors of a run: an adapter that does something (a fresh one is close to the identity)."""
    torch.manual_seed(seed)
    state = model(path, seed=seed, tuning=tuning).trained_state()
    return {name: torch.randn(tensor.shape) * 0.3 for name, tensor in state.items()}


def rows() -> TokenBatch:
    return pad_rows([[0, 7, 8, 9, 2], [0, 11, 2]], [[0] * 5, [0] * 3], 1)


def states(given: TransferModel) -> Tensor:
    with torch.no_grad():
        return given.hidden(rows())


def named(given: TransferModel, part: str) -> State:
    return {name: p.detach().clone() for name, p in given.named_parameters() if part in name}


@pytest.mark.parametrize("placement", ["pfeiffer", "houlsby"])
def test_stack_trains_the_fresh_adapter_alone_above_the_earlier_ones(mini_encoder: Path, placement: str) -> None:
    tuning = Bottleneck.model_validate({"kind": "bottleneck", "placement": placement, "reduction_factor": 4})
    earlier = trained_elsewhere(mini_encoder, 5, tuning)
    stacked = model(mini_encoder, IntermediateAdapters("stack", {"mnli": earlier}), tuning=tuning)
    assert set(stacked.trained_parameters()) == set(model(mini_encoder, tuning=tuning).trained_parameters())
    below = named(stacked, ".intermediate-mnli.")
    assert {name.replace("intermediate-mnli", "task"): tensor.tolist() for name, tensor in below.items()} == {
        name: tensor.tolist() for name, tensor in earlier.items() if not name.startswith("head.")
    }
    assert str(stacked.encoder.adapters_config.active_setup) == "Stack[intermediate-mnli, task]"
    plain = model(mini_encoder, tuning=tuning)
    plain.load_trained_state(earlier, with_head=True)
    with torch.no_grad():  # an adapter whose way up is zero is the identity: what is below it alone remains
        for name, parameter in stacked.trained_parameters().items():
            if ".adapter_up." in name:
                parameter.zero_()
    assert torch.allclose(states(stacked), states(plain), atol=1e-5)
    assert not torch.allclose(states(stacked), states(model(mini_encoder, tuning=tuning)), atol=1e-2)


def test_fuse_trains_the_fusion_layers_alone(mini_encoder: Path) -> None:
    own, other = trained_elsewhere(mini_encoder, 5), trained_elsewhere(mini_encoder, 6)
    fused = model(mini_encoder, IntermediateAdapters("fuse", {"mnli": other, "udpos": own}))
    trained = set(fused.trained_parameters())
    assert trained and all(name.startswith("head.") or ".adapter_fusion_layer." in name for name in trained)
    # query and key with bias, value without, in both layers; the head's two linear layers
    assert len(trained) == 2 * 5 + 4
    assert named(fused, ".adapters.task.").keys() == {name for name in own if not name.startswith("head.")}
    for name, tensor in named(fused, ".adapters.task.").items():
        assert torch.equal(tensor, own[name])  # the target's own adapter, not a fresh one
    for name, tensor in named(fused, ".intermediate-mnli.").items():
        assert torch.equal(tensor, other[name.replace("intermediate-mnli", "task")])


@pytest.mark.parametrize("placement", ["pfeiffer", "houlsby"])
def test_fusion_of_equal_adapters_begins_as_that_adapter(mini_encoder: Path, placement: str) -> None:
    # whatever the attention, its weights sum to 1; the value matrix is the identity but for 1e-6 beside the diagonal
    tuning = Bottleneck.model_validate({"kind": "bottleneck", "placement": placement, "reduction_factor": 4})
    state = trained_elsewhere(mini_encoder, 5, tuning)
    fused = model(
        mini_encoder, IntermediateAdapters("fuse", {"mnli": state, "squad": state, "udpos": state}), tuning=tuning
    )
    plain = model(mini_encoder, tuning=tuning)
    plain.load_trained_state(state, with_head=True)
    assert torch.allclose(states(fused), states(plain), atol=1e-3)
    assert not torch.allclose(states(fused), states(model(mini_encoder, tuning=tuning)), atol=1e-2)


def test_the_penalty_is_a_hundredth_of_the_squared_distance_from_the_identity(mini_encoder: Path) -> None:
    state = trained_elsewhere(mini_encoder, 5)
    fused = model(mini_encoder, IntermediateAdapters("fuse", {"mnli": state, "udpos": state}))
    with torch.no_grad():
        for name, parameter in fused.trained_parameters().items():
            if name.endswith(".value.weight"):
                parameter.copy_(torch.eye(16))
                parameter[0, 1] = 3.0
    penalty = fused.penalty()
    assert penalty is not None
    assert float(penalty.detach()) == pytest.approx(2 * 0.01 * 9)  # 2 layers, 3 off by one entry
    assert fusion_penalty(fused.encoder, ()) is None
    assert model(mini_encoder).penalty() is None
    assert model(mini_encoder, IntermediateAdapters("stack", {"mnli": state})).penalty() is None


def test_the_head_and_the_task_adapter_start_as_without_earlier_adapters(mini_encoder: Path) -> None:
    state = trained_elsewhere(mini_encoder, 5)
    plain = model(mini_encoder).trained_state()
    stacked = model(mini_encoder, IntermediateAdapters("stack", {"mnli": state})).trained_state()
    assert all(torch.equal(plain[name], stacked[name]) for name in plain)
    fused = model(mini_encoder, IntermediateAdapters("fuse", {"mnli": state, "udpos": state})).trained_state()
    heads = [name for name in plain if name.startswith("head.")]
    assert heads and all(torch.equal(plain[name], fused[name]) for name in heads)


def test_tensors_of_another_form_are_refused(mini_encoder: Path) -> None:
    wider = trained_elsewhere(mini_encoder, 5, Bottleneck(kind="bottleneck", reduction_factor=2))
    with pytest.raises(
        InputError, match="adapter intermediate-mnli: expected the tensors of an adapter of the same form"
    ):
        model(mini_encoder, IntermediateAdapters("stack", {"mnli": wider}))
    lora = trained_elsewhere(mini_encoder, 5, LoRA(kind="lora"))
    with pytest.raises(InputError, match="adapter intermediate-mnli: expected the tensors"):
        model(mini_encoder, IntermediateAdapters("fuse", {"mnli": lora, "udpos": wider}))
