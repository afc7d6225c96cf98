#!/usr/bin/env python3
"""The data folder: fetch what a profile reads, import what you have, pack it for a machine without network, verify it;
or generate the embedded world, Babel, in the owners' file formats.

docs/data.md says how; the files, their sources and hashes are in configs/data.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.errors import InputError, exit_status
from xlt.files import SOURCE_ROOT
from xlt.names import one_of
from xlt.options import count

if TYPE_CHECKING:
    from xlt.config.benchmark import Profile, Recipe, Task
    from xlt.data.download.manifest import Manifest, Wanted


SHOWN = 20
"""Lines of a report that are printed; the file has them all."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, required=True, help="the data folder")
    shared.add_argument("--configs", type=Path, default=SOURCE_ROOT / "configs", help="folder of the configs")
    shared.add_argument("--lock", type=Path, help="what first downloads found (default: <configs>/data.lock.yaml)")
    profiled = argparse.ArgumentParser(add_help=False)
    profiled.add_argument("--profile", default="paper", help="whose files (default: %(default)s)")
    fetch = commands.add_parser("fetch", parents=[shared, profiled], help="download what is missing")
    fetch.add_argument("--only", nargs="+", metavar="NAME", help="tasks and training sets (default: all)")
    fetch.add_argument("--manifests", type=Path, help="folder of the manifests (default: <configs>/data)")
    fetch.add_argument("--all", action="store_true", help="every file of the manifests, whatever the profile reads")
    fetch.add_argument("--jobs", type=count("--jobs"), default=4, help="downloads at a time (default: %(default)s)")
    fetch.add_argument("--dry-run", action="store_true", help="list what would come, with sizes")
    bring = commands.add_parser("import", parents=[shared], help="take files from a folder or a pack")
    bring.add_argument("--source", type=Path, required=True, help="folder in the owners' or XTREME's layout, or a pack")
    bring.add_argument("--link", action="store_true", help="hard links instead of copies where that can be")
    bring.add_argument("--cache", type=Path, default=Path("cache"), help="where a pack's models go (default: cache)")
    pack = commands.add_parser("pack", parents=[shared], help="one archive of everything")
    pack.add_argument("--output", type=Path, required=True, help="the archive (.tar)")
    pack.add_argument("--model", type=Path, nargs="*", default=[], help="prepared models that go with it")
    verify = commands.add_parser("verify", parents=[shared, profiled], help="check hashes, sizes, labels, ids, overlap")
    verify.add_argument("--output", type=Path, required=True, help="the report, without ending: .json and .md")
    generate = commands.add_parser("generate", help="write the generated world (docs/babel.md)")
    generate.add_argument("--data", type=Path, required=True, help="folder to write")
    generate.add_argument(
        "--config", type=Path, default=SOURCE_ROOT / "configs" / "babel.yaml", help="the world's dials"
    )
    options = parser.parse_args()
    if options.command == "generate":
        return options
    options.lock = options.lock or options.configs / "data.lock.yaml"
    return options


def configs_of(options: argparse.Namespace) -> tuple[dict[str, Task], dict[str, Recipe], dict[str, Profile]]:
    """All tasks, training sets and profiles."""
    from xlt.config.benchmark import Profile, Recipe, Task, load_all

    folder = options.configs
    tasks, recipes = load_all(Task, folder / "tasks"), load_all(Recipe, folder / "recipes")
    return tasks, recipes, load_all(Profile, folder / "profiles")


def profile_of(options: argparse.Namespace, profiles: dict[str, Profile]) -> Profile:
    """The profile that the command line names."""
    if options.profile not in profiles:
        raise InputError(f"--profile: {one_of(profiles, options.profile)}")
    return profiles[options.profile]


def manifests_of(options: argparse.Namespace) -> tuple[dict[str, Manifest], list[Wanted]]:
    """The manifests and all of their files."""
    from xlt.data.download.manifest import load_manifests, wanted

    manifests = load_manifests(getattr(options, "manifests", None) or options.configs / "data")
    return manifests, [one for manifest in manifests.values() for one in wanted(manifest)]


def chosen(options: argparse.Namespace, files: list[Wanted]) -> list[Wanted]:
    """The files that the command line asks for."""
    from xlt.data.profile_files import needed

    if options.all:
        return files
    tasks, recipes, profiles = configs_of(options)
    if unknown := set(options.only or ()) - tasks.keys() - recipes.keys():
        raise InputError(f"--only: {one_of(sorted({*tasks, *recipes}), min(unknown))}")
    if options.only:
        tasks = {name: task for name, task in tasks.items() if name in options.only}
        recipes = {name: recipe for name, recipe in recipes.items() if name in options.only}
    return needed(files, profile_of(options, profiles), tasks, recipes)


def megabytes(size: int | None) -> str:
    """A size for people."""
    return "size unknown" if size is None else f"{size / 1e6:.1f} MB"


def by_hand(options: argparse.Namespace, manifests: dict[str, Manifest], files: list[Wanted]) -> None:
    """One line for each thing that only the user can provide and that is not there."""
    from xlt.data.download.data_folder import DataFolder

    folder = DataFolder(options.data)
    for manifest in manifests.values():
        own = [one.path for one in files if one.manifest == manifest.name]
        there = own and all(folder.holds(path) or list(options.data.glob(path)) for path in own)
        if manifest.by_hand is not None and not there:
            print(f"{manifest.title}: {manifest.by_hand}")


