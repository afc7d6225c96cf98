"""What differs between the architectures of encoders, said once for each of them.

All else (attention masks, word embeddings to read and to replace, saved weights) goes through transformers' common interface.
Nothing here needs torch, so that the planner can ask too. Adding an architecture is adding an entry to ``ARCHITECTURES`` and
a tiny checkpoint to tests/tiny_encoders.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xlt.errors import InputError

_BERT_HEAD = {
    "dense.weight": "cls.predictions.transform.dense.weight",
    "dense.bias": "cls.predictions.transform.dense.bias",
    "layer_norm.weight": "cls.predictions.transform.LayerNorm.weight",
    "layer_norm.bias": "cls.predictions.transform.LayerNorm.bias",
    "bias": "cls.predictions.bias",
}
_ROBERTA_HEAD = {name: f"lm_head.{name}" for name in _BERT_HEAD}
_BERT_PARTS = {
    "model_layers": "encoder.layer",
    "layer_self_attn": "attention",
    "layer_cross_attn": None,
    "attn_q_proj": "self.query",
    "attn_k_proj": "self.key",
    "attn_v_proj": "self.value",
    "attn_o_proj": "output.dense",
    "layer_intermediate_proj": "intermediate.dense",
    "layer_output_proj": "output.dense",
    "layer_pre_self_attn": "attention",
    "layer_pre_ffn": "intermediate",
}
_NO_HEAD = "its output matrix is not that of its word embeddings"
_NO_PREFIX = "the adapters library's plug-in interface has no prefix tuning"


@dataclass(frozen=True)
class Architecture:
    """One architecture (transformers' ``model_type``), where it is not as BERT is.

    Attributes:
        layers: the attribute that holds the transformer layers, from the encoder down.
        words: how the name of the word-embedding table ends in a checkpoint.
        keys: what its config calls a figure, by BERT's name for it.
        counts_from_padding: position 0 is the padding id + 1 (RoBERTa), so that fewer are left for sub-words.
        segments: whether it reads ``token_type_ids``.
        pooler: whether its class comes with a pooler, which is left out.
        classifier_reads_pooler: whether its own classifier of sequences lies on the checkpoint's pooler.
        options: what its loading is told besides.
        feed_forward: matrices of width times inner width in a layer.
        masked_lm: names of the masked-language-modelling head's tensors in a checkpoint, by our own.
        plug_in: the parts that the adapters library hooks into, where it has no class of its own for the architecture
            (``AdapterModelInterface``); None where it has.
        refused: kinds of tuning (or ``masked_text``) that it cannot have, and why.
    """

    layers: str = "encoder.layer"
    words: str = "word_embeddings.weight"
    keys: Mapping[str, str] = field(default_factory=dict)
    counts_from_padding: bool = False
    segments: bool = True
    pooler: bool = True
    classifier_reads_pooler: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    feed_forward: int = 2
    masked_lm: Mapping[str, str] = field(default_factory=lambda: _BERT_HEAD)
    plug_in: Mapping[str, Any] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)

    def figure(self, config: Any, name: str) -> Any:
        """A figure of an encoder's ``config`` (a mapping, or transformers' object) by BERT's name for it."""
        key = self.keys.get(name, name)
        return config[key] if isinstance(config, Mapping) else getattr(config, key)

    def positions(self, config: Mapping[str, Any]) -> int:
        """Sub-words that an encoder reads at a time, special tokens included."""
        return int(config["max_position_embeddings"]) - (config["pad_token_id"] + 1 if self.counts_from_padding else 0)


ARCHITECTURES = {
    "bert": Architecture(classifier_reads_pooler=True),
    "xlm-roberta": Architecture(counts_from_padding=True, masked_lm=_ROBERTA_HEAD),
    "deberta-v2": Architecture(segments=False, pooler=False),
    "modernbert": Architecture(
        layers="layers",
        words="tok_embeddings.weight",
        keys={"layer_norm_eps": "norm_eps", "hidden_dropout_prob": "classifier_dropout"},
        segments=False,
        pooler=False,
        options={"attn_implementation": "sdpa", "reference_compile": False},  # else what is installed decides
        feed_forward=3,
        masked_lm={
            "dense.weight": "head.dense.weight",
            "dense.bias": "head.dense.bias",
            "layer_norm.weight": "head.norm.weight",
            "layer_norm.bias": "head.norm.bias",
            "bias": "decoder.bias",
        },
        refused={
            "prefix": _NO_PREFIX,
            "dora": "its query, key and value are one matrix, whose update the adapters library cannot decompose",
        },
    ),
    "distilbert": Architecture(
        layers="transformer.layer",
        keys={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "intermediate_size": "hidden_dim",
            "hidden_dropout_prob": "seq_classif_dropout",
        },
        segments=False,
        pooler=False,
        masked_lm={
            "dense.weight": "vocab_transform.weight",
            "dense.bias": "vocab_transform.bias",
            "layer_norm.weight": "vocab_layer_norm.weight",
            "layer_norm.bias": "vocab_layer_norm.bias",
            "bias": "vocab_projector.bias",
        },
    ),
    "rembert": Architecture(
        keys={"hidden_dropout_prob": "classifier_dropout_prob", "embedding_size": "input_embedding_size"},
        classifier_reads_pooler=True,
        plug_in={
            **_BERT_PARTS,
            "model_embeddings": "encoder.embedding_hidden_mapping_in",
            "layer_ln_1": "attention.output.LayerNorm",
            "layer_ln_2": "output.LayerNorm",
        },
        refused={
            "madx": f"{_NO_HEAD}, so an invertible adapter cannot be undone",
            "masked_text": _NO_HEAD,
            "prefix": _NO_PREFIX,
        },
    ),
    "xlm-roberta-xl": Architecture(
        counts_from_padding=True,
        masked_lm=_ROBERTA_HEAD,
        plug_in={**_BERT_PARTS, "model_embeddings": "embeddings"},  # its norms come before the parts, not behind
        refused={"prefix": _NO_PREFIX},
    ),
}
DECODERS = {"llama": Architecture(layers="layers", words="embed_tokens.weight", segments=False, pooler=False)}
"""For lexical injection alone."""


def architecture_of(config: Any) -> Architecture:
    """The architecture that an encoder's ``config`` (a mapping, or transformers' object) names.

    Raises:
        InputError: it is not one of those above.
    """
    kind = config.get("model_type") if isinstance(config, Mapping) else config.model_type
    known = {**ARCHITECTURES, **DECODERS}
    if kind not in known:
        raise InputError(f"expected one of the architectures {', '.join(ARCHITECTURES)}, got {kind}")
    return known[kind]


def refusal(config: Any, kind: str) -> str | None:
    """Why the architecture of an encoder cannot have a kind of tuning, in one line; None where it can."""
    reason = architecture_of(config).refused.get(kind)
    name = config["model_type"] if isinstance(config, Mapping) else config.model_type
    return None if reason is None else f"{kind} cannot be had with an encoder of architecture {name}: {reason}"
