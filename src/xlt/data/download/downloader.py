"""From manifests to a data folder: every missing file from its first source that has it, in parallel, checked, in place."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlt.data.download.archives import unpack
from xlt.data.download.data_folder import DataFolder
from xlt.data.download.http import Fetched, Patience, Unavailable, fetch, public, remote_size
from xlt.data.download.lockfile import Lock, check
from xlt.data.download.manifest import Download, Known, Step, Wanted
from xlt.data.download.progress import Bars
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
    def step(self) -> Step:
        return self.wanted.steps[self.tried]


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
            if name not in record:
                _check_own(folder.path / name, one, lock)
        present += names
        if not names:
            absent.append(one)
    return absent, present


def published(one: Wanted, lock: Lock) -> tuple[set[str], bool]:
    """The SHA-256 values that a file of this path may have, and whether the owner's own is among them.

    Without the owner's, another value is no proof that a file is wrong.
    """
    own: set[str] = {one.known.sha256} if one.known.sha256 else set()
    others: set[str] = set()
    for step in one.steps:
        key = public(step.download.key)
        plain = step.member is None and step.convert is None
        seen = lock.get("downloads", key) if plain else lock.get("files", f"{one.path} from {key}")
        if seen is not None:
            (own if step.convert is None else others).add(seen["sha256"])
    return own | others, bool(own)


def _check_own(path: Path, one: Wanted, lock: Lock) -> None:
    """A file that the user put there must be the published one, where it is known what that is."""
    values, complete = published(one, lock)
    if complete and (got := sha256_file(path)) not in values:
        message = f"expected the published file, sha256 {' or '.join(sorted(values))}, got {got}"
        raise InputError(f"{message}; move it away and run make data again", path)


def download_all(
    data: Path, files: Sequence[Wanted], lock: Lock, *, patience: Patience | None = None, jobs: int = 4
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
        pending = [_Job(one) for one in absent if one.steps]
        with Bars(len({job.step.download.key for job in pending})) as bars:
            while pending:
                pending = _round(folder, pending, lock, report, patience or Patience(), jobs, bars)
    return report


def _round(
    folder: DataFolder,
    pending: list[_Job],
    lock: Lock,
    report: DownloadReport,
    patience: Patience,
    jobs: int,
    bars: Bars,
) -> list[_Job]:
    """Try the current source of every job; the jobs whose source failed go on to their next one, if there is one."""
    groups: dict[str, list[_Job]] = {}
    for job in pending:
        groups.setdefault(job.step.download.key, []).append(job)
    again: list[_Job] = []
    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            pool.submit(_bring, folder, group[0].step.download, lock, patience, bars): key
            for key, group in groups.items()
        }
        try:
            for future in as_completed(futures):
                group = groups[futures[future]]
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
        job.reasons.append(f"{public(job.step.download.key)}: {reason}")
        job.tried += 1
        if job.tried < len(job.wanted.steps):
            again.append(job)
        else:
            report.failed[job.wanted.path] = job.reasons
    return again


def _path_of(folder: DataFolder, download: Download) -> Path:
    """Where a download lies until it is put in place: a name of its own, the same at every call, so that it is resumed."""
    return folder.downloads / hashlib.sha256(download.key.encode()).hexdigest()[:24]


def _bring(folder: DataFolder, download: Download, lock: Lock, patience: Patience, bars: Bars) -> Fetched:
    """Download, and compare with what the lock holds."""
    target = _path_of(folder, download)
    label = public(download.key)
    seen = lock.get("downloads", label)
    known = _expected(download.known, seen)
    revision = download.revision or (seen or {}).get("revision")
    pinned = Download(download.key, download.url, download.hub, revision, download.path, known)
    with bars.bar(label, known.size) as progress:
        found = fetch(pinned, target, patience, progress)
    check(seen, found.record(), label, lock.path)
    return found


def _expected(stated: Known, seen: dict[str, object] | None) -> Known:
    """What the manifest states, completed by what the lock holds.

    Raises:
        InputError: never; a lock that contradicts its manifest shows as a mismatch of the download.
    """
    recorded = Known.model_validate({key: (seen or {}).get(key) for key in ("size", "sha256")})
    return Known(
        size=stated.size if stated.size is not None else recorded.size, sha256=stated.sha256 or recorded.sha256
    )


def _put(folder: DataFolder, group: Sequence[_Job], found: Fetched, lock: Lock, report: DownloadReport) -> list[_Job]:
    """Unpack or convert a download into the files that were wanted of it, and put them in place.

    What is seen for the first time and has no stated hash is recorded in the lock, once it has proved usable.

    Returns:
        The jobs whose member the archive does not hold.
    """
    download = group[0].step.download
    label = public(download.key)
    source = _path_of(folder, download)
    stage = folder.incoming / source.name
    try:
        given = _staged(group, source, stage, label)
    except InputError:
        source.unlink()  # the next call fetches it again
        raise
    staged = {name: stage / name for names in given.values() for name in names}
    placed = _check_placed(group, given, stage)
    if download.known.sha256 is None:
        lock.record("downloads", {label: found.record()})
    if placed:
        lock.record("files", placed)
    folder.place(staged, label, {path: names for path, names in given.items() if "*" in path and names})
    report.placed.update(dict.fromkeys(staged, label))
    shutil.rmtree(stage, ignore_errors=True)
    source.unlink()
    return [job for job in group if not given[job.wanted.path]]


def _staged(group: Sequence[_Job], source: Path, stage: Path, label: str) -> dict[str, list[str]]:
    """What a download gives, made below ``stage``: for each wanted path its files."""
    members = {job.wanted.path: job.step.member for job in group if job.step.member is not None}
    given = {job.wanted.path: [job.wanted.path] for job in group}
    if members:
        given.update(unpack(source, members, stage, label))
    for job in group:
        if job.step.member is None:
            _make(job, source, stage / job.wanted.path, label)
    return given


def _make(job: _Job, source: Path, target: Path, label: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if job.step.convert is None:
        shutil.copyfile(source, target)
        return
    from xlt.data.download.convert import convert

    convert(job.step.convert, source, job.wanted.language, target, label)


def _check_placed(group: Sequence[_Job], given: dict[str, list[str]], stage: Path) -> dict[str, dict[str, Any]]:
    """Compare with what manifests state; what was made of archives and parquet, as the lock holds it.

    Raises:
        InputError: a file is not the one that its manifest states.
    """
    found = {}
    for job in group:
        for name in given[job.wanted.path]:
            path = stage / name
            got = {"size": path.stat().st_size, "sha256": sha256_file(path)}
            if job.step.convert is None:
                check(job.wanted.known.model_dump(), got, name, job.wanted.manifest)
            if job.step.member is not None or job.step.convert is not None:
                found[f"{name} from {public(job.step.download.key)}"] = got
    return found


def plan(
    data: Path, files: Sequence[Wanted], lock: Lock, patience: Patience | None = None
) -> list[tuple[str, int | None, int]]:
    """What would be downloaded, without doing it: the first source of each missing file, its size, the files it gives.

    Sizes come from the manifest, the lock or, asked now, the server; None: not known.
    """
    absent, _ = missing(DataFolder(data), files, lock)
    groups: dict[str, tuple[Download, int]] = {}
    for one in absent:
        if one.steps:
            download = one.steps[0].download
            groups[download.key] = (download, groups.get(download.key, (download, 0))[1] + 1)
    known = {key: (lock.get("downloads", public(key)) or {}).get("size") for key in groups}
    with ThreadPoolExecutor(8) as pool:
        sizes = pool.map(lambda key: known[key] or remote_size(groups[key][0], patience or Patience()), groups)
        return [(public(key), size, groups[key][1]) for key, size in zip(groups, sizes, strict=True)]
