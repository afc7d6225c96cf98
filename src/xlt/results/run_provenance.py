"""What tables and claims read of a run's ``provenance.json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

LOOSE = ConfigDict(extra="ignore", frozen=True)
"""Another stage wrote the file: the keys used here are checked, the others are its own business."""


class Seconds(BaseModel):
    """Measured wall time, in seconds; None for a step that was not taken (or not timed)."""

    model_config = LOOSE

    train: float | None = Field(default=None, ge=0)
    predict: float | None = Field(default=None, ge=0)


class Provenance(BaseModel):
    """The part of ``provenance.json`` that tables show."""

    model_config = LOOSE

    trainable_parameters: int = Field(ge=0)
    total_parameters: int = Field(gt=0)
    wall_seconds: Seconds
    peak_memory_bytes: int | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    device: str | None = None
    cpu_kernel: str | None = None
    """The vector instructions that torch's CPU kernels use, e.g. AVX2."""
    encoder: str | None = None
    config_sha256: str | None = None
    """Of the ``config.json`` that the scores are made from."""
    positions: int | None = None
    cut: dict[str, int] = {}
    """``max_length`` of the recipes and tasks that the encoder has fewer ``positions`` for, by name."""
    language_fallbacks: dict[str, str] = {}
    """MAD-X: by language without an adapter, what served it: a language, or ``none``."""
    left_out: dict[str, int] = {}
    """By recipe, the training examples that share a sentence with what is scored and were left out."""
