#!/usr/bin/env python3
"""Prepare a model in the cache, and say which official data files are there and who publishes those that are not.

A model is downloaded, converted if need be and checked once; data files are only looked for (see docs/data-layout.md).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from xlt.config.benchmark import Benchmark, Recipe, Task, load_all, load_yaml
from xlt.data.dataset import locate
from xlt.errors import InputError, exit_status
from xlt.files import SOURCE_ROOT
from xlt.names import one_of

if TYPE_CHECKING:
    from xlt.config.benchmark import Source
    from xlt.modeling.model_sources import Prepared


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        help="a model of configs/models, a folder with a checkpoint, or owner/name[@commit] of the hub: prepare it",
    )
    parser.add_argument(
        "--convert", action="store_true", help="weights that are a pickle: convert them in a process apart"
    )
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="where models are kept (default: cache)")
    parser.add_argument("--data", type=Path, help="folder of official files: report what is there and what is missing")
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="tasks and training sets to report (default: all)")
    parser.add_argument(
        "--benchmark", choices=get_args(Benchmark), default="xtreme-r", help="whose languages (default: %(default)s)"
    )
    parser.add_argument("--configs", type=Path, default=SOURCE_ROOT / "configs", help="folder of the configs")
    parser.add_argument("--lock", type=Path, help="what first downloads found (default: <configs>/data.lock.yaml)")
    options = parser.parse_args()
    if options.model is None and options.data is None:
        parser.error("expected --model, --data or both")
    return options


def split_report(data: Path, split: str, sources: Sequence[Source], languages: Sequence[str]) -> tuple[str, int, int]:
    """One split in words, with the number of languages found and missing."""
    absent = [code for code in languages if locate(data, sources, language=code, split=split) is None]
    found = len(languages) - len(absent)
    if not found:
        return f"{split} no data", 0, len(absent)
    missing = f" (no data: {' '.join(absent)})" if absent else ""
    count = f" in {found} of {len(languages)} languages" if len(languages) > 1 else ""
    return f"{split} found{count}{missing}", found, len(absent)


def report_line(
    name: str, data: Path, splits: Iterable[tuple[str, Sequence[Source]]], languages: Sequence[str], owner: str
) -> tuple[str, int]:
    """The line of a task or training set, and how many of its split-language pairs were found."""
    reports = [split_report(data, split, sources, languages) for split, sources in splits if sources]
    found, absent = sum(report[1] for report in reports), sum(report[2] for report in reports)
    line = f"{name}: " + ", ".join(report[0] for report in reports)
    return (f"{line}; published at {owner}" if absent else line), found


def report_data(data: Path, configs: Path, benchmark: str, chosen: Sequence[str] | None) -> int:
    """Print one line for each task and each training set; return how many split-language pairs were found."""
    if not data.is_dir():
        raise InputError("expected a folder of official files; see docs/data-layout.md", data)
    recipes = load_all(Recipe, configs / "recipes")
    tasks = {name: task for name, task in load_all(Task, configs / "tasks").items() if not task.pairs}  # same files
    if unknown := set(chosen or ()) - tasks.keys() - recipes.keys():
        raise InputError(f"--tasks: {one_of(sorted({*tasks, *recipes}), min(unknown))}")
    owners: dict[str, str] = load_yaml(configs / "owners.yaml")
    sets: list[tuple[str, str, Mapping[Any, Sequence[Source]], Sequence[str]]] = []
    for name, task in tasks.items():
        of = {str(key): found for key, found in task.languages.items()}
        codes = of.get(benchmark, [] if chosen is None else next(iter(of.values())))
        sets.append(("task", name, task.sources, codes))
    sets += [("training", name, recipe.sources, [recipe.language]) for name, recipe in recipes.items()]
    total = 0
    for kind, name, sources, languages in sets:
        if languages and (chosen is None or name in chosen):
            line, found = report_line(f"{kind} {name}", data, sources.items(), languages, owners[name])
            print(line)
            total += found
    return total


def prepare_model(name: str, configs: Path, cache: Path, lock: Path, *, convert: bool) -> None:
    """Prepare what ``MODEL`` stands for, at the commit of its first use, and say what it is."""
    from xlt.data.download.lockfile import Lock
    from xlt.modeling.preparation import prepare, resolve_model

    model = resolve_model(name, configs)
    known = {each.hub: Lock(lock).get("pins", each.hub) for each in model.sources if each.hub and not each.revision}
    pins = {hub: str(pin["revision"]) for hub, pin in known.items() if pin is not None}
    prepared = prepare(model, cache, pins=pins, convert=convert)
    hold_to_first_use(prepared, lock)
    for hub in known:
        if prepared.origin.startswith(f"hub {hub}@"):
            Lock(lock).record("pins", {hub: {"revision": prepared.origin.partition("@")[2][:40]}})
    alias = "" if name in (model.name, model.sources[0].local) or Path(name).is_dir() else f"{name} is "
    print(f"{alias}{prepared.path}: {prepared.origin}")


def hold_to_first_use(prepared: Prepared, lock: Path) -> None:
    """A hub model must have the weights and, where it has its own, the tokenizer of its first download.

    Raises:
        InputError: they have changed under the same commit; the prepared folder is removed.
    """
    from xlt.data.download.lockfile import Lock
    from xlt.modeling.model_sources import weight_files
    from xlt.modeling.tokenizer import TOKENIZER

    source, _, other = prepared.origin.partition(", tokenizer of ")
    if not source.startswith("hub "):
        return
    names = [path.name for path in weight_files(prepared.path)] + ([] if other else [TOKENIZER])
    found = {
        f"{source.replace(' ', ':', 1)}/{name}": {
            "size": (prepared.path / name).stat().st_size,
            "sha256": prepared.sha256[name],
        }
        for name in names
    }
    try:
        Lock(lock).record("models", found)
    except InputError:
        shutil.rmtree(prepared.path)
        raise


def main() -> None:
    """Prepare and report what the command line asks for."""
    options = arguments()
    if options.model is not None:
        lock = options.lock or options.configs / "data.lock.yaml"
        prepare_model(options.model, options.configs, options.cache, lock, convert=options.convert)
    if options.data is not None and not report_data(options.data, options.configs, options.benchmark, options.tasks):
        raise InputError("expected official files, found none; see docs/data-layout.md", options.data)


if __name__ == "__main__":
    sys.exit(exit_status(main))
