from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from xlt.config.regimes import Bottleneck, Full, LoRA, Tuning
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.modeling.collate import pad_rows, rows_of
from xlt.modeling.heads import PoolerHead
from xlt.modeling.model import TransferModel, build_model

FULL = Full(kind="full")
ADAPTER = Bottleneck(kind="bottleneck", reduction_factor=4)
LORA = LoRA(kind="lora", rank=2, alpha=4)


def build(path: Path, tuning: Tuning, family: str = "classification", labels: int = 3, seed: int = 1) -> TransferModel:
    return build_model(path, family=FAMILIES[family], labels=labels, tuning=tuning, pooling="mean", seed=seed).eval()


def test_padding_by_hand() -> None:
    rows = pad_rows([[5, 6, 7], [8]], [[0, 1, 1], [0]], 1)
    assert rows.input_ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert rows.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert rows.token_type_ids.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_rows_of_features_come_in_order() -> None:
    features = [Feature(0, [[1, 2], [3]], [[0, 0], [1]]), Feature(1, [[4, 5, 6]], [[0, 0, 0]])]
    assert rows_of(features, 9).input_ids.tolist() == [[1, 2, 9], [3, 9, 9], [4, 5, 6]]
    assert rows_of(features, 9).token_type_ids.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_padding_does_not_change_the_scores(mini_encoder: Path) -> None:
    model = build(mini_encoder, FULL, "tagging")
    short, long = [0, 50, 60, 2], [0, 50, 60, 70, 80, 90, 2]
    with torch.inference_mode():
        alone = model.scores(pad_rows([short], [[0] * 4], 1))[0]
        together = model.scores(pad_rows([long, short], [[0] * 7, [0] * 4], 1))[1, :4]
    assert torch.allclose(alone, together, atol=1e-5)


def test_embeddings_have_length_one_and_ignore_padding(mini_encoder: Path) -> None:
    model = build(mini_encoder, FULL, "lareqa")
    with torch.inference_mode():
        alone = model.embeddings(pad_rows([[0, 50, 2]], [[0] * 3], 1))
        both = model.embeddings(pad_rows([[0, 50, 2], [0, 60, 70, 80, 2]], [[0] * 3, [0] * 5], 1))
    assert torch.allclose(both.norm(dim=1), torch.ones(2), atol=1e-6)
    assert torch.allclose(alone[0], both[0], atol=1e-5)


@pytest.mark.parametrize("tuning", [FULL, ADAPTER, LORA], ids=["full", "adapter", "lora"])
def test_a_saved_state_makes_the_same_model_again(mini_encoder: Path, tuning: Tuning) -> None:
    model, other = build(mini_encoder, tuning), build(mini_encoder, tuning, seed=2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)
    rows = pad_rows([[0, 50, 60, 2]], [[0] * 4], 1)
    with torch.inference_mode():
        assert not torch.allclose(model.scores(rows), other.scores(rows), atol=1e-4)
        other.load_trained_state(model.trained_state(), with_head=True)
        assert torch.equal(model.scores(rows), other.scores(rows))


def test_a_state_is_a_copy(mini_encoder: Path) -> None:
    model = build(mini_encoder, ADAPTER)
    state = model.trained_state()
    with torch.no_grad():
        model.head.out.bias.add_(1)  # type: ignore[union-attr, operator]
    assert not torch.equal(state["head.out.bias"], model.head.out.bias)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("tuning", [FULL, ADAPTER, LORA], ids=["full", "adapter", "lora"])
def test_continue_moves_exactly_what_was_trained_of_the_encoder(mini_encoder: Path, tuning: Tuning) -> None:
    before, after = build(mini_encoder, tuning), build(mini_encoder, tuning, "tagging", 5, seed=7)
    with torch.no_grad():
        for parameter in before.parameters():
            if parameter.requires_grad:
                parameter.add_(0.5)
    start = {name: parameter.detach().clone() for name, parameter in after.named_parameters()}
    moved = after.load_trained_state(before.trained_state(), with_head=False)
    given = before.trained_state()
    assert moved == sorted(name for name in given if name.startswith("encoder."))
    for name, parameter in after.named_parameters():
        if name in moved:
            assert torch.equal(parameter, given[name])
            assert not torch.equal(parameter, start[name])
        else:
            assert torch.equal(parameter, start[name])
    frozen = {name for name in start if name.startswith("encoder.")} - set(moved)
    assert bool(frozen) == (tuning is not FULL)


def test_states_of_another_way_of_tuning_or_another_shape_are_refused(mini_encoder: Path) -> None:
    with pytest.raises(InputError, match="is in only one of checkpoint and model"):
        build(mini_encoder, FULL).load_trained_state(build(mini_encoder, ADAPTER).trained_state(), with_head=True)
    with pytest.raises(InputError, match=r"tensor head.out.bias: expected \[4\], got \[3\]"):
        build(mini_encoder, ADAPTER, labels=4).load_trained_state(
            build(mini_encoder, ADAPTER).trained_state(), with_head=True
        )
    incomplete = build(mini_encoder, ADAPTER).trained_state()
    del incomplete["head.out.bias"]
    with pytest.raises(InputError, match=r"head\.out\.bias"):
        build(mini_encoder, ADAPTER).load_trained_state(incomplete, with_head=True)


def test_a_pooler_starts_from_the_checkpoint_s_where_it_has_one(tiny_checkpoint: Path, mini_encoder: Path) -> None:
    def head(path: Path, family: str, dual_encoder: Any = None) -> torch.nn.Module:
        made = build_model(
            path, family=FAMILIES[family], labels=3, tuning=FULL, pooling="mean", seed=1, dual_encoder=dual_encoder
        )
        return made.head

    saved = load_file(tiny_checkpoint / "model.safetensors")
    given = saved["pooler.dense.weight"], saved["pooler.dense.bias"]  # a BERT with pooler
    for family, way in (("lareqa", "reference"), ("mewslix", "reference"), ("choice", None), ("classification", None)):
        dense = head(tiny_checkpoint, family, way).get_submodule("dense")
        assert torch.equal(dense.get_parameter("weight"), given[0]), family
        assert torch.equal(dense.get_parameter("bias"), given[1]), family
    assert not isinstance(head(tiny_checkpoint, "lareqa", "mean-in-batch"), PoolerHead)
    fresh = head(mini_encoder, "lareqa", "reference")  # an XLM-R without: drawn with standard deviation 0.02
    assert float(fresh.get_parameter("dense.weight").detach().std()) == pytest.approx(0.02, rel=0.2)
    assert not fresh.get_parameter("dense.bias").any()
