"""Records of finished runs: what a stranger needs to make every table, and to score anew, without training.

``<folder>/<profile>/<model>/`` holds a ``.tar.xz`` for each run and job (config, scores, provenance, training history, single
examples' scores, predictions; no weights, no text or labels of the data), one for the plan (with the configs of what has not
finished, and how it was trained), checksums, and the pages made from all that. The same run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xlt.errors import InputError
from xlt.files import read_json, sha256_file, write_atomic, write_if_changed
from xlt.folders import make_own
from xlt.layout import CERTIFICATES, CONFIG, EXAMPLES, LEXICAL, PLAN, PREDICTED, PROVENANCE, SCORES, TRAINED, WEIGHTS

KEPT = (CONFIG, TRAINED, PREDICTED, SCORES, PROVENANCE, EXAMPLES, CERTIFICATES, LEXICAL)
PREDICTIONS = "predictions"
SUMS = "SHA256SUMS"
SUFFIX = ".tar.xz"
PLANNED = f"plan{SUFFIX}"
PAGES = ("tables", "report")
"""Below a profile and model: what is made from its runs."""
FIGURES = (".pdf",)
"""Endings of pages that are not recorded: the bytes of a PDF depend on the library's version."""


def keep(root: Path, records: Path) -> list[str]:
    """Record the plan in ``root`` and its finished runs and jobs.

    A run that was only trained is recorded with its training history. Records of runs that are not in ``root`` stay. Returns
    the folders whose records are new or differ.

    Args:
        root: folder of one profile and model.
        records: the folder to record in; the checksums of all of its files are written last.

    Raises:
        InputError: scores are of an earlier config, or there is a record that this plan does not have or configures
            otherwise. Nothing is written then.
    """
    planned = results_by_folder(read_json(root / PLAN))
    finished = {
        folder: files_of(root / folder) for folder, result in planned.items() if is_current(root / folder, result)
    }
    check_planned(root, records, planned, set(finished))
    unfinished = {PLAN: root / PLAN}
    for folder in planned.keys() - finished.keys():
        if is_trained(root / folder) and not finished_in(record_of(records, folder)):
            finished[folder] = {name: root / folder / name for name in (CONFIG, TRAINED)}
        elif not record_of(records, folder).exists():
            unfinished[f"{folder}/{CONFIG}"] = root / folder / CONFIG
    changed = [f for f, files in sorted(finished.items()) if write_if_changed(record_of(records, f), pack(files))]
    write_if_changed(records / PLANNED, pack(dict(sorted(unfinished.items()))))
    write_sums(records)
    return changed


def is_current(folder: Path, result: str) -> bool:
    """Whether a run or job has finished.

    Raises:
        InputError: it has finished with another config than it has now.
    """
    if not (folder / result).exists():
        return False
    if result == SCORES and read_json(folder / PROVENANCE)["config_sha256"] != sha256_file(folder / CONFIG):
        raise InputError(
            "expected scores of the config beside them, got those of an earlier one; make the run again", folder
        )
    return True


def is_trained(folder: Path) -> bool:
    """Whether a run has been trained since its config was written."""
    path = folder / TRAINED
    return path.exists() and path.stat().st_mtime_ns >= (folder / CONFIG).stat().st_mtime_ns


def check_planned(root: Path, records: Path, planned: Collection[str], replaced: Collection[str]) -> None:
    """Refuse records that the plan in ``root`` lacks, or plans with another config; not those that are to be ``replaced``."""
    for path in run_records(records):
        folder = path.relative_to(records).as_posix().removesuffix(SUFFIX)
        if folder not in planned:
            raise InputError(
                "expected a record of a planned run; make keep without SEEDS, or remove it if it may go", path
            )
        if folder not in replaced and dict(contents(path))[CONFIG] != (root / folder / CONFIG).read_bytes():
            raise InputError("expected a record of the config now planned; make the run again, or remove it", path)


def run_records(records: Path, kind: str = "*") -> list[Path]:
    """The records of runs and jobs, in order, or those of one kind (``runs``)."""
    return sorted(records.glob(f"{kind}/**/*{SUFFIX}"))


def results_by_folder(plan: Mapping[str, Any]) -> dict[str, str]:
    """The folders of the runs of a plan, of those they start from, and of its jobs, each with the file it ends with."""
    regimes = plan["regimes"].values()
    runs = [run["dir"] for regime in regimes for run in regime["runs"]]
    upstream = [folder for regime in regimes for folder in regime["upstream"]]
    return {**dict.fromkeys([*runs, *upstream], SCORES), **plan["jobs"]}


