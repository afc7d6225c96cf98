"""How far smoothed labels are certified: the certificates of runs with smoothed prediction, and their notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from xlt.config.benchmark import Task, parse
from xlt.files import read_json
from xlt.layout import CERTIFICATES
from xlt.results.aggregate import SOURCE
from xlt.results.run_folders import Loose, RegimeRuns


class LanguageCertificate(Loose):
    """How far smoothed labels of one language are certified; ``certified`` and ``abstained`` in percent."""

    radius: float = Field(ge=0)
    certified: float = Field(ge=0, le=100)
    abstained: float = Field(ge=0, le=100)


class Votes(Loose):
    """The settings of smoothed prediction that a note shows."""

    votes: int
    sigma: float
    alpha: float


class Certificates(Loose):
    """``smoothing.json`` of a run: certificates by task and language."""

    settings: Votes
    tasks: dict[str, dict[str, LanguageCertificate]]


def certificates_of(root: Path, regime: RegimeRuns) -> list[Certificates]:
    """Those of the finished runs.

    Raises:
        InputError: a file is damaged.
    """
    paths = [root / run.planned.dir / CERTIFICATES for run in regime.finished]
    return [parse(Certificates, read_json(path), path) for path in paths if path.exists()]


def certificate_notes(title: str, tasks: Mapping[str, Task], found: Sequence[Certificates]) -> list[str]:
    """A note for each task of a regime, its certificates averaged over runs and languages: English, and the others."""
    notes = []
    for name, task in tasks.items():
        parts = []
        for side, source in (("English", True), ("the other languages", False)):
            chosen = [each for run in found for c, each in run.tasks.get(name, {}).items() if (c == SOURCE) == source]
            if chosen:
                radius, certified, abstained = (
                    sum(getattr(each, key) for each in chosen) / len(chosen) for key in LanguageCertificate.model_fields
                )
                parts.append(
                    f"{side}: mean certified radius {radius:.4f}, {certified:.0f} % certified, {abstained:.0f} % abstained"
                )
        if parts:
            votes = found[0].settings
            how = f"majority of {votes.votes} copies, sigma {votes.sigma:g}, alpha {votes.alpha:g}"
            notes.append(f"{title}, {task.title}: {how}; {'; '.join(parts)}.")
    return notes
