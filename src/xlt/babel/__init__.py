"""The embedded default: a synthetic multilingual world, written in the file formats of the real benchmarks."""

from __future__ import annotations

from xlt.babel.corpus_files import corpus_key, write_corpus
from xlt.babel.dials import BabelConfig, load
from xlt.babel.writer import write_world

__all__ = ["BabelConfig", "corpus_key", "load", "write_corpus", "write_world"]