def finished_in(path: Path) -> bool:
    """Whether there is a record of a run or job that has finished."""
    return path.exists() and any(name in (SCORES, LEXICAL) for name, _ in contents(path))


def record_of(records: Path, folder: str) -> Path:
    """Where the record of a run or job lies."""
    return records / f"{folder}{SUFFIX}"


def files_of(folder: Path) -> dict[str, Path]:
    """What is recorded of a run or job: where each file lies, by its path below the folder."""
    kept = [folder / name for name in KEPT if (folder / name).exists()]
    kept += sorted(path for path in (folder / PREDICTIONS).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in kept}


def pack(files: Mapping[str, Path]) -> bytes:
    """A ``.tar.xz`` of files by name, which depends on nothing but their names and contents."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in files.items():
            content = _stored(path) if path.name == EXAMPLES else path.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def _stored(path: Path) -> bytes:
    """Arrays as they are: inside an archive that is compressed as a whole they take a tenth of the room."""
    import numpy as np

    with np.load(path, allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept}
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files in a record, as paths below the run's folder with their contents.

    Raises:
        InputError: it is damaged.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(lzma.decompress(path.read_bytes()))) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None or Path(member.name).is_absolute() or ".." in Path(member.name).parts:
                    raise InputError(f"expected plain files in it, got {member.name}; fetch it again", path)
                yield member.name, content.read()
    except (lzma.LZMAError, tarfile.TarError, EOFError) as error:
        raise InputError(f"expected the record of a run: {error}; fetch it again", path) from None


def records_run(path: Path, config: bytes, result: str) -> bool:
    """Whether there is a record of a finished run or job with this config; ``result``: the file it ends with."""
    if not path.exists():
        return False
    found = dict(contents(path))
    return found.get(CONFIG) == config and result in found


def unpack(path: Path, folder: Path) -> None:
    """Write what a record holds into a run's folder; what tells that the run is finished comes last."""
    last = {SCORES, LEXICAL}
    for name, content in sorted(contents(path), key=lambda file: file[0] in last):
        if name != CONFIG or not (folder / CONFIG).exists() or (folder / CONFIG).read_bytes() != content:
            write_atomic(folder / name, content)


def restore(records: Path, root: Path) -> int:
    """Make ``root`` hold every recorded run, so that tables can be made without data. Returns how many have finished.

    A run that is being made there (it has weights) is left alone.

    Raises:
        InputError: a file differs from its checksum, or ``root`` has a finished run of another config.
    """
    check_sums(records)
    make_own(root, PLAN)
    found = run_records(records)
    for path in found:
        folder = root / path.relative_to(records).as_posix().removesuffix(SUFFIX)
        if (folder / SCORES).exists() or (folder / LEXICAL).exists():
            if (folder / CONFIG).read_bytes() == dict(contents(path))[CONFIG]:
                continue
            raise InputError(
                f"expected the run of {path}, found a finished one of another config; give another OUT", folder
            )
        if not (folder / WEIGHTS).exists():
            unpack(path, folder)
    unpack(records / PLANNED, root)
    return sum(map(finished_in, found))


def keep_pages(root: Path, records: Path) -> None:
    """Take over the pages below ``root``, which were made from the records alone."""
    for name in PAGES:
        shutil.rmtree(records / name, ignore_errors=True)
        for path in sorted((root / name).rglob("*")):
            if path.is_file() and path.suffix not in FIGURES:
                write_atomic(records / path.relative_to(root), path.read_bytes())
    write_sums(records)


def write_sums(records: Path) -> None:
    """Write the checksums of every file of a folder of records, in the format of ``sha256sum``."""
    files = sorted(path for path in records.rglob("*") if path.is_file() and path.name != SUMS)
    lines = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(records).as_posix()}\n" for path in files
    )
    write_atomic(records / SUMS, "".join(lines))


def check_sums(records: Path, pages: Sequence[str] = ()) -> None:
    """Hold the records against their checksums, and those of ``PAGES`` that are given: others may be made anew.

    Raises:
        InputError: there are none, or a record is missing or differs.
    """
    if not (records / SUMS).exists():
        raise InputError(
            "expected checksums of recorded runs; give RESULTS=<folder>, or DATA=<folder> to run", records / SUMS
        )
    for line in (records / SUMS).read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        path = records / name
        if name.split("/")[0] in set(PAGES).difference(pages):
            continue
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise InputError(f"expected the SHA-256 {expected[:12]}…; fetch it again", path)
