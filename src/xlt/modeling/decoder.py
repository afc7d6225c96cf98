"""Decoder-only models (Llama) for lexical injection, whole or in 4 bits."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from xlt.config.benchmark import Decoder
from xlt.errors import InputError
from xlt.modeling.tokenizer import fast_tokenizer, read_as_text


def load_decoder(path: Path, settings: Decoder, device: torch.device) -> Any:
    """The transformer layers of a prepared decoder, without the language-modelling head.

    Weights are float32, or NormalFloat4 computed in bfloat16 (Dettmers et al. 2023, QLoRA, section 3).

    Raises:
        InputError: 4-bit weights are asked for where they cannot be had, or weights are missing.
    """
    from transformers import AutoModel, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": torch.float32}
    if settings.quantisation == "nf4":
        check_4bit(path, device)
        four_bit = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
        options = {"dtype": torch.bfloat16, "quantization_config": four_bit, "device_map": {"": device}}
    model, info = AutoModel.from_pretrained(
        path, use_safetensors=True, local_files_only=True, output_loading_info=True, **options
    )
    if info["missing_keys"]:
        raise InputError(f"expected weights for {sorted(info['missing_keys'])[0]}; not in this checkpoint", path)
    return model if settings.quantisation else model.to(device)


def check_4bit(path: Path, device: torch.device) -> None:
    """Refuse 4-bit weights where the package or the device for them is missing."""
    lacking = []
    if find_spec("bitsandbytes") is None:
        lacking.append("the package bitsandbytes (and accelerate)")
    if device.type != "cuda":
        lacking.append("a CUDA device")
    if lacking:
        raise InputError(
            f"4-bit weights need {' and '.join(lacking)}; provide that, or set decoder.quantisation to null in the "
            "model's config and have memory for float32 weights",
            path,
        )


def load_decoder_tokenizer(path: Path) -> Any:
    """The fast tokenizer of a prepared decoder; where it has no padding token, the end of a text pads (it is masked)."""
    tokenizer = fast_tokenizer(path)
    read_as_text(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
