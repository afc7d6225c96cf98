"""What a run would stumble over is one line at preparation; what a later library saved is used all the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import CONFIGS

from xlt.errors import InputError
from xlt.modeling.preparation import prepare, resolve_model
from xlt.modeling.pretrained import load_encoder, load_tokenizer

TEXTS = ["The cat sat", "", "never 0123"]


@pytest.fixture
def source(mini_encoder: Path, tmp_path: Path) -> Path:
    """A copy of the miniature XLM-R, to be spoilt."""
    return Path(shutil.copytree(mini_encoder, tmp_path / "source"))


@pytest.fixture
def change(source: Path) -> Callable[..., None]:
    """A function that changes keys of one of its JSON files; None removes one."""

    def function(name: str, **values: Any) -> None:
        content = json.loads((source / name).read_text(encoding="utf-8")) | values
        kept = {key: value for key, value in content.items() if value is not None}
        (source / name).write_text(json.dumps(kept), encoding="utf-8")

    return function


def prepared(source: Path) -> Path:
    return prepare(resolve_model(str(source), CONFIGS), source.parent / "cache").path


def refused(source: Path) -> str:
    with pytest.raises(InputError) as caught:
        prepared(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "saved", [{"tokenizer_class": "TokenizersBackend", "backend": "tokenizers"}, {"extra_special_tokens": ["<x>"]}]
)
def test_a_tokenizer_that_transformers_5_saved_reads_the_same(
    source: Path, change: Callable[..., None], tokenizer: Any, saved: dict[str, Any]
) -> None:
    change("tokenizer_config.json", mask_token={"content": "<mask>", "__type": "AddedToken"}, **saved)
    (source / "special_tokens_map.json").unlink()  # it saves none
    own = load_tokenizer(prepared(source))
    assert own(TEXTS, TEXTS)["input_ids"] == tokenizer(TEXTS, TEXTS)["input_ids"]
    assert own.model_input_names == tokenizer.model_input_names == ["input_ids", "attention_mask"]
    for name in ("pad", "unk", "mask", "cls", "sep"):
        assert getattr(own, f"{name}_token_id") == getattr(tokenizer, f"{name}_token_id")
    assert own.name_or_path == str(prepared(source)) and set(own.all_special_ids) == set(tokenizer.all_special_ids)


def test_segments_are_read_where_the_encoder_has_them(tiny_checkpoint: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny_checkpoint, tmp_path / "source"))
    settings = json.loads((source / "tokenizer_config.json").read_text()) | {"tokenizer_class": "TokenizersBackend"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    own = load_tokenizer(prepared(source))
    assert own("w0", "w1")["token_type_ids"] == [0, 0, 0, 1, 1]  # <s> w0 </s> | w1 </s>
    assert own("w0", "w1")["input_ids"] == [0, 4, 2, 5, 2]


def test_the_encoders_positions_are_the_limit_not_the_tokenizers_config(
    source: Path, change: Callable[..., None]
) -> None:
    change("tokenizer_config.json", model_max_length=16)
    assert load_tokenizer(prepared(source)).model_max_length == 126  # 128 positions; XLM-R counts from padding id 1 + 1


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_its_own_is_refused_wherever_it_is_asked_for(
    source: Path, change: Callable[..., None], name: str
) -> None:
    change(name, nested=[{"auto_map": {"AutoTokenizer": ["code.Tokenizer", None]}}])
    assert f"{name} asks for code of its own (auto_map)" in refused(source)


def test_special_tokens_that_are_read_are_asked_for(source: Path, change: Callable[..., None]) -> None:
    (source / "special_tokens_map.json").unlink()
    change("tokenizer_config.json", tokenizer_class="TokenizersBackend", pad_token=None, unk_token=None)
    assert "expected special tokens for pad and unk in tokenizer_config.json, got none" in refused(source)


def test_texts_must_have_a_token_before_and_one_behind(source: Path, change: Callable[..., None]) -> None:
    change("tokenizer.json", post_processor=None)
    assert "expected tokenizer.json to put one token before and one behind a text, got 0 in all" in refused(source)


def test_padding_must_be_the_encoders(source: Path, change: Callable[..., None]) -> None:
    change("config.json", pad_token_id=0)
    assert "expected the tokenizer's padding id 1 in config.json, got 0" in refused(source)


def test_what_does_not_load_is_one_line(source: Path, change: Callable[..., None]) -> None:
    change("config.json", hidden_size=17)
    assert "its encoder does not load (" in refused(source)
    change("config.json", hidden_size=16, num_hidden_layers=3)
    assert "its encoder cannot be used: expected weights for encoder.layer.2." in refused(source)
    change("config.json", num_hidden_layers=2)
    assert load_encoder(prepared(source)).config.num_hidden_layers == 2
