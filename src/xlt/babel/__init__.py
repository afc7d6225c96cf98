"""The embedded default: a synthetic multilingual world, written in the file formats of the real benchmarks."""

from __future__ import annotations

from pathlib import Path

from xlt.babel.config import BabelConfig
from xlt.babel.corpus import corpus_key, write_corpus
from xlt.babel.writer import write_world
from xlt.config.benchmark import load_yaml, parse
from xlt.errors import InputError

__all__ = ["BabelConfig", "corpus_key", "load", "write_corpus", "write_world"]


def load(path: Path) -> BabelConfig:
    """Read and validate ``configs/babel.yaml``. Raises InputError with file and line of the first wrong key."""
    if not path.is_file():
        raise InputError("expected the Babel config file, found nothing; give it with --config", path)
    return parse(BabelConfig, load_yaml(path), path)
