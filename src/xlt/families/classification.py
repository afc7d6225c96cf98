"""Sentence pairs to classify: XNLI, PAWS-X and the sets that serve them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xlt.data.feature_cache import cached
from xlt.data.features import Feature, text_rows
from xlt.data.records import Pair
from xlt.evaluation.submission import LABELS
from xlt.families.base import Floats, Spec, Supervised

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerFast

    from xlt.modeling.architectures import Architecture


def pair_features(
    records: Sequence[Pair], tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
) -> list[Feature]:
    """Sentence pairs as ``<s> a </s></s> b </s>``, cut to ``max_length`` by shortening the longer sentence."""
    if not records:
        return []
    index = {label: position for position, label in enumerate(labels)}
    rows, types = text_rows([(record.text_a, record.text_b) for record in records], tokenizer, max_length)
    return [
        Feature(number, [rows[number]], [types[number]], None if record.label is None else index[record.label])
        for number, record in enumerate(records)
    ]


class Classification(Supervised):
    """One label for a pair of sentences, from the first token."""

    name = "classification"
    kind = LABELS
    metrics = ("accuracy",)

    def features(self, records: Sequence[Pair], tokenizer: Any, spec: Spec, *, training: bool = False) -> list[Feature]:
        """One row for each pair; its target is the place of its label among those of ``spec``."""
        return cached(pair_features, records, tokenizer, spec.labels or [], spec.max_length)

    def head(self, width: int, outputs: int, dropout: float, *, pooler: bool = False) -> nn.Module:
        """XLM-R's classifier, or BERT's over the encoder's pooler."""
        from xlt.modeling.heads import SequenceHead

        return SequenceHead(width, outputs, dropout, input_dropout=not pooler)

    def reads_pooler(self, architecture: Architecture, dual_encoder: str | None) -> bool:
        """BERT's classifier does."""
        return architecture.classifier_reads_pooler

    def decode(
        self, records: Sequence[Pair], features: Sequence[Feature], outputs: Sequence[Floats], spec: Spec
    ) -> list[str]:
        """The label of each pair."""
        labels = spec.labels or []
        return [labels[int(scores.argmax())] for scores in outputs]
