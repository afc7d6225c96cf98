"""What tables, claims and the report read of a run's ``provenance.json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Loose(BaseModel):
    """A file another stage wrote: the keys used here are checked, the others are its own business."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Seconds(Loose):
    """Measured wall time, in seconds; None for a step that was not taken (or not timed)."""

    train: float | None = Field(default=None, ge=0)
    predict: float | None = Field(default=None, ge=0)


class Provenance(Loose):
    """The part of ``provenance.json`` that is shown."""

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
    cut: dict[str, int] = Field(default={})
    """``max_length`` of the recipes and tasks that the encoder has fewer ``positions`` for, by name."""
    language_fallbacks: dict[str, str] = Field(default={})
    """MAD-X: by language without an adapter, what served it: a language, or ``none``."""
    left_out: dict[str, int] = Field(default={})
    """By recipe, the training examples that share a sentence with what is scored and were left out."""
    faults: dict[str, list[str]] = Field(default={})
    """By task and "training <recipe>", the bad examples that were repaired or left out: how many of a kind, and the first."""
    code_hash: str | None = None
    locks: dict[str, str] = Field(default={})
    python: str | None = None
    versions: dict[str, str | None] = Field(default={})
    platform: str | None = None
    threads: str | int | None = None
    weights_sha256: str | None = None

    def environment(self) -> list[tuple[str, str]]:
        """What may be the same in many runs, as (label, text)."""
        commit = self.git_commit or "not recorded"
        state = {True: " with local changes", False: "", None: ""}[self.git_dirty]
        rows = [("Commit", commit + state), ("Code", self.code_hash or "not recorded")]
        rows += [(name, f"SHA-256 {value}") for name, value in self.locks.items()] or [("Lock file", "not recorded")]
        rows += [("Python", self.python or "not recorded")]
        rows += [(name, version or "not installed") for name, version in self.versions.items()]
        rows += [("Platform", self.platform or "not recorded"), ("Device", self.device or "not recorded")]
        rows += [("Threads", "not set" if self.threads is None else str(self.threads))]
        return [*rows, ("Encoder from", self.encoder or "not recorded")]
