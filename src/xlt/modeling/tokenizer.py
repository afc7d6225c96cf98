"""The fast tokenizer of a folder, also of one that a later transformers saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.errors import InputError
from xlt.files import read_json
from xlt.modeling.architectures import architecture_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
SETTINGS = ("special_tokens_map.json", "tokenizer_config.json")
PIECES = ("spm.model", "sentencepiece.bpe.model", "sentencepiece.model", "tokenizer.model", "vocab.txt")
"""Vocabularies of checkpoints from before fast tokenizers: sentencepiece's, and BERT's list of words."""
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def fast_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """A tokenizer of the class that the folder names, or of the plain class where this transformers does not know it.

    The plain class reads ``tokenizer.json`` and the special tokens; the encoder's config says whether it reads segments.

    Raises:
        InputError: the class has no fast version.
    """
    from transformers import AutoTokenizer

    settings: dict[str, Any] = {}
    for name in SETTINGS:
        settings |= read_json(path / name) if (path / name).exists() else {}
    if _is_of_a_later_library(settings):
        return _plain(path, settings)
    # transformers 4.57 warns of Mistral's regex for any large tokenizer of a local folder, unless told.
    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(
        path, use_fast=True, local_files_only=True, fix_mistral_regex=False
    )
    if not tokenizer.is_fast:
        raise InputError(f"expected a fast tokenizer, got {type(tokenizer).__name__}", path / TOKENIZER)
    return tokenizer


def read_as_text(tokenizer: PreTrainedTokenizerFast) -> None:
    """Have ``tokenizer`` read what spells a special token in a text ("</s>", "[SEP]") as text, not as that token.

    The added tokens are told by ``split_special_tokens``. Where the model itself knows such a piece (a unigram model from
    SentencePiece gives it the best score of all), the piece is taken from it, as in SentencePiece, whose control symbols
    no text matches. Other texts are read as before.
    """
    from tokenizers import Tokenizer

    backend = tokenizer.backend_tokenizer
    tokenizer.split_special_tokens = backend.encode_special_tokens = True
    special = {token.content: id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    if all(id not in backend.encode(text, add_special_tokens=False).ids for text, id in special.items()):
        return
    content = json.loads(backend.to_str())
    model = content["model"]
    if model["type"] == "Unigram":  # a piece's place is its id; no text has the empty piece
        model["vocab"] = [["" if piece in special else piece, score] for piece, score in model["vocab"]]
    else:
        taken = special.keys() - {tokenizer.unk_token}
        model["vocab"] = {piece: id for piece, id in model["vocab"].items() if piece not in taken}
        model["merges"] = [pair for pair in model.get("merges", []) if "".join(pair) not in taken]
    backend.model = Tokenizer.from_str(json.dumps({**content, "added_tokens": [], "post_processor": None})).model


def converted_tokenizer(source: Path, folder: Path) -> None:
    """Write the fast tokenizer that transformers makes of the older one in ``source`` to ``folder``.

    Raises:
        InputError: its vocabulary cannot be read; in one line, without a path.
    """
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(source, use_fast=True, local_files_only=True).save_pretrained(folder)
    except ImportError:
        raise InputError(
            "its tokenizer has to be converted once, which needs two more packages: pip install sentencepiece protobuf"
        ) from None
    except Exception as error:  # the converters raise whatever they meet
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"its tokenizer cannot be converted ({reason})") from None


def positions_of(path: Path) -> int:
    """Sub-words that the encoder of a folder reads at a time, special tokens included."""
    config = read_json(path / CONFIG)
    return architecture_of(config).positions(config)


def _is_of_a_later_library(settings: dict[str, Any]) -> bool:
    """Whether transformers 5 wrote it: its generic class, or a list where version 4 has a mapping."""
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    name = settings.get("tokenizer_class")
    known = name is None or tokenizer_class_from_name(f"{name.removesuffix('Fast')}Fast") is not None
    return not known or isinstance(settings.get("extra_special_tokens"), list)


def _plain(path: Path, settings: dict[str, Any]) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    found = {name: settings[name] for name in SPECIAL if settings.get(name) is not None}
    tokens = {name: token["content"] if isinstance(token, dict) else token for name, token in found.items()}
    segments = ["token_type_ids"] if read_json(path / CONFIG).get("type_vocab_size", 1) > 1 else []
    return PreTrainedTokenizerFast(
        tokenizer_file=str(path / TOKENIZER),
        name_or_path=str(path),
        model_input_names=["input_ids", *segments, "attention_mask"],
        **tokens,
    )
