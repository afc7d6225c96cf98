"""What the families share that compare sentence embeddings, and the training of those that have a dual encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from xlt.config.benchmark import Recipe, Task
from xlt.config.run_config import Evaluation
from xlt.data.feature_cache import cached
from xlt.data.features import Feature, text_rows
from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.nearest_neighbors import nearest
from xlt.evaluation.submission import RANKINGS, Withheld, line_of, read_text
from xlt.families.base import Family, Floats, MicroBatchLoss, Values, refuse_unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from xlt.modeling.architectures import Architecture
    from xlt.modeling.model import TransferModel

DEPTH = 20
"""Candidates kept per query: XTREME-R scores mAP@20."""

Text = str | tuple[str, str]
Embed = Callable[[Sequence[Text], int, str, Sequence[str]], NDArray[np.float32]]
"""(texts or text pairs, longest input in tokens, title of the progress bar, language of each text) -> [texts, width].

Rows are of unit length. The languages matter to MAD-X only, which reads each text with its own language's adapter."""
Predictions = dict[str, dict[str, Any]]
"""By folder of the submission layout and language what its file holds."""
Rankings = dict[str, list[str]]
"""By query the candidates, best first."""


class Retrieval(Family):
    """A family that compares sentence embeddings.

    ``middle_layer``: XTREME embeds with a middle layer, of a tuned encoder too (``run_tatoeba.sh``, ``run_bucc2018.sh``).
    """

    supervised = False
    middle_layer: ClassVar[bool] = False

    def head(self, width: int, outputs: int, dropout: float, *, pooler: bool = False) -> nn.Module:
        """The learned scale of cosine similarities, and the reference's pooler."""
        from xlt.modeling.heads import PoolerHead, ScaleHead

        return PoolerHead(width) if pooler else ScaleHead()

    @abstractmethod
    def retrieve(self, evaluation: Evaluation, records: Mapping[str, Any], embed: Embed, data: Path) -> Predictions:
        """Predictions from the test records of each language; ``data``: the folder of what else the config names."""


class DualEncoder(Retrieval):
    """A family whose encoder is trained with an in-batch softmax and ranks candidates."""

    kind = RANKINGS
    metrics = ("map@20",)

    def reads_pooler(self, architecture: Architecture, dual_encoder: str | None) -> bool:
        """Every dual encoder trained in the reference's way does."""
        return dual_encoder == "reference"

    @abstractmethod
    def pairs(self, records: Sequence[Any], recipe: Recipe) -> tuple[list[tuple[str, Text]], int, int]:
        """Training pairs of a query and its answer, and the longest of either in sub-words."""

    @abstractmethod
    def development_score(self, records: Sequence[Any], embed: Embed, max_length: int) -> float:
        """mAP@20 on English development data, in per cent."""

    def training_features(self, records: Sequence[Any], tokenizer: Any, recipe: Recipe, prefix: str) -> list[Feature]:
        """Row 0 of a feature is the query, row 1 its answer."""
        pairs, query, answer = self.pairs(records, recipe)
        return cached(contrastive_features, pairs, tokenizer, query_length=query, answer_length=answer, prefix=prefix)

    def losses(self, model: TransferModel, features: Sequence[Feature], budget: int) -> Iterator[MicroBatchLoss]:
        """In-batch softmax over cosine similarities times a learned scale (XTREME-R's dual encoder).

        With the model's ``micro_batch_size`` the other answers of the micro-batch are the negatives, as in the reference;
        without, those of the whole batch except answers with the same token ids as the right one, which are right too. The
        loss couples examples, so it is computed in one part, by every process that asks, and ``budget`` does not apply.
        """
        yield partial(self._contrast, model, features)

    def _contrast(self, model: TransferModel, features: Sequence[Feature]) -> Tensor:
        import torch
        from torch.nn import functional

        queries, answers = (
            model.embeddings(model.batch([replace(f, rows=[f.rows[side]], types=[f.types[side]]) for f in features]))
            for side in (0, 1)
        )
        scores = model.logit_scale() * queries @ answers.T
        left_out = no_negatives(features, model.micro_batch_size).to(model.device)
        return functional.cross_entropy(
            scores.masked_fill(left_out, float("-inf")), torch.arange(len(features)).to(model.device)
        )

    def read_gold(self, task: Task, path: Path) -> Rankings:
        """The right candidates of each query."""
        gold: Rankings = super().read_gold(task, path)
        if gold and not any(gold.values()):
            raise Withheld("gold is withheld: no query has a right answer", path)
        return gold

    expected: ClassVar[str] = "at least one right candidate"

    def may_be_right(self, right: Sequence[str]) -> bool:
        """Whether a query may have these right candidates."""
        return bool(right)

    def per_example(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> tuple[Values, int]:
        """mAP@20 of each query."""
        gold, given = self.read_gold(task, label_file), self.files(task).read(prediction_file)
        for query, right in gold.items():
            if not self.may_be_right(right):
                line = line_of(read_text(label_file), query)
                raise InputError(f"expected {self.expected} for {query}, got {len(right)}", label_file, line)
        if not gold:
            raise InputError("expected at least one query, got none", label_file)
        refuse_unknown(given, gold, "query", prediction_file, label_file)
        values = [metrics.average_precision(right, given.get(query, [])) for query, right in gold.items()]
        return {"map@20": values}, len(gold.keys() - given.keys())


def contrastive_features(
    pairs: Sequence[tuple[str, Text]], tokenizer: Any, *, query_length: int, answer_length: int, prefix: str
) -> list[Feature]:
    """Training features of a dual encoder: row 0 the query, row 1 its answer."""
    queries, query_types = text_rows([prefix + query for query, _ in pairs], tokenizer, query_length)
    answers, answer_types = text_rows([with_prefix(answer, prefix) for _, answer in pairs], tokenizer, answer_length)
    return [
        Feature(number, [query, answer], [query_types[number], answer_types[number]])
        for number, (query, answer) in enumerate(zip(queries, answers, strict=True))
    ]


def with_prefix(text: Any, prefix: str) -> Any:
    """``prefix`` in front of a text, or of the first text of a pair."""
    return prefix + text if isinstance(text, str) else (prefix + text[0], text[1])


def no_negatives(features: Sequence[Feature], micro_batch_size: int | None) -> Tensor:
    """For each query (row), which answers (columns) of other features are no negatives of it: [features, features]."""
    import torch

    if micro_batch_size is not None:
        part = torch.arange(len(features)) // micro_batch_size
        return part[:, None] != part[None, :]
    return torch.tensor(
        [[i != j and a.rows[1] == b.rows[1] for j, b in enumerate(features)] for i, a in enumerate(features)]
    )


def best_of(queries: Sequence[str], vectors: Floats, names: Sequence[str], pool: Floats) -> Rankings:
    """The ``DEPTH`` candidates nearest to each query."""
    found, _ = nearest(vectors, pool, DEPTH)
    return {query: [names[i] for i in row] for query, row in zip(queries, found, strict=True)}


def mean_map20(gold: Rankings, rankings: Rankings) -> float:
    """mAP@20 in per cent."""
    return 100 * sum(metrics.average_precision(right, rankings[name]) for name, right in gold.items()) / len(gold)
