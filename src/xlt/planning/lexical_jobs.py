"""The lexical injections a plan needs: their word lists, languages and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from xlt.config.benchmark import Model
from xlt.config.lexical_injection import RESULT, LexicalConfig, LexicalRun, job_dir
from xlt.config.run_config import FileSet
from xlt.data.dataset import expand
from xlt.errors import InputError
from xlt.languages import XTREME_R
from xlt.planning.jobs import Job

if TYPE_CHECKING:
    from xlt.planning.planner import Planner


def word_lists(
    config: LexicalConfig, data: Path, digest: Callable[[Path], str], world: Sequence[str] | None
) -> dict[str, list[FileSet]]:
    """The word lists below the data folder by language: those configured, or every language that has one."""
    candidates = [code for code in world or XTREME_R if code != "en"]
    found: dict[str, list[FileSet]] = {}
    for code in candidates if config.languages == "all" else config.languages:
        for source in config.sources:
            path = expand(source.path, language=code, split="train")
            if (data / path).is_file():
                files = FileSet(format=source.format, files=[path], sha256={path: digest(data / path)})
                found.setdefault(code, []).append(files)
    return found


def lexical_run(
    config: LexicalConfig, model: Model, seed: int, data: Path, digest: Callable[[Path], str], world: list[str] | None
) -> LexicalRun | None:
    """One job with every value resolved, or None without a word list for any (or for a configured) language.

    Raises:
        InputError: a language is configured that the generated world does not have.
    """
    if world is not None and config.languages != "all" and (unknown := set(config.languages) - set(world)):
        raise InputError(
            f"lexical {config.name}: languages: expected all or some of {', '.join(world)}, got {', '.join(sorted(unknown))}"
        )
    files = word_lists(config, data, digest, world)
    if not files or (config.languages != "all" and set(config.languages) - set(files)):
        return None
    rate = (model.learning_rate or {}).get("lora", config.learning_rate)
    return LexicalRun(lexical=config, seed=seed, model=model, learning_rate=rate, files=files)


def job_seeds(given: Sequence[int], least: int) -> list[int]:
    """The seeds of the plan, and further ones up to ``least`` of them: a job is cheap beside the runs after it."""
    further = count(max(given) + 1)
    return [*given, *(next(further) for _ in range(least - len(given)))]


def add_lexical(planner: Planner, name: str, seed: int, where: str) -> str | None:
    """Plan a lexical injection and return its folder, or None without a word list; ``where`` says what asks for it."""
    if name not in planner.lexical:
        raise InputError(f"{where}: lexical: expected one of {', '.join(planner.lexical) or 'none'}, got {name}")
    config = planner.lexical[name]
    run = lexical_run(config, planner.model, seed, planner.data, planner.digests, planner.world)
    if run is None:
        return None
    folder = job_dir(config, seed)
    planner.jobs[folder] = Job(run, "lexical.py", RESULT)
    return folder
