"""What the bench measures (``configs/bench.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from xlt.config.benchmark import Strict

Part = Literal["fine_tuning", "prediction", "adapter", "protocol", "answers", "retrieval", "tokenisation", "start_up"]
Lengths = Literal["nli_test", "nli_train", "squad_windows"]
Family = Literal["nli", "squad"]


class LengthCounts(Strict):
    """How many inputs have how many tokens; ``files`` of a data folder in ``format`` are what they were counted in."""

    files: str
    format: str
    source: str
    counts: dict[int, int]


class XnliProtocol(Strict):
    """XNLI in full: examples of each set, languages tested, and how XTREME's script goes about it."""

    train: int
    dev: int
    test: int
    languages: int
    epochs: int
    batch: int
    evaluate_every: int
    layers: int


class PartSize(Strict):
    """How much a part measures: ``rounds`` at most, none begun that would end after ``seconds``.

    The rest are the examples of a round, 0 where a part has none of the kind: NLI pairs, SQuAD windows, pairs to tokenise,
    examples from which padding is counted, and a search's size.
    """

    rounds: int = Field(default=1, ge=1)
    seconds: float = 0
    nli: int = 0
    squad: int = 0
    pairs: int = 0
    sample: int = 0
    candidates: int = 0
    queries: int = 0
    width: int = 0
    depth: int = 0


class BenchConfig(Strict):
    """``configs/bench.yaml``; where each figure is from is said there. A shape has the keys of ``XLMRobertaConfig``."""

    shape: dict[str, int]
    quick_shape: dict[str, int]
    adapter_reduction: float
    peer_eval_batch: int
    max_length: dict[Family, int]
    stride: int
    lengths: dict[Lengths, LengthCounts]
    protocol: XnliProtocol
    sizes: dict[Literal["full", "quick"], dict[Part, PartSize]]
    given_up_after: float
    targets: dict[Part, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What one bench measures.

    ``data`` and ``encoder``: real files and a prepared encoder whose tokenizer cuts them; None for recorded lengths.
    """

    config: BenchConfig
    sizes: dict[Part, PartSize]
    quick: bool = False
    threads: int = 1
    data: Path | None = None
    encoder: Path | None = None

    @property
    def shape(self) -> dict[str, int]:
        """The shape of the encoder."""
        return self.config.quick_shape if self.quick else self.config.shape

    def promised(self, part: Part, name: str) -> float | None:
        """What is promised of a time, if anything; a quick bench promises only what can be counted."""
        return None if self.quick else self.config.targets[part].get(name)