def run_fetch(options: argparse.Namespace) -> int:
    """Download, or say what would be downloaded."""
    from xlt.data.download.downloader import download_all, plan
    from xlt.data.download.lockfile import Lock

    manifests, everything = manifests_of(options)
    files = chosen(options, everything)
    if options.dry_run:
        rows = plan(options.data, files, Lock(options.lock))
        for label, size, number in sorted(rows):
            print(f"{megabytes(size):>12}  {label}" + (f" ({number} files)" if number > 1 else ""))
        unknown = sum(size is None for _, size, _ in rows)
        total = megabytes(sum(size or 0 for _, size, _ in rows))
        print(f"{len(rows)} downloads, {total}" + (f" and {unknown} of unknown size" if unknown else ""))
        by_hand(options, manifests, everything)
        return 0
    report = download_all(options.data, files, Lock(options.lock), jobs=options.jobs)
    print(f"{options.data}: {len(report.placed)} files came, {len(report.present)} were there")
    by_hand(options, manifests, everything)
    for path, reasons in report.failed.items():
        print(f"{path} cannot be had; tried " + "; ".join(reasons), file=sys.stderr)
    if report.failed:
        raise InputError(f"{len(report.failed)} files did not come (above); run the same command again, it goes on")
    return 0


def run_import(options: argparse.Namespace) -> int:
    """Take what is recognised."""
    from xlt.data.download.importing import candidates, import_folder
    from xlt.data.download.lockfile import Lock
    from xlt.data.download.packing import unpack_pack

    if options.source.is_file():
        content = unpack_pack(options.source, options.data, options.cache)
        print(f"{options.data}: {len(content['files'])} files came out of {options.source}")
        return 0
    _, files = manifests_of(options)
    tasks, recipes, profiles = configs_of(options)
    known = list(candidates(files, profiles.values(), tasks, recipes))
    result = import_folder(options.source, options.data, known, files, Lock(options.lock), link=options.link)
    print(f"{options.data}: {len(result.taken)} files taken, {len(result.present)} were there")
    for name, why in result.refused.items():
        print(f"not taken: {name}: {why}")
    tops: dict[str, int] = {}
    for name in result.left:
        top = name.rpartition("/")[0] or name
        tops[top] = tops.get(top, 0) + 1
    for top, number in tops.items():
        print(f"left, nothing here reads it: {top} ({number} files)")
    return 1 if result.refused else 0


def run_pack(options: argparse.Namespace) -> int:
    """One archive."""
    from xlt.data.download.packing import pack

    content = pack(options.data, options.model, options.output)
    size = sum(file["size"] for file in content["files"].values())
    print(
        f"{options.output}: {len(content['files'])} files, {megabytes(size)}; on the other machine: make data FROM=<it>"
    )
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Check everything and write the report."""
    from xlt.config.benchmark import load_yaml
    from xlt.data.download.lockfile import Lock
    from xlt.data.leaks import find_leaks
    from xlt.data.verify import Verified, verify_files, verify_splits
    from xlt.data.verify_report import as_markdown, last_line
    from xlt.files import to_json, write_atomic
    from xlt.languages import register

    if not options.data.is_dir():
        raise InputError("expected the data folder; run make data first", options.data)
    tasks, recipes, profiles = configs_of(options)
    profile = profile_of(options, profiles)
    world = None if profile.languages_from is None else register(options.data / profile.languages_from)
    sizes: dict[str, Any] = load_yaml(options.configs / "sizes.yaml")["official" if world is None else "world"]
    _, wanted = manifests_of(options)
    files, problems = verify_files(options.data, wanted if world is None else [], Lock(options.lock))
    splits = verify_splits(options.data, profile, tasks, recipes, sizes, world)
    result = Verified(files, splits, problems, find_leaks(options.data, profile, tasks, recipes, world))
    write_atomic(options.output.with_suffix(".json"), to_json(result.as_json()))
    text = as_markdown(result, options.data)
    write_atomic(options.output.with_suffix(".md"), text)
    lines = text.partition("## Splits")[0].strip().splitlines()
    print("\n".join(lines[:SHOWN] + ([f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])))
    print(f"the whole report: {options.output.with_suffix('.md')}\n{last_line(result)}")
    return result.status


def run_generate(options: argparse.Namespace) -> int:
    """Write the generated world."""
    from xlt import babel

    started = time.monotonic()
    babel.write_world(options.data, babel.load(options.config))
    sizes = [path.stat().st_size for path in options.data.rglob("*") if path.is_file()]
    print(f"{options.data}: {len(sizes)} files, {megabytes(sum(sizes))}, {time.monotonic() - started:.1f} s")
    return 0


COMMANDS = {
    "fetch": run_fetch,
    "import": run_import,
    "pack": run_pack,
    "verify": run_verify,
    "generate": run_generate,
}


def main() -> int:
    """Do what the command line asks for."""
    options = arguments()
    return COMMANDS[options.command](options)


if __name__ == "__main__":
    sys.exit(exit_status(main))
