"""A miniature world, generated once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from xlt.babel import BabelConfig, write_corpus, write_world

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "babel.yaml"


def miniature() -> dict[str, Any]:
    """The committed dials with small sizes."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["sizes"] = {
        **config["sizes"],
        "train": dict.fromkeys(config["sizes"]["train"], 12),
        "dev": 6,
        "test": 12,
        "passages": 4,
    }
    config["world"] = {**config["world"], "people": 24, "places": 12, "organisations": 10, "rare_words": 30}
    config["corpus"] = {**config["corpus"], "documents": 8, "mixed_documents": 20, "pairs": 60, "parallel": 40}
    return config


@pytest.fixture(scope="session")
def config() -> BabelConfig:
    return BabelConfig.model_validate(miniature())


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, config: BabelConfig) -> Path:
    out = tmp_path_factory.mktemp("world")
    write_world(out, config)
    return out


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, config: BabelConfig) -> Path:
    """The text that the encoder of this world is pre-trained on."""
    out = tmp_path_factory.mktemp("corpus")
    write_corpus(out, config)
    return out
