"""The language adapters a plan needs: one job per language with raw text, or with a ready-made adapter on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xlt.config.benchmark import load_all
from xlt.config.regimes import MadX, Regime
from xlt.config.run_config import ADAPTER, FileSet, LanguageAdapterConfig, LanguageAdapterSettings, RunConfig
from xlt.errors import InputError
from xlt.languages import XTREME_R
from xlt.names import visible
from xlt.planning.jobs import Job

if TYPE_CHECKING:
    from xlt.planning.planner import Planner

NO_ADAPTERS = (
    "no language adapters: no raw text (raw/<language>.txt in the data folder), no ready-made ones for the model"
)


def raw_text(planner: Planner) -> dict[str, FileSet]:
    """The raw text of the data folder by language, the source language first (docs/data-layout.md)."""
    codes = planner.world or ["en", *(code for code in XTREME_R if code != "en")]
    found = {}
    for code in codes:
        raw = planner.data / "raw"
        if files := [path for path in [raw / f"{code}.txt", *visible(raw / code, "*.txt")] if path.is_file()]:
            names = {path.relative_to(planner.data).as_posix(): planner.digests(path) for path in files}
            found[code] = FileSet(format="text", files=list(names), sha256=names)
    return found


def settings_of(configs: Path, model: str) -> LanguageAdapterSettings:
    """The settings of a model's language adapters: its own file in ``configs/language_adapters``, or the default's."""
    known = load_all(LanguageAdapterSettings, configs / "language_adapters")
    return known.get(model) or known["default"]


def language_adapter_jobs(planner: Planner) -> dict[str, str]:
    """The folder of the adapter of every language that can have one; plans the jobs that make them.

    Raw text of the data folder comes before a ready-made adapter: whoever puts it there wants it used.
    """
    settings = planner.language_adapters
    if settings is None:
        return {}
    text = planner.raw_text()
    folders = {}
    for code in dict.fromkeys([*text, *settings.ready_made]):
        folders[code] = f"language-adapters/{code}"
        ready_made = settings.ready_made.get(code) if code not in text else None
        config = LanguageAdapterConfig(
            language=code,
            model=planner.model,
            settings=settings.model_copy(update={"ready_made": {}}),
            text=text.get(code),
            ready_made=ready_made,
        )
        planner.jobs.setdefault(folders[code], Job(config, "language_adapter.py", ADAPTER))
    return folders


def why_no_adapters(planner: Planner, regime: Regime) -> str | None:
    """Why a MAD-X regime has no runs: there is no adapter at all, or none of the training data's language."""
    if not isinstance(regime.tuning, MadX):
        return None
    folders = language_adapter_jobs(planner)
    if not folders:
        return NO_ADAPTERS
    sources = {recipe.language for recipe in planner.recipes.values()}
    lacking = sorted(sources - set(folders))
    return f"no language adapter of {', '.join(lacking)}, the language of the training data" if lacking else None


def with_language_adapters(planner: Planner, run: RunConfig) -> RunConfig:
    """``run`` with the folders of the language adapters that its training and its evaluations need.

    Raises:
        InputError: a language has none and the regime refuses that.
    """
    tuning = run.regime.tuning
    if not isinstance(tuning, MadX):
        return run
    folders = language_adapter_jobs(planner)
    needed = run.text_languages()
    run = run.model_copy(update={"language_adapters": {code: folders[code] for code in needed if code in folders}})
    lacking = [code for code in needed if code not in folders]
    if lacking and tuning.missing == "refuse":
        raise InputError(
            f"regime {run.regime.name}: expected a language adapter for every language, none for {', '.join(lacking)};"
            " add raw/<language>.txt to the data folder, or set tuning.missing to source or none"
        )
    return run
