"""Whether a folder holds an encoder that runs can use: it is loaded once as they will load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xlt.config.benchmark import Model
from xlt.errors import InputError
from xlt.files import read_json
from xlt.modeling.architectures import ARCHITECTURES, DECODERS, architecture_of
from xlt.modeling.decoder import load_decoder_tokenizer
from xlt.modeling.model_sources import weight_files
from xlt.modeling.pretrained import load_encoder, load_tokenizer
from xlt.modeling.tokenizer import CONFIG, SETTINGS, TOKENIZER


def check_fit(folder: Path, model: Model) -> None:
    """Load tokenizer and encoder of a folder and compare them with what the project reads of them.

    A decoder's weights are not loaded: they may need a GPU.

    Raises:
        InputError: one of them does not load, asks for code of its own, or lacks something; in one line, without a path.
    """
    from transformers import logging

    logging.set_verbosity_error()  # a head that is in the file and not used is no news
    for name in (CONFIG, *SETTINGS):
        if (folder / name).exists() and _has_key(read_json(folder / name), "auto_map"):
            raise InputError(f"{name} asks for code of its own (auto_map), which is never loaded")
    config = read_json(folder / CONFIG)
    known = ARCHITECTURES if model.decoder is None else DECODERS
    if config.get("model_type") not in known:
        raise InputError(f"expected one of the architectures {', '.join(known)}, got {config.get('model_type')}")
    _check_embeddings(folder, architecture_of(config).words)
    if model.decoder is not None:
        _loaded("tokenizer", load_decoder_tokenizer, folder)
        return
    tokenizer = _loaded("tokenizer", load_tokenizer, folder)
    _check_special_tokens(tokenizer)
    if "token_type_ids" in tokenizer.model_input_names:
        segments = max(tokenizer("a", "b")["token_type_ids"], default=0) + 1
        if segments > config.get("type_vocab_size", 2):
            raise InputError(f"expected a tokenizer with {config['type_vocab_size']} kinds of segments, got {segments}")
    encoder = _loaded("encoder", load_encoder, folder)
    if encoder.config.pad_token_id != tokenizer.pad_token_id:
        raise InputError(
            f"expected the tokenizer's padding id {tokenizer.pad_token_id} in {CONFIG}, got {encoder.config.pad_token_id}"
        )


def _has_key(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_has_key(each, key) for each in value.values())
    return isinstance(value, list) and any(_has_key(each, key) for each in value)


def _check_embeddings(folder: Path, words: str) -> None:
    from tokenizers import Tokenizer

    rows = sum(_embedding_rows(path, words) for path in weight_files(folder))
    try:
        tokens = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab_size()
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{TOKENIZER} is not a tokenizer ({_first_line(error)})") from None
    if tokens > rows:
        raise InputError(f"expected at most {rows} tokens, one per word embedding, got {tokens}")


def _embedding_rows(path: Path, words: str) -> int:
    """Rows of the word embeddings (the table whose name ends in ``words``) in a weights file; 0 when they are not in it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as weights:
            found = [key for key in weights.keys() if key.endswith(words)]  # noqa: SIM118
            return int(weights.get_slice(found[0]).get_shape()[0]) if found else 0
    except SafetensorError as error:
        raise InputError(f"{path.name} is not a safetensors file ({error})") from None


def _loaded(what: str, load: Any, folder: Path) -> Any:
    try:
        return load(folder)
    except InputError as error:
        raise InputError(f"its {what} cannot be used: {error.message}") from None
    except Exception as error:  # whatever the libraries raise of files they did not expect
        raise InputError(f"its {what} does not load ({type(error).__name__}: {_first_line(error)})") from None


def _check_special_tokens(tokenizer: Any) -> None:
    """The tokens that features and batches read; ``mask`` is asked for where text is masked."""
    lacking = [name for name in ("pad", "unk") if getattr(tokenizer, f"{name}_token_id") is None]
    if lacking:
        raise InputError(f"expected special tokens for {' and '.join(lacking)} in tokenizer_config.json, got none")
    ends = tokenizer("")["input_ids"]
    if len(ends) != 2:
        raise InputError(f"expected {TOKENIZER} to put one token before and one behind a text, got {len(ends)} in all")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
