"""What all task families share. A family is one object: everything that one kind of task needs, from records to a score.

Its module has the features that the encoder reads, the head, the loss of a micro-batch, decoding, the score on development
data, gold labels and the kind of the submission files. Scores are those of XTREME's ``evaluate.py`` on the same files, with
two differences: what is missing or unknown is named instead of left out, and LAReQA, which that script cannot score, follows
its definition. Nothing is imported from torch until it is used: planning and scoring do without.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from xlt.config.benchmark import Recipe, Task
from xlt.data.batching import by_token_budget
from xlt.data.features import Feature
from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.submission import FileKind, TaskFiles, line_of, read_text

if TYPE_CHECKING:
    from torch import Tensor, nn

    from xlt.modeling.architectures import Architecture
    from xlt.modeling.model import TransferModel

Floats = NDArray[np.float32]
Values = dict[str, list[float]]
"""By metric the score (0 to 1) of each example."""
MicroBatchLoss = Callable[[], "Tensor"]
"""Computes one part of the loss of a batch; called again, it runs the model again (adversarial training does)."""
_TREEBANK = re.compile(r"^\d+\.")
"""The number of its file before the id of a sentence where a language has several: parallel treebanks have any number."""


class Spec(Protocol):
    """What features and predictions depend on of a recipe, or of a task as its recipe was trained (``outputs``)."""

    @property
    def labels(self) -> list[str] | None:
        """What the head's outputs stand for, in their order."""

    @property
    def max_length(self) -> int:  # noqa: D102
        ...

    @property
    def doc_stride(self) -> int | None:  # noqa: D102
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one file: metrics in per cent, number of gold examples, and how many had no prediction.

    ``examples`` counts sentences for tagging and gold pairs for BUCC; ``unanswered`` examples scored 0.
    """

    metrics: dict[str, float]
    examples: int
    unanswered: int = 0


class Family(ABC):
    """A task family.

    Attributes:
        name: as configs call it.
        kind: the kind of its prediction files, and of its label files unless ``write_gold`` says otherwise.
        further: the kinds of files in folders "<task>_<ending>" beside the task's own, by ending.
        metrics: what ``score`` gives.
        supervised: whether a trained head predicts; the others compare sentence embeddings, which every encoder gives.
    """

    name: ClassVar[str]
    kind: ClassVar[FileKind]
    further: ClassVar[Mapping[str, FileKind]] = {}
    metrics: ClassVar[tuple[str, ...]]
    supervised: ClassVar[bool]

    def metrics_of(self, task: Task) -> tuple[str, ...]:
        """What a task may be scored by."""
        return self.metrics

    # The model

    @abstractmethod
    def head(self, width: int, outputs: int, dropout: float, *, pooler: bool = False) -> nn.Module:
        """A fresh head for an encoder of ``width``; ``pooler``: as ``reads_pooler`` says."""

    def reads_pooler(self, architecture: Architecture, dual_encoder: str | None) -> bool:
        """Whether the reference reads the encoder's pooler here: dense and tanh over the first token."""
        return False

    # Training

    def training_features(self, records: Sequence[Any], tokenizer: Any, recipe: Recipe, prefix: str) -> list[Feature]:
        """What is trained on, from the cache where a run has made it before; ``prefix`` stands before embedded texts."""
        raise NotImplementedError(f"nothing is trained for {self.name}")

    def losses(self, model: TransferModel, features: Sequence[Feature], budget: int) -> Iterator[MicroBatchLoss]:
        """Parts of at most ``budget`` padded tokens that add up to the mean loss of a batch.

        Because every part is divided by the size of the whole batch, the gradient is that of the mean loss over it, as in
        the papers. The micro-batches of the reference, where a loss depends on them, are those of a recipe, not these.
        """
        raise NotImplementedError(f"nothing is trained for {self.name}")

    def capped(self, records: Sequence[Any], take: Callable[[Sequence[Any]], list[Any]]) -> list[Any]:
        """The examples that ``take`` chooses from training or development records."""
        return take(records)

    # Files

    def files(self, task: Task) -> TaskFiles:
        """The folder of a task in the submission layout."""
        return TaskFiles(task.name, self.kind, task.labels or range(task.options or 0))

    def further_files(self, task: Task) -> tuple[TaskFiles, ...]:
        """Folders beside the task's own that XTREME does not have."""
        return tuple(TaskFiles(f"{task.name}_{ending}", kind) for ending, kind in self.further.items())

    def write_gold(self, folder: Path, task: Task, records: Mapping[str, Any]) -> None:
        """Write the label files of every language from its records.

        Raises:
            ValueError: a record has no label.
        """
        for language, own in records.items():
            self.files(task).write(folder, language, self.gold(own))

    def gold(self, records: Any) -> Any:
        """What the label file of a language holds."""
        return [present(record.label, record.id) for record in records]

    def read_gold(self, task: Task, path: Path) -> Any:
        """Read a label file.

        Raises:
            Withheld: every example is without its right option, candidate or answer. (Of labels and tags the layout has no
                such form: a file of sentences or words is refused at its first line.)
            InputError: as ``TaskFiles.read``.
        """
        return self.files(task).read(path)

    # Names of examples

    def items_of(self, task: Task) -> str:
        """The task whose examples these are, with the same ids: of language pairs that of single languages."""
        return task.name.removesuffix("-pairs") if task.pairs else task.name

    def names(self, records: Any) -> list[str]:
        """What tells the items of one language apart."""
        return [_TREEBANK.sub("", record.id) for record in records]

    def names_in(self, task: Task, label_file: Path) -> list[str]:
        """The same from a label file that names its examples."""
        return list(self.read_gold(task, label_file))

    # Scores

    def score(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> Score:
        """The metrics of one prediction file.

        Args:
            language: of the file, or a pair "en-de"; MLQA's answers are in the first one, the passage's.

        Raises:
            Withheld: the label file holds no gold.
            InputError: a file is absent or not in the layout, or the two do not fit each other.
        """
        values, unanswered = self.per_example(task, prediction_file, label_file, language)
        means = {metric: self.percent(scores) for metric, scores in values.items()}
        return Score(means, len(next(iter(values.values()))), unanswered)

    def per_example(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> tuple[Values, int]:
        """The score of each example in the label file's order, and the number of examples without a prediction.

        The mean is the score of the file. Accuracy, exact match, F1 of answers and mAP@20 are such means; the F1 of tagging
        and of BUCC are not. Arguments and input errors as ``score``.

        Raises:
            ValueError: the task's score is not a mean over examples.
        """
        gold, given = self.read_gold(task, label_file), self.files(task).read(prediction_file)
        if len(gold) != len(given):
            message = f"expected {len(gold)} predictions, as many as {label_file} has labels, got {len(given)}"
            raise InputError(message, prediction_file, min(len(given), len(gold) + 1))
        return {"accuracy": metrics.correct(gold, given)}, 0

    def percent(self, scores: Sequence[float]) -> float:
        """The mean in per cent, multiplied and divided in the order of the owner's script, so that the last bit agrees."""
        return sum(scores) / len(scores) * 100

    def example_arrays(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> dict[str, Floats]:
        """By metric [examples] scores from 0 to 1, for tests that draw examples; what else serves them, or nothing."""
        values, _ = self.per_example(task, prediction_file, label_file, language)
        return {metric: np.asarray(scores, dtype=np.float32) for metric, scores in values.items()}

    def score_run(self, task: Task, predictions: Path, labels: Path, language: str) -> Score:
        """A run's score in a language: its own file's, and what the further folders add. The folders are a run's."""
        files = self.files(task)
        return self.score(task, files.path(predictions, language), files.path(labels, language), language)

    def further_figures(
        self, task: Task, predictions: Path, labels: Path, languages: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """What ``scores.json`` says of a task besides its metrics."""
        return {}

    def notes(self, records: Mapping[str, Sequence[Any]]) -> list[str]:
        """What a table should say of the data that a task was scored on."""
        return []


class Supervised(Family):
    """A family whose head predicts: labels, options, tags or answers."""

    supervised = True

    @abstractmethod
    def features(self, records: Sequence[Any], tokenizer: Any, spec: Spec, *, training: bool = False) -> list[Feature]:
        """What the encoder reads of ``records``."""

    def training_features(self, records: Sequence[Any], tokenizer: Any, recipe: Recipe, prefix: str) -> list[Feature]:
        """What is trained on, from the cache where a run has made it before."""
        return self.features(records, tokenizer, recipe, training=True)

    def label_scores(self, model: TransferModel, features: Sequence[Feature]) -> Tensor:
        """The scores that a softmax makes a distribution over labels of: [features, ..., labels]."""
        return model.scores(model.batch(features))

    def loss_sum(self, model: TransferModel, features: Sequence[Feature]) -> Tensor:
        """Cross-entropy of the right label over all labels' scores, summed."""
        from torch.nn import functional

        return functional.cross_entropy(self.label_scores(model, features), targets(model, features), reduction="sum")

    def divisors(self, features: Sequence[Feature], micro_batch_size: int | None) -> list[int]:
        """By feature, what its summed loss is divided by in that of a batch: a mean over features, which no cut changes."""
        return [len(features)] * len(features)

    def part(self, model: TransferModel, features: Sequence[Feature], divisors: Sequence[int]) -> Tensor:
        """The part of the loss of a batch that some of its features make."""
        return self.loss_sum(model, features) / divisors[0]

    def losses(self, model: TransferModel, features: Sequence[Feature], budget: int) -> Iterator[MicroBatchLoss]:
        """The parts of the mean loss of one batch; of several processes each gets the parts of its share of the examples."""
        from xlt.modeling import distributed

        divisors = self.divisors(features, model.micro_batch_size)
        costs = [len(feature.rows) for feature in features]
        widths = [feature.length for feature in features]
        own = distributed.share([cost * width for cost, width in zip(costs, widths, strict=True)])
        for group in by_token_budget(own, costs, widths, budget):
            yield partial(self.part, model, [features[i] for i in group], [divisors[i] for i in group])

    def drawn_target(self, feature: Feature, drawn: Any) -> Any:
        """The target of a feature whose labels were drawn from ``label_scores``."""
        return drawn

    @abstractmethod
    def decode(
        self, records: Sequence[Any], features: Sequence[Feature], outputs: Sequence[Floats], spec: Spec
    ) -> list[Any]:
        """Predictions in the order of ``records``, from the head's output for each feature."""

    def predict(
        self, model: TransferModel, tokenizer: Any, records: Sequence[Any], spec: Spec, *, budget: int, title: str
    ) -> list[Any]:
        """Labels, options, tags or answers in the order of ``records``: of development data as of test data."""
        from xlt.modeling.outputs import outputs_of

        features = self.features(records, tokenizer, spec)
        return self.decode(records, features, outputs_of(model, features, budget=budget, title=title), spec)

    def development_score(self, records: Sequence[Any], predictions: Sequence[Any]) -> float:
        """The task's main metric, in per cent."""
        return metrics.accuracy(self.gold(records), predictions)

    def content(self, records: Sequence[Any], predictions: Sequence[Any]) -> Any:
        """What the prediction file of a language holds."""
        return predictions

    def votes(self, predictions: Sequence[Any]) -> list[Any]:
        """What smoothed prediction votes on: one label per example."""
        return list(predictions)

    def elected(self, winners: Sequence[Any], predictions: Sequence[Any]) -> list[Any]:
        """The winners of the votes as predictions, in the shape of ``predictions``."""
        return list(winners)


def targets(model: TransferModel, features: Sequence[Feature]) -> Tensor:
    """The targets of features as a tensor where the model is."""
    import torch

    return torch.tensor([feature.target for feature in features], device=model.device)


def present(gold: Any, name: str) -> Any:
    """``gold``, which must be there to be written."""
    if gold is None:
        raise ValueError(f"{name} has no gold label to write")
    return gold


def refuse_unknown(
    given: Mapping[str, object], gold: Mapping[str, object], noun: str, prediction_file: Path, label_file: Path
) -> None:
    """Refuse predictions for what the label file does not have."""
    for name in given:
        if name not in gold:
            line = line_of(read_text(prediction_file), name)
            raise InputError(f"expected a {noun} id of {label_file}, got {name!r}", prediction_file, line)
