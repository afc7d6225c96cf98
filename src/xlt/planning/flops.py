"""How much a run or job computes: floating-point operations and optimizer steps, counted before anything starts.

A forward pass costs two operations per weight of the layers and sub-word, and attention 4 * width * length more per layer
(query times key, and weights times value, each length * width multiplications and as many additions). The gradient of the
activations costs another forward pass, that of the weights a third (Kaplan et al. 2020, Scaling Laws, section 2.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from xlt.config.benchmark import Model
from xlt.config.lexical_injection import LexicalRun
from xlt.config.robustness import Adversarial
from xlt.config.run_config import Evaluation, LanguageAdapterConfig, RunConfig, Stage
from xlt.errors import InputError
from xlt.files import read_json
from xlt.modeling.architectures import architecture_of
from xlt.modeling.model_sources import PACKAGE
from xlt.planning.token_counts import Extent, Extents

WORD_TOKENS = 6
"""Sub-words of a word in a batch, special tokens and padding included."""
BACKWARD = {"full": 2.0, "head": 0.0, "frozen": 0.0}
"""Cost of a step's backward pass in forward passes; 1 for what is added to a frozen encoder: no gradient of its weights."""


@dataclass(frozen=True)
class EncoderShape:
    """An encoder: weights of all layers, all weights, width, number of layers, size of the vocabulary."""

    body: int
    total: int
    width: int
    layers: int
    vocabulary: int

    def forward(self, text: Extent) -> float:
        """Operations of a forward pass over all rows of ``text``."""
        return 2.0 * self.body * text.tokens + 4.0 * self.layers * self.width * text.squares


@dataclass(frozen=True)
class Work:
    """Floating-point operations of training and of prediction (development scores included), and steps of the optimizer."""

    training: float = 0.0
    prediction: float = 0.0
    steps: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.training + other.training, self.prediction + other.prediction, self.steps + other.steps)

    @property
    def operations(self) -> float:
        """All floating-point operations."""
        return self.training + self.prediction


def shape_of(encoder: Path) -> EncoderShape | None:
    """The shape of a prepared encoder or decoder from its config.json, or None when it is not there yet."""
    path = encoder / "config.json"
    if not path.exists():
        return None
    config = read_json(path)
    architecture = architecture_of(config)
    return make_shape(
        width=architecture.figure(config, "hidden_size"),
        layers=architecture.figure(config, "num_hidden_layers"),
        inner=architecture.figure(config, "intermediate_size"),
        vocabulary=config["vocab_size"],
        matrices=architecture.feed_forward,
    )


def make_shape(*, width: int, layers: int, inner: int, vocabulary: int, matrices: int = 2) -> EncoderShape:
    """The shape of an encoder: four square matrices and ``matrices`` of width times ``inner`` a layer, and the embeddings."""
    body = layers * (4 * width * width + matrices * width * inner)
    return EncoderShape(body, body + width * vocabulary, width, layers, vocabulary)


def shape_said(model: Model) -> EncoderShape:
    """The shape of a model that is not there yet, from what its config says: "278 M (...); 12 layers, width 768, ...".

    That of an encoder which comes with this package stands in its config.json.

    Raises:
        InputError: its config does not say it.
    """
    for source in model.sources:
        if source.packaged is not None and (known := shape_of(PACKAGE / source.packaged)) is not None:
            return known
    found = re.search(r"([\d.]+) ([MB])\b.*?(\d+) layers, width (\d+)", model.parameters)
    if found is None:
        raise InputError(f"model {model.name}: its size is not known before it is prepared; run make encoder first")
    total = float(found[1]) * (1e6 if found[2] == "M" else 1e9)
    layers, width = int(found[3]), int(found[4])
    plain = make_shape(width=width, layers=layers, inner=4 * width, vocabulary=0)
    return make_shape(
        width=width, layers=layers, inner=4 * width, vocabulary=max(0, round((total - plain.body) / width))
    )


def work_of(config: RunConfig | LanguageAdapterConfig | LexicalRun, extents: Extents, shape: EncoderShape) -> Work:
    """What a run or job computes."""
    match config:
        case RunConfig():
            return run_work(config, extents, shape)
        case LanguageAdapterConfig():
            return language_adapter_work(config, extents, shape)
        case LexicalRun():
            return lexical_work(config, extents, shape)


def run_work(run: RunConfig, extents: Extents, shape: EncoderShape) -> Work:
    """What a run computes: its training unless another run's weights are evaluated, and its predictions."""
    copies = 1 if run.regime.smoothing is None else run.regime.smoothing.votes + run.regime.smoothing.selection
    scored = Work(prediction=copies * sum(_evaluation(each, extents, shape) for each in run.evaluations))
    if run.weights_of is not None:
        return scored
    trained = sum((_stage(stage, run, extents, shape) for stage in run.stages), Work())
    return scored + trained + _masked_text(run, trained.steps, extents, shape)


