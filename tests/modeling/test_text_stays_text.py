"""Text that spells a special token ("</s>", "[SEP]") is read as text: by every kind of tokenizer and for every family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from xlt.data.features import text_rows
from xlt.data.records import AnswerSpan, Choice, Pair, Question, Tagged
from xlt.families.choice import choice_features
from xlt.families.classification import pair_features
from xlt.families.qa import span_features
from xlt.families.tagging import tagging_features
from xlt.files import to_json
from xlt.modeling.pretrained import load_tokenizer
from xlt.modeling.tokenizer import fast_tokenizer
from xlt.training.mlm_data import MaskedCorpus

XLMR = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
BERT = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
TEXT = ["the cat sat on the mat", "a dog ran </s> to <mask> the [SEP] red [MASK] house <pad> <s> [CLS] [PAD]"]
KINDS = ("unigram", "bpe", "byte-level bpe", "wordpiece", "wordpiece by white space")


def backend(kind: str) -> tuple[Tokenizer, tuple[str, ...]]:
    """A small tokenizer of a kind, trained on words that spell special tokens too, and its special tokens."""
    if kind.startswith("wordpiece"):
        made = Tokenizer(models.WordPiece(unk_token=BERT[3]))
        made.normalizer = normalizers.BertNormalizer(lowercase=kind == "wordpiece")
        bert, plain = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.WhitespaceSplit()
        made.pre_tokenizer = bert if kind == "wordpiece" else plain
        trainer: Any = trainers.WordPieceTrainer(vocab_size=200, special_tokens=list(BERT), show_progress=False)
    elif kind == "unigram":  # XLM-R's: control symbols have the score 0, above every piece
        letters = [(letter, -9.0) for letter in "abcdefghijklmnoprstu<>/[]SEPMASKCLDU"]
        pieces = [(name, 0.0) for name in XLMR[:4]] + [("▁", -3.0), ("▁the", -2.0)] + letters + [("<mask>", 0.0)]
        made = Tokenizer(models.Unigram(list(dict(pieces).items()), 3, byte_fallback=False))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        return made, XLMR
    elif kind == "bpe":
        made = Tokenizer(models.BPE(unk_token=XLMR[3]))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=list(XLMR), show_progress=False)
    else:
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=list(XLMR), show_progress=False)
    special = BERT if kind.startswith("wordpiece") else XLMR
    made.train_from_iterator(TEXT * 3, trainer)
    return made, special


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a tokenizer of each kind; its texts stand between its first and its third special token."""
    made, special = backend(request.param)
    begin, pad, end, unknown, mask = special
    ends = [(begin, made.token_to_id(begin)), (end, made.token_to_id(end))]
    pair = f"{begin} $A {end} {end} $B {end}"
    made.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}", pair=pair, special_tokens=ends)
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=begin, cls_token=begin, eos_token=end, sep_token=end, pad_token=pad,
        unk_token=unknown, mask_token=mask,
    ).save_pretrained(tmp_path)  # fmt: skip
    config = {"model_type": "bert", "max_position_embeddings": 64, "pad_token_id": 1, "type_vocab_size": 1}
    (tmp_path / "config.json").write_text(to_json(config), encoding="utf-8")
    return tmp_path


def inner(row: Sequence[int], tokenizer: Any, *, texts: int) -> list[int]:
    """A row without the special tokens that the template puts around ``texts`` texts; it must have just these."""
    begin, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    special = [id for id in row if id in set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}]
    assert special == {1: [begin, end], 2: [begin, end, end, end]}[texts]
    assert (row[0], row[-1]) == (begin, end)
    return [id for id in row if id not in (begin, end)]


def test_every_special_token_is_text(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    before = fast_tokenizer(folder)
    for name in dict.fromkeys(tokenizer.all_special_tokens):
        id = tokenizer.convert_tokens_to_ids(name)
        assert before(f"the {name} cat", add_special_tokens=False)["input_ids"].count(id) == 1
        if name == tokenizer.unk_token:  # where a word has no other reading, too
            continue
        for text in (f"the {name} cat", name, f"the{name}", f"{name}{name}"):
            assert id not in tokenizer(text, add_special_tokens=False)["input_ids"], text
    assert tokenizer.convert_tokens_to_ids(tokenizer.all_special_tokens) == before.all_special_ids


def test_other_text_is_read_as_before(folder: Path) -> None:
    tokenizer, before = load_tokenizer(folder), fast_tokenizer(folder)
    for text in (*TEXT[:1], "a zebra Ж < s > / [sep] mask é", "", " "):
        assert tokenizer(text)["input_ids"] == before(text)["input_ids"]
        assert tokenizer(text, text)["input_ids"] == before(text, text)["input_ids"]
    assert sorted(tokenizer.get_vocab().values())[-1] == sorted(before.get_vocab().values())[-1]


def test_a_unigram_model_cuts_as_if_it_had_no_control_symbols(tmp_path: Path) -> None:
    made, special = backend("unigram")
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(to_json({"model_type": "bert", "max_position_embeddings": 64}))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.tokenize("the </s>") == ["▁the", "▁", "<", "/", "s", ">"]
    assert tokenizer.tokenize("<mask>") == ["▁", "<", "m", "a", "s", "k", ">"]
    assert tokenizer("é", add_special_tokens=False)["input_ids"] == [4, 3]  # unknown letters still are


def test_no_family_reads_a_special_token(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    text = TEXT[1]
    (pair,) = pair_features([Pair("1", text, text, "a")], tokenizer, ["a"], 512)
    inner(pair.rows[0], tokenizer, texts=2)
    (choice,) = choice_features([Choice("1", text, (text, "a"), 0)], tokenizer, 512)
    for row in choice.rows:
        inner(row, tokenizer, texts=2)
    words = tuple(text.split())
    tags = tuple("ab"[number % 2] for number in range(len(words)))
    for feature in tagging_features([Tagged("1", words, tags)], tokenizer, ["a", "b"], 512):
        inner(feature.rows[0], tokenizer, texts=1)
        assert len(feature.positions) == sum(target >= 0 for target in feature.target)
    answer = AnswerSpan("</s>", text.index("</s>"))
    for window in span_features([Question("1", "[SEP] </s>?", text, (answer,))], tokenizer, 48, 8, training=True):
        inner(window.rows[0], tokenizer, texts=2)
    for row in text_rows([text], tokenizer, 512)[0]:  # LAReQA, Mewsli-X, Tatoeba, BUCC
        inner(row, tokenizer, texts=1)


def test_masked_text_is_no_mask(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    (folder / "en.txt").write_text("\n".join([TEXT[1]] * 4) + "\n", encoding="utf-8")
    corpus = MaskedCorpus({"en": folder / "en.txt"}, tokenizer, 48, 0.15, 1)
    for block in corpus.blocks["en"]:
        assert tokenizer.mask_token_id not in block[1:-1] and tokenizer.sep_token_id not in block[1:-1]
    vocabulary = set(fast_tokenizer(folder).get_vocab().values())
    assert set(corpus.ordinary.tolist()) == vocabulary - set(tokenizer.all_special_ids)
