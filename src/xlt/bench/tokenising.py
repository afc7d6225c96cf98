"""Sentence pairs to token ids: all in one call, against a call for each as the scripts make."""

from __future__ import annotations

import random
from typing import Any

from xlt.bench.inputs import files_of, records_of
from xlt.bench.measure import Report, in_turn, ratio
from xlt.bench.settings import Bench
from xlt.data.records import Pair
from xlt.families.classification import pair_features
from xlt.modeling.pretrained import load_tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = 2000


def random_sentences(number: int) -> list[str]:
    """Sentences of 5 to 30 words out of 5,000."""
    draw = random.Random(0)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(5000)]
    return [" ".join(draw.choices(words, k=draw.randint(5, 30))) for _ in range(number)]


def small_tokenizer(sentences: list[str], max_length: int) -> Any:
    """A byte-pair tokenizer in the frame of XLM-R's, trained on ``sentences``."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import XLMRobertaTokenizerFast

    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    raw.train_from_iterator(
        sentences, trainers.BpeTrainer(vocab_size=PIECES, special_tokens=special, show_progress=False)
    )
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(tokenizer_object=raw, model_max_length=max_length)


def tokenisation(bench: Bench) -> Report:
    """(f) Pairs to ids as for prediction: ``pair_features``, against one call a pair (as ``run_classify.py`` of XTREME)."""
    size, limit = bench.sizes.tokenisation, bench.config.max_length["nli"]
    if bench.data is not None and bench.encoder is not None:
        tokenizer = load_tokenizer(bench.encoder)
        wanted = bench.config.lengths.nli_test
        records = [record for path in files_of(bench, wanted) for record in records_of(wanted, path)]
        chosen = random.Random(0).sample(records, min(size.pairs, len(records)))
        pairs = [Pair(r.id, r.text_a, r.text_b, None) for r in chosen]
    else:
        sentences = random_sentences(2 * size.pairs)
        tokenizer = small_tokenizer(sentences, limit)
        pairs = [Pair(str(i), a, b, None) for i, (a, b) in enumerate(zip(*[iter(sentences)] * 2, strict=True))]
    found: dict[str, list[list[int]]] = {}

    def ours(turn: int) -> None:
        found["ours"] = [feature.rows[0] for feature in pair_features(pairs, tokenizer, [], limit)]

    def each(turn: int) -> None:
        found["each"] = [
            tokenizer(pair.text_a, pair.text_b, truncation="longest_first", max_length=limit)["input_ids"]
            for pair in pairs
        ]

    ours(0)
    times = in_turn({"each": each, "ours": ours}, size)
    report = Report("Tokenisation", times)
    report.promises.append(ratio("a call for each pair / ours", times["each"], times["ours"], "at least", None))
    same = sum(a == b for a, b in zip(found["ours"], found["each"], strict=True))
    report.agreement["share of equal ids"] = same / len(pairs)
    report.figures = {"pairs": len(pairs), "vocabulary": len(tokenizer)}
    return report
