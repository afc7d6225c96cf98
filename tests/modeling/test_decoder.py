"""Decoder-only models: prepared, loaded whole, and refused in 4 bits where that cannot be."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from xlt.config.benchmark import Decoder, Model, ModelSource, load
from xlt.errors import InputError
from xlt.modeling.decoder import check_4bit, load_decoder, load_decoder_tokenizer
from xlt.modeling.model_sources import weight_files
from xlt.modeling.preparation import prepare

ROOT = Path(__file__).parents[2]


def decoder_model(path: Path, decoder: Decoder | None) -> Model:
    config = load(Model, ROOT / "configs" / "models" / "lugha-llama.yaml")
    return config.model_copy(update={"sources": [ModelSource(local=str(path))], "decoder": decoder})


@pytest.mark.parametrize("shards", [False, True])
def test_a_decoder_is_prepared_from_one_file_or_several(mini_decoder: Path, tmp_path: Path, shards: bool) -> None:
    source = tmp_path / "source"
    shutil.copytree(mini_decoder, source)
    (source / "prepared.json").unlink()
    whole = load_decoder(mini_decoder, Decoder(), torch.device("cpu"))
    if shards:
        (source / "model.safetensors").unlink()
        whole.save_pretrained(source, max_shard_size="4KB")
    assert (len(weight_files(source)) > 1) is shards
    prepared = prepare(decoder_model(source, Decoder()), tmp_path / "cache")
    again = load_decoder(prepared.path, Decoder(), torch.device("cpu"))
    assert load_decoder_tokenizer(prepared.path).vocab_size == load_decoder_tokenizer(mini_decoder).vocab_size
    for name, tensor in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_an_encoder_s_config_takes_no_decoder_and_the_other_way_round(
    mini_decoder: Path, mini_encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"expected one of the architectures bert, .*xlm-roberta-xl, got llama"):
        prepare(decoder_model(mini_decoder, None), tmp_path)
    with pytest.raises(InputError, match="expected one of the architectures llama, got xlm-roberta"):
        prepare(decoder_model(mini_encoder, Decoder()), tmp_path)


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_4_bits_without_the_package_are_refused(mini_decoder: Path) -> None:
    message = r"4-bit weights need the package bitsandbytes .* and a CUDA device; provide that, or set decoder.quant"
    with pytest.raises(InputError, match=message):
        load_decoder(mini_decoder, Decoder(quantisation="nf4"), torch.device("cpu"))
    with pytest.raises(InputError, match=r"4-bit weights need the package bitsandbytes \(and accelerate\); provide"):
        check_4bit(mini_decoder, torch.device("cuda"))
