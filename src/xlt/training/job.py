"""What a training besides a run is made from: a language adapter's, or a lexical injection's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from xlt.config.lexical_injection import LexicalRun
from xlt.config.run_config import LanguageAdapterConfig
from xlt.modeling.preparation import check_stamp

Config = TypeVar("Config", LanguageAdapterConfig, LexicalRun)


@dataclass(frozen=True)
class TrainingJob(Generic[Config]):
    """A job's config, its folder, the data folder, the folder of the prepared model, and where to compute."""

    config: Config
    folder: Path
    data: Path
    encoder: Path
    device: torch.device


def open_job(read: Callable[[Path], Config], folder: Path, data: Path, encoder: Path) -> TrainingJob[Config]:
    """Read a job's config.

    Raises:
        InputError: the config is damaged, or no model is prepared for it.
    """
    config = read(folder)
    check_stamp(encoder, config.model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return TrainingJob(config, folder, data, encoder, device)
