"""What runs are made from besides other runs: language adapters, injected encoders."""

from __future__ import annotations

from dataclasses import dataclass

from xlt.config.benchmark import Strict


@dataclass(frozen=True)
class Job:
    """Something other than a run that runs are made from: its config, the script that does it, and the file it ends with."""

    config: Strict
    script: str
    result: str
    needs: tuple[str, ...] = ()
