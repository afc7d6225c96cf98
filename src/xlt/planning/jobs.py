"""What runs are made from besides other runs: language adapters and lexical injections, each with its config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from xlt.config.benchmark import Model, load_all
from xlt.config.lexical_injection import LexicalConfig, LexicalRun
from xlt.config.run_config import LanguageAdapterConfig, LanguageAdapterSettings
from xlt.layout import ADAPTER, LEXICAL
from xlt.planning.data_files import DataFiles


@dataclass(frozen=True)
class PlannedJob:
    """Something other than a run that runs are made from: its config, and the file it ends with."""

    config: LanguageAdapterConfig | LexicalRun
    result: str


def language_adapter_settings(configs: Path, model: str) -> LanguageAdapterSettings:
    """The settings of a model's language adapters: its own file in ``configs/language_adapters``, or the default's."""
    known = load_all(LanguageAdapterSettings, configs / "language_adapters")
    return known.get(model) or known["default"]


def language_adapter_jobs(files: DataFiles, model: Model, settings: LanguageAdapterSettings) -> dict[str, PlannedJob]:
    """The adapter of every language that can have one.

    Raw text of the data folder comes before a ready-made adapter: whoever puts it there wants it used.
    """
    text = files.raw_text()
    jobs = {}
    for code in dict.fromkeys([*text, *settings.ready_made]):
        config = LanguageAdapterConfig(
            language=code,
            model=model,
            settings=settings.model_copy(update={"ready_made": {}}),
            text=text.get(code),
            ready_made=settings.ready_made.get(code) if code not in text else None,
        )
        jobs[code] = PlannedJob(config, ADAPTER)
    return jobs


def lexical_job(config: LexicalConfig, model: Model, seed: int, files: DataFiles) -> PlannedJob | None:
    """A lexical injection, or None without a word list for any (or for a configured) language."""
    lists = files.word_lists(config)
    if not lists:
        return None
    rate = (model.learning_rate or {}).get("lora", config.learning_rate)
    return PlannedJob(LexicalRun(lexical=config, seed=seed, model=model, learning_rate=rate, files=lists), LEXICAL)


def job_seeds(given: Sequence[int], least: int) -> list[int]:
    """The seeds of the plan, and further ones up to ``least`` of them: a job is cheap beside the runs after it."""
    further = count(max(given) + 1)
    return [*given, *(next(further) for _ in range(least - len(given)))]
