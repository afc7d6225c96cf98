"""Sentences of words with a tag each: WikiANN and UD-POS."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xlt.config.benchmark import Task
from xlt.data.feature_cache import cached
from xlt.data.features import IGNORED, Feature, longest
from xlt.data.records import Tagged
from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.submission import TAGS
from xlt.families.base import Floats, Score, Spec, Supervised, Values, present

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerFast

    from xlt.modeling.model import TransferModel


def tagging_features(
    records: Sequence[Tagged], tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
) -> list[Feature]:
    """Words cut into sub-words, the first of which carries the word's label.

    As XTREME's ``utils_preprocess.py`` does, a sentence of more than ``max_length`` sub-words becomes several windows
    (no word is dropped), and a word without any sub-word, or with more than fit, is read as the unknown token.
    """
    index = {label: position for position, label in enumerate(labels)}
    begin, end = tokenizer("")["input_ids"]  # <s> and </s>, or [CLS] and [SEP]
    room = longest(tokenizer, max_length) - 2
    features: list[Feature] = []
    for number, record in enumerate(records):
        pieces = _word_pieces(record.words, tokenizer, room)
        for first, last in _windows([len(piece) for piece in pieces], room):
            body: list[int] = []
            starts = []
            for piece in pieces[first:last]:
                starts.append(len(body))
                body.extend(piece)
            row = [begin, *body, end]
            positions = [start + 1 for start in starts]
            target = None
            if record.tags is not None:
                target = [IGNORED] * len(row)
                for position, tag in zip(positions, record.tags[first:last], strict=True):
                    target[position] = index[tag]
            features.append(Feature(number, [row], [[0] * len(row)], target, positions, first))
    return features


def _word_pieces(words: Sequence[str], tokenizer: PreTrainedTokenizerFast, room: int) -> list[list[int]]:
    """The sub-words of each word as it stands behind a space.

    XLM-R's tokenizer puts that space there itself; with Gemma's (mmBERT) a bare word would be read as the end of one.
    """
    space = " " if tokenizer("a")["input_ids"] != tokenizer(" a")["input_ids"] else ""
    coded = tokenizer([space + word for word in words], add_special_tokens=False, return_attention_mask=False)[
        "input_ids"
    ]
    nothing = tokenizer(space, add_special_tokens=False)["input_ids"]
    unknown = [tokenizer.unk_token_id]
    return [list(piece) if piece != nothing and len(piece) <= room else unknown for piece in coded]


def _windows(sizes: Sequence[int], room: int) -> Iterable[tuple[int, int]]:
    """Cut consecutive words into windows of at most ``room`` sub-words: (first word, end) of each."""
    first = used = 0
    for word, size in enumerate(sizes):
        if used + size > room:
            yield first, word
            first, used = word, 0
        used += size
    if first < len(sizes):
        yield first, len(sizes)


class Tagging(Supervised):
    """A tag for each word, from its first sub-word."""

    name = "tagging"
    kind = TAGS
    metrics = ("f1", "precision", "recall", "accuracy")

    def features(
        self, records: Sequence[Tagged], tokenizer: Any, spec: Spec, *, training: bool = False
    ) -> list[Feature]:
        """One row for each window of a sentence; the target has the place of a word's tag at its first sub-word."""
        return cached(tagging_features, records, tokenizer, spec.labels or [], spec.max_length)

    def head(self, width: int, outputs: int, dropout: float, *, pooler: bool = False) -> nn.Module:
        """The scores of the tags at every token."""
        from xlt.modeling.heads import TokenHead

        return TokenHead(width, outputs, dropout)

    def losses_of(self, model: TransferModel, features: Sequence[Feature]) -> Tensor:
        """Cross-entropy of each word's tag at its first sub-word, summed over the words of each feature: [features]."""
        import torch
        from torch.nn import functional

        scores = self.label_scores(model, features)
        targets = torch.full(scores.shape[:2], IGNORED, device=model.device)
        for number, feature in enumerate(features):
            targets[number, : len(feature.target)] = torch.tensor(feature.target, device=model.device)
        losses = functional.cross_entropy(
            scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return losses.view(targets.shape).sum(1)

    def loss_sum(self, model: TransferModel, features: Sequence[Feature]) -> Tensor:
        """The same, summed over all words."""
        return self.losses_of(model, features).sum()

    def divisors(self, features: Sequence[Feature], micro_batch_size: int | None) -> list[int]:
        """The mean over micro-batches of ``micro_batch_size`` of the means over their words, as in XTREME's scripts."""
        size = micro_batch_size or len(features)
        parts = [features[start : start + size] for start in range(0, len(features), size)]
        return [len(parts) * max(1, words(part)) for part in parts for _ in part]

    def part(self, model: TransferModel, features: Sequence[Feature], divisors: Sequence[int]) -> Tensor:
        """The sums over the words of each feature, each divided by its own number."""
        import torch

        return (self.losses_of(model, features) / torch.tensor(divisors, device=model.device)).sum()

    def drawn_target(self, feature: Feature, drawn: Sequence[int]) -> list[int]:
        """What has no tag (padding, inner sub-words) gets none."""
        return [IGNORED if gold == IGNORED else tag for gold, tag in zip(feature.target, drawn, strict=False)]

    def decode(
        self, records: Sequence[Tagged], features: Sequence[Feature], outputs: Sequence[Floats], spec: Spec
    ) -> list[list[str]]:
        """One tag per word of each sentence."""
        labels = spec.labels or []
        tags: list[list[str]] = [[] for _ in records]
        for feature, scores in zip(features, outputs, strict=True):
            if len(tags[feature.record]) != feature.first_word:
                raise AssertionError("windows of a sentence are out of order")
            tags[feature.record].extend(labels[int(i)] for i in scores[feature.positions].argmax(-1))
        return tags

    def development_score(self, records: Sequence[Tagged], predictions: Sequence[list[str]]) -> float:
        """F1 over spans, in per cent."""
        return metrics.tag_f1(self.gold(records), predictions)["f1"]

    def gold(self, records: Sequence[Tagged]) -> list[list[str]]:
        """The tags of each sentence."""
        return [list(present(record.tags, record.id)) for record in records]

    def score(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> Score:
        """F1, precision and recall over spans, and the share of right tags where the task is scored by it."""
        gold, given = self._sentences(task, prediction_file, label_file)
        words = {"accuracy": metrics.accuracy([*chain(*gold)], [*chain(*given)])} if "accuracy" in task.metrics else {}
        return Score(metrics.tag_f1(gold, given) | words, len(gold))

    def _sentences(
        self, task: Task, prediction_file: Path, label_file: Path
    ) -> tuple[list[list[str]], list[list[str]]]:
        """Gold and predicted tags, as many in each sentence."""
        gold, given = self.read_gold(task, label_file), self.files(task).read(prediction_file)
        line = 1
        for number, (right, tags) in enumerate(zip(gold, given, strict=False), start=1):
            if len(right) != len(tags):
                message = f"expected {len(right)} tags in sentence {number}, as in {label_file}, got {len(tags)}"
                raise InputError(message, prediction_file, line)
            line += len(tags) + 1
        if len(gold) != len(given):
            message = f"expected {len(gold)} sentences, as many as {label_file} has, got {len(given)}"
            raise InputError(message, prediction_file, line if len(given) > len(gold) else line - 2)
        return gold, given

    def per_example(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> tuple[Values, int]:
        """There is no such score."""
        raise ValueError(f"{task.name} is scored by an F1 over the whole file, not by a mean over examples")

    def example_arrays(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> dict[str, Floats]:
        """[sentences, 3] spans (right, predicted, gold), of which F1 is 2 * right / (predicted + gold), summed."""
        return {"f1": span_counts(*(self.files(task).read(path) for path in (label_file, prediction_file)))}

    def votes(self, predictions: Sequence[list[str]]) -> list[str]:
        """Each word has a vote."""
        return [*chain(*predictions)]

    def elected(self, winners: Sequence[str], predictions: Sequence[list[str]]) -> list[list[str]]:
        """The winners sentence by sentence."""
        tags = iter(winners)
        return [[next(tags) for _ in sentence] for sentence in predictions]


def words(features: Sequence[Feature]) -> int:
    """How many labelled words features have."""
    return sum(label != IGNORED for feature in features for label in feature.target)


def span_counts(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Floats:
    """Right, predicted and gold spans of each sentence, [sentences, 3].

    Spans are those of ``metrics.tag_f1`` (seqeval's default mode), sentence by sentence.
    """
    from seqeval.metrics.sequence_labeling import get_entities  # scikit-learn: slow import

    counts = np.zeros((len(gold), 3), dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* seems not to be NE tag")
        for number, (right, given) in enumerate(zip(gold, predicted, strict=True)):
            wanted, found = set(get_entities([list(right)])), set(get_entities([list(given)]))
            counts[number] = len(wanted & found), len(found), len(wanted)
    return counts
