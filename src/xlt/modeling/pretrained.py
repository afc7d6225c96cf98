"""Encoders, poolers, tables and tokenizers of prepared folders, loaded from their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.errors import InputError
from xlt.files import read_json
from xlt.modeling.architectures import architecture_of
from xlt.modeling.model_sources import WEIGHTS, weight_files
from xlt.modeling.tokenizer import CONFIG, fast_tokenizer, positions_of, read_as_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_POOLER = ("pooler.dense.weight", "pooler.dense.bias")


def load_encoder(path: Path) -> Any:
    """A prepared folder's encoder: a transformers model of one of ``ARCHITECTURES`` in float32, without pooler.

    Raises:
        InputError: weights that the architecture needs are missing.
    """
    import torch
    from transformers import AutoModel

    architecture = architecture_of(read_json(path / CONFIG))
    without_pooler = {"add_pooling_layer": False} if architecture.pooler else {}
    model, info = AutoModel.from_pretrained(
        path,
        **without_pooler,
        **architecture.options,
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    if info["missing_keys"]:
        raise InputError(f"expected weights for {sorted(info['missing_keys'])[0]}; not in this file", path / WEIGHTS)
    return model


def load_pooler(path: Path) -> dict[str, Any] | None:
    """Weight and bias of the pooler that a prepared folder's checkpoint has, or None: [width, width] and [width]."""
    from safetensors import safe_open

    found = {}
    for file in weight_files(path):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                if name.endswith(_POOLER):
                    found[name.rpartition(".")[2]] = weights.get_tensor(name).float()
    return found or None


def load_word_embeddings(path: Path) -> Any:
    """The word-embedding table of a prepared folder's encoder in float32, read alone: [words, width]."""
    from safetensors import safe_open

    wanted = architecture_of(read_json(path / CONFIG)).words
    for file in weight_files(path):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                if name.endswith(wanted):
                    return weights.get_tensor(name).float()
    raise InputError(f"expected a tensor named {wanted} in the weights", path)


def load_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a prepared folder, to which every text is text (``read_as_text``).

    Its ``model_max_length`` is what the encoder's positions allow. A lower limit in the tokenizer's own config is not the
    encoder's: sentence encoders are published with the length of their last training (128), and the protocol's passages
    are longer. It gives segments if the encoder reads them.
    """
    tokenizer = fast_tokenizer(path)
    read_as_text(tokenizer)
    tokenizer.model_max_length = positions_of(path)
    if not architecture_of(read_json(path / CONFIG)).segments:
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    return tokenizer