def _stage(stage: Stage, run: RunConfig, extents: Extents, shape: EncoderShape) -> Work:
    """One training: every epoch the training set, forward and back, and the development set."""
    recipe = stage.recipe
    train = extents.train(stage.train, recipe, stage.caps.train)
    if stage.augmentation is not None:
        train = stage.augmentation.copies * train
    dev = Extent() if stage.dev is None else extents.test(stage.dev, recipe, recipe.language, stage.caps.dev)
    passes = 1.0 + BACKWARD.get(run.regime.tuning.kind, 1.0) + _attack_passes(run)
    operations = shape.forward(train) * passes + _fusion(train, run, shape)
    steps = max(1.0, train.examples / recipe.batch_size)
    return Work(recipe.epochs * operations, recipe.epochs * shape.forward(dev), recipe.epochs * steps)


def _attack_passes(run: RunConfig) -> float:
    """Passes that adversarial training adds: each step forward, and back to the embeddings without gradient of weights."""
    noise = run.regime.robustness
    return 2.0 * noise.steps if isinstance(noise, Adversarial) else 0.0


def _fusion(train: Extent, run: RunConfig, shape: EncoderShape) -> float:
    """Operations of AdapterFusion, forward and back: a query, and a key and a value of each adapter, per layer."""
    before = run.regime.intermediate
    if before is None or before.transfer != "fuse":
        return 0.0
    matrices = 1 + 2 * len(run.upstream)
    return 3.0 * train.tokens * 2.0 * matrices * shape.layers * shape.width**2


def _evaluation(evaluation: Evaluation, extents: Extents, shape: EncoderShape) -> float:
    """Operations of one prediction of a task: every language, or every pair of languages where a task has pairs."""
    task, cap = evaluation.task, evaluation.caps.test
    if task.pairs and task.family != "lareqa":  # LAReQA embeds every language once, whatever the pairs
        return _pairs(evaluation, extents, shape)
    total = sum((extents.test(f, task, code, cap) for code, f in evaluation.files.items()), Extent())
    if task.family == "mewslix" and evaluation.files:
        total += extents.candidates(next(iter(evaluation.files.values())), task)
    tuning = (extents.test(f, task, code, evaluation.caps.dev) for code, f in evaluation.tuning_files.items())
    return shape.forward(sum(tuning, total))


def _pairs(evaluation: Evaluation, extents: Extents, shape: EncoderShape) -> float:
    """A pair's example is half of one language's and half of the other's; pairs with files of their own are read as such."""
    task, cap = evaluation.task, evaluation.caps.test
    total = Extent()
    for pair in evaluation.pairs:
        if pair in evaluation.files:
            total += extents.test(evaluation.files[pair], task, pair.split("-")[0], cap)
        else:
            total += 0.5 * sum((extents.test(evaluation.files[c], task, c, cap) for c in pair.split("-")), Extent())
    return shape.forward(total)


def _masked_text(run: RunConfig, steps_of_tasks: float, extents: Extents, shape: EncoderShape) -> Work:
    """Masked-language modelling mixed into an intermediate training: ``share`` of all steps."""
    if run.mixture is None or run.mixture.masked_text is None:
        return Work()
    settings = run.mixture.masked_text
    steps = steps_of_tasks * settings.share / (1 - settings.share)
    batch = max(stage.recipe.batch_size for stage in run.stages)
    passes = 1.0 + BACKWARD.get(run.regime.tuning.kind, 1.0)
    length = extents.blocks(run.mixture.text, settings.max_length)
    return Work(passes * steps * _masked_step(batch, length, settings.mask, shape), 0.0, steps)


def _masked_step(batch: int, length: float, mask: float, shape: EncoderShape) -> float:
    """Operations of a forward pass over a batch of blocks, with the output matrix at the masked sub-words."""
    text = Extent(batch, batch * length, batch * length**2)
    return shape.forward(text) + 2.0 * mask * text.tokens * shape.width * (shape.vocabulary + shape.width)


def language_adapter_work(config: LanguageAdapterConfig, extents: Extents, shape: EncoderShape) -> Work:
    """What the training of a language adapter computes; nothing for one from the hub."""
    own = config.settings
    if config.text is None:
        return Work()
    length = extents.blocks({config.language: config.text}, own.max_length)
    return Work(2.0 * own.steps * _masked_step(own.batch_size, length, own.mask, shape), 0.0, own.steps)


def lexical_work(run: LexicalRun, extents: Extents, shape: EncoderShape) -> Work:
    """What a lexical injection computes: all words embedded before and after, training on the pairs not held out."""
    pairs = float(extents.words(run))
    words = Extent(2 * pairs, 2 * pairs * WORD_TOKENS, 2 * pairs * WORD_TOKENS**2)
    epochs = run.lexical.epochs * (1 - run.lexical.held_out)
    below = run.lexical.early if isinstance(run.lexical.layer, str) else run.lexical.layer / shape.layers
    return Work(
        2.0 * epochs * below * shape.forward(words), 2.0 * shape.forward(words), epochs * pairs / run.lexical.batch_size
    )
