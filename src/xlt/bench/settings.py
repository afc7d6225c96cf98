"""What the bench measures (``configs/bench.yaml``)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from xlt.config.benchmark import Strict, load_yaml, parse


class Shape(Strict):
    """An encoder's shape: layers, width, attention heads, width of the feed-forward block."""

    layers: int
    width: int
    heads: int
    inner: int


class Lengths(Strict):
    """How many inputs have how many tokens; ``files`` of a data folder in ``format`` are what they were counted in."""

    files: str
    format: str
    source: str
    counts: dict[int, int]


class AllLengths(Strict):
    """The lengths of XNLI's test pairs, of MultiNLI's training pairs and of SQuAD's windows."""

    nli_test: Lengths
    nli_train: Lengths
    squad_windows: Lengths


class Protocol(Strict):
    """XNLI in full: examples of each set, languages tested, and how XTREME's script goes about it."""

    train: int
    dev: int
    test: int
    languages: int
    epochs: int
    batch: int
    evaluate_every: int
    layers: int


class Rounds(Strict):
    """How often a part measures: ``rounds`` at most, none begun that would end after ``seconds``."""

    rounds: int = Field(ge=1)
    seconds: float


class EncoderSize(Rounds):
    """Examples of a round, NLI pairs and SQuAD windows, each measured for so many rounds and seconds."""

    nli: int
    squad: int


class AdapterSize(Rounds):
    """Examples of a round: NLI pairs."""

    nli: int


class ProtocolSize(Strict):
    """Examples from which padding is counted."""

    sample: int


class AnswersSize(Rounds):
    """Windows of passages."""

    windows: int


class RetrievalSize(Rounds):
    """A search: how many candidates, queries, dimensions, and neighbours wanted."""

    candidates: int = Field(ge=1)
    queries: int = Field(ge=1)
    width: int
    depth: int


class TokenisationSize(Rounds):
    """Sentence pairs."""

    pairs: int


class Sizes(Strict):
    """How much each part measures."""

    fine_tuning: EncoderSize
    prediction: EncoderSize
    adapter: AdapterSize
    protocol: ProtocolSize
    answers: AnswersSize
    retrieval: RetrievalSize
    tokenisation: TokenisationSize
    start_up: Rounds


class PredictionTargets(Strict):
    """At most ``limit`` times the limit, at least the others times faster than the Trainer with that padding."""

    limit: float
    pad_to_max: float
    dynamic: float


class FineTuningTargets(Strict):
    """At least so many times faster than the Trainer with that padding."""

    pad_to_max: float
    dynamic: float


class AdapterTargets(Strict):
    """At least so many times faster than our own full step, and than the adapters library's trainer."""

    own_full: float
    library: float


class RetrievalTargets(Strict):
    """At most ``ratio`` times the bare product, and a peak of at most ``bytes``."""

    ratio: float
    bytes: float


class Targets(Strict):
    """What the project promises."""

    prediction: PredictionTargets
    fine_tuning: FineTuningTargets
    adapter: AdapterTargets
    protocol: float
    answers: float
    retrieval: RetrievalTargets
    start_up: float


class Both(Strict):
    """The sizes of a full and of a quick bench."""

    full: Sizes
    quick: Sizes


Family = Literal["nli", "squad"]


class BenchConfig(Strict):
    """``configs/bench.yaml``; where each figure is from is said there."""

    shape: Shape
    vocabulary: int
    adapter_reduction: float
    peer_eval_batch: int
    max_length: dict[Family, int]
    stride: int
    lengths: AllLengths
    protocol: Protocol
    sizes: Both
    quick_shape: Shape
    quick_vocabulary: int
    given_up_after: float
    targets: Targets


class Bench(Strict):
    """What one bench measures: the config, its sizes, and what was given on the command line.

    ``data`` and ``encoder``: real files and a prepared encoder whose tokenizer cuts them; None for recorded lengths.
    """

    config: BenchConfig
    quick: bool
    threads: int = Field(ge=1)
    data: Path | None = None
    encoder: Path | None = None
    retrieval: RetrievalSize

    @property
    def sizes(self) -> Sizes:
        """How much each part measures."""
        return self.config.sizes.quick if self.quick else self.config.sizes.full

    @property
    def shape(self) -> Shape:
        """The shape of the encoder."""
        return self.config.quick_shape if self.quick else self.config.shape

    @property
    def vocabulary(self) -> int:
        """Rows of the encoder's embedding table."""
        return self.config.quick_vocabulary if self.quick else self.config.vocabulary


def load_bench_config(path: Path) -> BenchConfig:
    """Read ``configs/bench.yaml``."""
    return parse(BenchConfig, load_yaml(path), path)
