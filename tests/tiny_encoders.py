"""A random checkpoint of each architecture, tiny, with a tokenizer of the kind that its well-known encoders have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
TEXT = """
    the a cat dog bird fish sat ran saw ate on under with and not never always who what where when why did does is was mat
    tree river house red blue old young Anna Bob Carla Paris Rome because so then he she it they big small loves
"""
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
RELATIVE = {"relative_attention": True, "position_buckets": 8, "max_relative_positions": -1, "share_att_key": True}
MADE = {  # architecture: classes, what its config says, kind of tokenizer
    "bert": ("Bert", SIZES | NO_DROPOUT, "wordpiece"),
    "xlm-roberta": ("XLMRoberta", SIZES | NO_DROPOUT | {"type_vocab_size": 1}, "unigram"),
    "deberta-v2": (
        "DebertaV2",
        SIZES
        | NO_DROPOUT
        | RELATIVE
        | {"pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm", "position_biased_input": False},
        "unigram",
    ),
    "modernbert": ("ModernBert", SIZES | {"global_attn_every_n_layers": 2, "local_attention": 16}, "byte fallback"),
    "distilbert": (
        "DistilBert",
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "dropout": 0.0, "attention_dropout": 0.0}
        | {"seq_classif_dropout": 0.0},
        "wordpiece",
    ),
    "rembert": (
        "RemBert",
        SIZES | NO_DROPOUT | {"classifier_dropout_prob": 0.0, "input_embedding_size": 8, "output_embedding_size": 24},
        "unigram",
    ),
    "xlm-roberta-xl": ("XLMRobertaXL", SIZES | NO_DROPOUT | {"type_vocab_size": 1}, "unigram"),
}


def make_tokenizer(kind: str, text: Sequence[str] = (TEXT,)) -> PreTrainedTokenizerFast:
    """A tokenizer of about 200 sub-words: ``wordpiece`` (mBERT), ``unigram`` (XLM-R) or ``byte fallback`` (mmBERT).

    The last is Gemma's: a space becomes part of the word behind it and nothing stands before the first word.
    """
    raw = Tokenizer(models.Unigram())
    trainer: Any = trainers.UnigramTrainer(vocab_size=200, special_tokens=list(SPECIAL), unk_token="<unk>")
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    if kind == "wordpiece":
        raw = Tokenizer(models.WordPiece(unk_token="<unk>"))
        raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=list(SPECIAL))
    elif kind == "byte fallback":
        bytes_ = [f"<0x{number:02X}>" for number in range(256)]
        raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        raw.normalizer = normalizers.Replace(" ", "▁")
        raw.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[*SPECIAL, *bytes_], max_token_length=8)
    trainer.show_progress = False
    raw.train_from_iterator([*text] * 3, trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("bos", "pad", "eos", "unk", "mask"), SPECIAL, strict=True)) | {"cls": "<s>", "sep": "</s>"}
    kinds = ["input_ids", *(["token_type_ids"] if kind == "wordpiece" else []), "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, model_input_names=kinds, **{f"{name}_token": token for name, token in names.items()}
    )


def write_encoder(folder: Path, architecture: str, *, seed: int = 0, head: bool = False, positions: int = 128) -> Path:
    """Write a checkpoint as ``save_pretrained`` does; ``head``: with the masked-language-modelling head."""
    family, figures, kind = MADE[architecture]
    tokenizer = make_tokenizer(kind)
    config = getattr(transformers, f"{family}Config")(
        **{"vocab_size": len(tokenizer), "max_position_embeddings": positions, "pad_token_id": 1, **figures}
    )
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family}{'ForMaskedLM' if head else 'Model'}")(config)
    with torch.no_grad():  # as wide as a trained encoder's, so that sequences differ
        for name, parameter in model.named_parameters():
            if "embeddings" not in name and parameter.dim() == 2:
                parameter.mul_(4)
        model.get_input_embeddings().weight.mul_(20)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
