"""MAD-X: what a language adapter changes, that it is undone before the output matrix, and that it can be swapped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xlt.config.regimes import MadX
from xlt.config.run_config import LanguageAdapterSettings
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.files import sha256_file, to_json, write_atomic
from xlt.layout import ADAPTER
from xlt.modeling.collate import TokenBatch
from xlt.modeling.language_adapters import (
    ADAPTER_WEIGHTS,
    adapter_state,
    add_language_adapter,
    load_language_adapter,
    save_language_adapter,
)
from xlt.modeling.mlm import load_masked_lm_head
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.pretrained import load_encoder

SETTINGS = LanguageAdapterSettings(
    name="test",
    reduction_factor=2,
    invertible_reduction_factor=2,
    learning_rate=0.01,
    steps=2,
    batch_size=2,
    max_length=20,
)


def write_adapter(encoder_folder: Path, folder: Path, language: str, scale: float) -> Mapping[str, Tensor]:
    """A language adapter whose tensors are drawn at random, far from doing nothing; returns its tensors."""
    encoder = load_encoder(encoder_folder)
    add_language_adapter(encoder, language, SETTINGS)
    torch.manual_seed(len(language) + int(100 * scale))
    with torch.no_grad():
        for tensor in adapter_state(encoder, language).values():
            tensor.normal_(std=scale)
    folder.mkdir(parents=True)
    save_language_adapter(encoder, language, folder)
    write_atomic(folder / ADAPTER, to_json({"weights_sha256": sha256_file(folder / ADAPTER_WEIGHTS)}))
    return adapter_state(encoder, language)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, mini_encoder: Path) -> dict[str, Path]:
    """Language adapters of en and qag."""
    root = tmp_path_factory.mktemp("language-adapters")
    for language, scale in (("en", 0.2), ("qag", 0.3)):
        write_adapter(mini_encoder, root / language, language, scale)
    return {"en": root / "en", "qag": root / "qag"}


@pytest.fixture(scope="module")
def rows(tokenizer: Any) -> TokenBatch:
    given = tokenizer(["the cat sat", "a blue dog"], return_tensors="pt", padding=True)
    return TokenBatch(given["input_ids"], given["attention_mask"], torch.zeros_like(given["input_ids"]))


def madx(encoder: Path, folders: Mapping[str, Path], **more: Any) -> TransferModel:
    tuning = MadX(kind="madx", reduction_factor=4, **more)
    return build_model(
        encoder, family=FAMILIES["tagging"], labels=3, tuning=tuning, pooling="mean", seed=1, language_adapters=folders
    )


@torch.no_grad()
def states(model: TransferModel, rows: TokenBatch, language: str) -> Tensor:
    model.eval()
    model.use_language(language)
    return model.hidden(rows)


def test_only_the_adapter_is_trained_and_the_invertible_one_is_part_of_it(mini_encoder: Path) -> None:
    encoder = load_encoder(mini_encoder)
    trained = add_language_adapter(encoder, "qag", SETTINGS)
    assert set(trained) == set(adapter_state(encoder, "qag"))
    assert any(name.startswith("invertible_adapters.") for name in trained)
    # width 16, bottleneck 8: (16*8+8) + (8*16+16) = 280 in each of 2 layers; NICE: two nets 8 -> 4 -> 8,
    # (8*4+4) + (4*8+8) = 76 each
    assert sum(parameter.numel() for parameter in trained.values()) == 2 * 280 + 2 * 76


def test_the_invertible_adapter_is_undone(mini_encoder: Path, folders: dict[str, Path], rows: TokenBatch) -> None:
    model = madx(mini_encoder, folders)
    model.use_language("qag")
    words = torch.randn(2, 5, 16)
    changed = model.encoder.invertible_adapters_forward(words)
    assert (changed - words).abs().max() > 0.1
    assert torch.allclose(model.encoder.invertible_adapters_forward(changed, rev=True), words, atol=1e-5)
    # and it is applied to the embeddings: the input of the first layer is that of the bare encoder, changed
    seen: list[Tensor] = []
    hook = model.encoder.encoder.layer[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    states(model, rows, "qag")
    hook.remove()
    bare = load_encoder(mini_encoder).eval()
    with torch.no_grad():
        plain = bare.embeddings(input_ids=rows.input_ids, token_type_ids=rows.token_type_ids)
        assert torch.allclose(seen[0], model.encoder.invertible_adapters_forward(plain), atol=1e-6)


def test_the_head_undoes_it_just_before_the_output_matrix(mini_encoder: Path, folders: dict[str, Path]) -> None:
    model, head = madx(mini_encoder, folders), load_masked_lm_head(mini_encoder, 1)
    model.use_language("qag")
    given = torch.randn(3, 16)
    transformed = head.layer_norm(torch.nn.functional.gelu(head.dense(given)))
    undone = model.encoder.invertible_adapters_forward(transformed[None], rev=True)[0]
    expected = undone @ model.encoder.embeddings.word_embeddings.weight.T + head.bias
    assert torch.allclose(head(given, model.encoder), expected, atol=1e-5)
    bare = load_encoder(mini_encoder)
    plain = transformed @ bare.embeddings.word_embeddings.weight.T + head.bias
    assert torch.allclose(head(given, bare), plain, atol=1e-5)
    assert not torch.allclose(expected, plain, atol=1e-2)


def test_a_swap_changes_the_states_and_swapping_back_restores_them(
    mini_encoder: Path, folders: dict[str, Path], rows: TokenBatch
) -> None:
    model = madx(mini_encoder, folders)
    english = states(model, rows, "en")
    far = states(model, rows, "qag")
    assert (english - far).abs().max() > 0.1
    assert torch.equal(states(model, rows, "en"), english)
    assert torch.equal(states(model, rows, "en-qag"), english)  # an input in two languages: the first one's
    assert torch.equal(states(model, rows, "qag-en"), far)


@pytest.mark.parametrize("missing", ["source", "none"])
def test_a_language_without_an_adapter(
    mini_encoder: Path, folders: dict[str, Path], rows: TokenBatch, missing: str
) -> None:
    model = madx(mini_encoder, folders, missing=missing)
    english, other = states(model, rows, "en"), states(model, rows, "qaa")
    assert torch.equal(other, english) == (missing == "source")
    if missing == "none":  # the task adapter alone: the invertible adapter is off as well
        alone = build_model(
            mini_encoder,
            family=FAMILIES["tagging"],
            labels=3,
            tuning=MadX(kind="madx", reduction_factor=4, missing="none"),
            pooling="mean",
            seed=1,
            language_adapters={"en": folders["en"]},
        )
        alone.encoder.set_active_adapters("task")
        with torch.no_grad():
            assert torch.equal(alone.eval().hidden(rows), other)


def test_the_task_adapter_learns_on_top_of_the_frozen_source_adapter(
    mini_encoder: Path, folders: dict[str, Path], rows: TokenBatch
) -> None:
    model = madx(mini_encoder, folders)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert all(name.startswith("head.") or ".task." in name for name in model.trainable)
    assert any(".task." in name for name in model.trainable)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=10.0)
    for _ in range(2):  # in the first step the adapter's upper matrix is near 0
        optimizer.zero_grad()
        model.scores(rows).logsumexp(-1).square().mean().backward()
        optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == set(model.trainable)
    without = {name: parameter for name, parameter in model.named_parameters() if name not in model.trainable}
    assert all(parameter.grad is None for parameter in without.values())


def test_a_saved_and_loaded_adapter_is_the_same(tmp_path: Path, mini_encoder: Path, rows: TokenBatch) -> None:
    saved = write_adapter(mini_encoder, tmp_path / "qag", "qag", 0.3)
    encoder = load_encoder(mini_encoder)
    load_language_adapter(encoder, "qag", tmp_path / "qag")
    loaded = adapter_state(encoder, "qag")
    assert loaded.keys() == saved.keys() and all(torch.equal(loaded[name], saved[name]) for name in saved)
    assert not any(parameter.requires_grad for name, parameter in encoder.named_parameters() if "qag" in name)
    data = bytearray((tmp_path / "qag" / ADAPTER_WEIGHTS).read_bytes())
    data[-1] ^= 1
    (tmp_path / "qag" / ADAPTER_WEIGHTS).write_bytes(data)
    with pytest.raises(InputError, match=r"expected the weights named in adapter\.json"):
        load_language_adapter(load_encoder(mini_encoder), "qag", tmp_path / "qag")
    (tmp_path / "qag" / ADAPTER).unlink()
    with pytest.raises(InputError, match="expected a language adapter; run make language-adapters"):
        load_language_adapter(load_encoder(mini_encoder), "qag", tmp_path / "qag")


def test_no_adapter_of_the_source_language_is_refused(mini_encoder: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="tuning madx needs a language adapter of en"):
        madx(mini_encoder, {"qag": folders["qag"]})


def test_a_checkpoint_s_head_is_found_by_its_own_names(tmp_path: Path) -> None:
    """Against the models of the transformers library, in both architectures."""
    from transformers import BertConfig, BertForMaskedLM, XLMRobertaConfig, XLMRobertaForMaskedLM

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    models: list[Any] = [
        BertForMaskedLM(BertConfig(vocab_size=30, **sizes)),
        XLMRobertaForMaskedLM(XLMRobertaConfig(vocab_size=30, max_position_embeddings=20, **sizes)),
    ]
    for number, model in enumerate(models):
        model.eval().save_pretrained(tmp_path / str(number))
        head = load_masked_lm_head(tmp_path / str(number), 1)
        assert head.pretrained
        ids = torch.tensor([[5, 6, 7, 8]])
        with torch.no_grad():
            found = model.base_model(input_ids=ids).last_hidden_state[0]
            assert torch.allclose(head(found, model.base_model), model(input_ids=ids).logits[0], atol=1e-5)


def test_a_checkpoint_without_a_head_gets_a_fresh_one(mini_encoder: Path) -> None:
    head = load_masked_lm_head(mini_encoder, 1)
    assert not head.pretrained
    again, other = load_masked_lm_head(mini_encoder, 1), load_masked_lm_head(mini_encoder, 2)
    assert torch.equal(head.dense.weight, again.dense.weight)
    assert not torch.equal(head.dense.weight, other.dense.weight)
    assert head.bias.shape == (len(load_encoder(mini_encoder).embeddings.word_embeddings.weight),)
