"""Prompts with options, one of which is right: XCOPA, and COPA, Social IQa and their like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.config.benchmark import Task
from xlt.data.feature_cache import cached
from xlt.data.features import Feature, text_rows
from xlt.data.records import Choice
from xlt.evaluation.submission import OPTIONS, Withheld, lines_of, parse_json, read_text
from xlt.families.base import Floats, Spec, Supervised

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from xlt.modeling.architectures import Architecture
    from xlt.modeling.model import TransferModel


def choice_features(records: Sequence[Choice], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Feature]:
    """One row per option, each the pair (prompt, option)."""
    features = []
    for number, record in enumerate(records):
        rows, types = text_rows([(record.prompt, option) for option in record.options], tokenizer, max_length)
        features.append(Feature(number, list(rows), types, target=record.label))
    return features


class MultipleChoice(Supervised):
    """Each option has a score of its own, from the first token of its pair with the prompt."""

    name = "choice"
    kind = OPTIONS
    metrics = ("accuracy",)

    def features(
        self, records: Sequence[Choice], tokenizer: Any, spec: Spec, *, training: bool = False
    ) -> list[Feature]:
        """One row for each option; the target is the index of the right one."""
        return cached(choice_features, records, tokenizer, spec.max_length)

    def head(self, width: int, outputs: int, dropout: float, *, pooler: bool = False) -> torch.nn.Module:
        """One score over the encoder's pooler."""
        from xlt.modeling.heads import SequenceHead

        return SequenceHead(width, 1, dropout, input_dropout=False)

    def reads_pooler(self, architecture: Architecture, dual_encoder: str | None) -> bool:
        """Multiple choice does so with every encoder."""
        return True

    def label_scores(self, model: TransferModel, features: Sequence[Feature]) -> Tensor:
        """Scores of the options of each feature: [features, most options], -inf where a feature has fewer."""
        import torch

        flat = model.scores(model.batch(features)).squeeze(-1)
        split = torch.split(flat, [len(feature.rows) for feature in features])
        return torch.nn.utils.rnn.pad_sequence(list(split), batch_first=True, padding_value=float("-inf"))

    def decode(
        self, records: Sequence[Choice], features: Sequence[Feature], outputs: Sequence[Floats], spec: Spec
    ) -> list[int]:
        """The index of the best option of each record."""
        return [int(scores.argmax()) for scores in outputs]

    def read_gold(self, task: Task, path: Path) -> list[int]:
        """The index of the right option of each record."""
        rows = [parse_json(line, path, number) for number, line in enumerate(lines_of(read_text(path)), start=1)]
        if all(isinstance(row, dict) and row.get("label") is None for row in rows):
            raise Withheld("gold is withheld: no line has a label", path)
        right: list[int] = super().read_gold(task, path)
        return right
