"""From manifests to a data folder: every missing file from its first source that has it, in parallel, checked, in place."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from xlt.data.download.archives import unpack
from xlt.data.download.data_folder import DataFolder
from xlt.data.download.http import Fetched, fetch, remote_size
from xlt.data.download.lockfile import Lock, check
from xlt.data.download.manifest import Known, Location, Wanted
from xlt.data.download.progress import Bar, bars
from xlt.data.download.transfer import DEFAULT_POLICY, RetryPolicy, Unavailable
from xlt.errors import InputError
from xlt.files import sha256_file


@dataclass
class DownloadReport:
    """What a call did: files put in place by source, files that were there, and files that no source gave, with reasons."""

    placed: dict[str, str] = field(default_factory=dict)
    present: list[str] = field(default_factory=list)
    failed: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class _Job:
    """A missing file and the number of the source that is tried now."""

    wanted: Wanted
    tried: int = 0
    reasons: list[str] = field(default_factory=list)

    @property
    def source(self) -> Location:
        return self.wanted.sources[self.tried]


def missing(folder: DataFolder, files: Iterable[Wanted], lock: Lock) -> tuple[list[Wanted], list[str]]:
    """The files that are not there, and the names of those that are; the latter are checked.

    Raises:
        InputError: a file is there and is neither what was recorded when it came nor what its manifest says.
    """
    absent: list[Wanted] = []
    present: list[str] = []
    record = folder.record()["files"]
    for one in files:
        names = folder.holds(one.path)
        for name in names:
            folder.check(name)
            if name not in record and (wrong := not_published(folder.path / name, one, lock)):
                message = f"expected the published file, {wrong}; move it away and run make data again"
                raise InputError(message, folder.path / name)
        present += names
        if not names:
            absent.append(one)
    return absent, present


def published(one: Wanted, lock: Lock) -> tuple[set[str], bool]:
    """The SHA-256 values that a file of this path may have, and whether the owner's own is among them.

    Without the owner's, another value is no proof that a file is wrong.
    """
    own: set[str] = {one.known.sha256} if one.known.sha256 else set()
    converted: set[str] = set()
    for source in one.sources:
        label = source.label
        seen = lock.get("downloads", label) if source.whole else lock.get("files", f"{one.path} from {label}")
        if seen is not None:
            (own if source.convert is None else converted).add(seen["sha256"])
    return own | converted, bool(own)


def not_published(path: Path, one: Wanted, lock: Lock) -> str | None:
    """The hashes expected and got of a file that is known not to be the published one; None: nothing speaks against it."""
    values, complete = published(one, lock)
    if not complete or (got := sha256_file(path)) in values:
        return None
    return f"sha256 {' or '.join(sorted(values))}, got {got}"


def download_all(
    data: Path, files: Sequence[Wanted], lock: Lock, *, policy: RetryPolicy = DEFAULT_POLICY, jobs: int = 4
) -> DownloadReport:
    """Bring every file of ``files`` that is missing into ``data``.

    Files without any source are left to the caller. Other processes that fill the same folder wait.

    Raises:
        InputError: what came is not what was expected, an archive is unsafe, or nothing can be written.
    """
    folder = DataFolder(data)
    report = DownloadReport()
    with folder.exclusively():
        shutil.rmtree(folder.incoming)
        folder.incoming.mkdir()
        absent, report.present = missing(folder, files, lock)
        pending = [_Job(one) for one in absent if one.sources]
        with bars(len({job.source.key for job in pending})) as bar:
            while pending:
                pending = _round(folder, pending, lock, report, partial(_bring, folder, lock, policy, bar), jobs)
    return report


def _round(
    folder: DataFolder, pending: list[_Job], lock: Lock, report: DownloadReport, bring: partial[Fetched], jobs: int
) -> list[_Job]:
    """Try the current source of every job; the jobs whose source failed go on to their next one, if there is one."""
    groups: dict[str, list[_Job]] = {}
    for job in pending:
        groups.setdefault(job.source.key, []).append(job)
    again: list[_Job] = []
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(bring, group[0].source): group for group in groups.values()}
        try:
            for future in as_completed(futures):
                group = futures[future]
                try:
                    found = future.result()
                except Unavailable as reason:
                    again += _next_source(group, str(reason), report)
                else:
                    lacking = _put(folder, group, found, lock, report)
                    again += _next_source(lacking, "no such member in the archive", report)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return again


def _next_source(group: Iterable[_Job], reason: str, report: DownloadReport) -> list[_Job]:
    again = []
    for job in group:
        job.reasons.append(f"{job.source.label}: {reason}")
        job.tried += 1
        if job.tried < len(job.wanted.sources):
            again.append(job)
        else:
            report.failed[job.wanted.path] = job.reasons
    return again


def _path_of(folder: DataFolder, source: Location) -> Path:
    """Where a download lies until it is put in place: a name of its own, the same at every call, so that it is resumed."""
    return folder.downloads / hashlib.sha256(source.key.encode()).hexdigest()[:24]


def _bring(folder: DataFolder, lock: Lock, policy: RetryPolicy, bar: Bar, source: Location) -> Fetched:
    """Download what the manifest states, completed by what the lock holds, and compare with the latter."""
    seen = lock.get("downloads", source.label) or {}
    stated = {"size": source.size, "sha256": source.sha256}
    known = Known.model_validate({key: seen.get(key) if value is None else value for key, value in stated.items()})
    revision = source.revision or seen.get("revision")
    with bar(source.label, known.size) as progress:
        found = fetch(source, revision, known, _path_of(folder, source), progress, policy)
    check(seen, found.record(), source.label, lock.path)
    return found


def _put(folder: DataFolder, group: Sequence[_Job], found: Fetched, lock: Lock, report: DownloadReport) -> list[_Job]:
    """Unpack or convert a download into the files that were wanted of it, and put them in place.

    What is seen for the first time and has no stated hash is recorded in the lock, once it has proved usable.

    Returns:
        The jobs whose member the archive does not hold.
    """
    source = group[0].source
    path = _path_of(folder, source)
    stage = folder.incoming / path.name
    try:
        given = _staged(group, path, stage)
    except InputError:
        path.unlink()  # the next call fetches it again
        raise
    staged = {name: stage / name for names in given.values() for name in names}
    made = _check_placed(group, given, stage)
    if source.sha256 is None:
        lock.record("downloads", {source.label: found.record()})
    if made:
        lock.record("files", made)
    folder.place(staged, source.label, {path: names for path, names in given.items() if "*" in path and names})
    report.placed.update(dict.fromkeys(staged, source.label))
    shutil.rmtree(stage, ignore_errors=True)
    path.unlink()
    return [job for job in group if not given[job.wanted.path]]


def _staged(group: Sequence[_Job], path: Path, stage: Path) -> dict[str, list[str]]:
    """What a download gives, made below ``stage``: for each wanted path its files."""
    label = group[0].source.label
    members = {job.wanted.path: job.source.member for job in group if job.source.member is not None}
    given = unpack(path, members, stage, label) if members else {}
    for job in group:
        if job.source.member is not None:
            continue
        target = stage / job.wanted.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if job.source.convert is None:
            shutil.copyfile(path, target)
        else:
            from xlt.data.download.convert import convert

            convert(job.source.convert, path, job.wanted.language, target, label)
        given[job.wanted.path] = [job.wanted.path]
    return given


def _check_placed(group: Sequence[_Job], given: dict[str, list[str]], stage: Path) -> dict[str, dict[str, object]]:
    """Compare with what manifests state; what was made of archives and parquet, as the lock holds it.

    Raises:
        InputError: a file is not the one that its manifest states.
    """
    found: dict[str, dict[str, object]] = {}
    for job in group:
        for name in given[job.wanted.path]:
            path = stage / name
            got: dict[str, object] = {"size": path.stat().st_size, "sha256": sha256_file(path)}
            if job.source.convert is None:
                check(job.wanted.known.model_dump(), got, name, job.wanted.manifest)
            if not job.source.whole:
                found[f"{name} from {job.source.label}"] = got
    return found


def plan(
    data: Path, files: Sequence[Wanted], lock: Lock, policy: RetryPolicy = DEFAULT_POLICY
) -> list[tuple[str, int | None, int]]:
    """What would be downloaded, without doing it: the first source of each missing file, its size, the files it gives.

    Sizes come from the manifest, the lock or, asked now, the server; None: not known.
    """
    absent, _ = missing(DataFolder(data), files, lock)
    groups: dict[str, list[Location]] = {}
    for one in absent:
        for source in one.sources[:1]:
            groups.setdefault(source.key, []).append(source)

    def size(source: Location) -> int | None:
        return (lock.get("downloads", source.label) or {}).get("size") or remote_size(source, policy)

    with ThreadPoolExecutor(8) as pool:
        firsts = [group[-1] for group in groups.values()]
        sizes = pool.map(size, firsts)
        counts = map(len, groups.values())
        return [(one.label, each, count) for one, each, count in zip(firsts, sizes, counts, strict=True)]
