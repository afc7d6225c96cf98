"""Files out of zip and tar archives that came over a network: nothing is written but what was asked for, where it belongs.

A name never becomes a path of its own making, links and devices are refused, and what is unpacked may not be out of all
proportion to the archive.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from xlt.data.download.manifest import matcher
from xlt.errors import InputError

RATIO = 200
"""How many times as large as the archive its unpacked files may be together; text is packed 3 to 30 times smaller."""
SLACK = 1 << 20
"""Bytes that may be unpacked in any case, so that small archives are not judged by their ratio."""
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError, NotImplementedError)
_CHUNK = 1 << 20


def unpack(archive: Path, members: Mapping[str, str], folder: Path, label: str) -> dict[str, list[str]]:
    """Write the members that ``members`` names into ``folder``: the files found, as paths below it, for each pattern.

    ``members`` maps a path below the data folder to the member that belongs there. With ``*`` in the path, every member
    that fits is taken, and the path's parts from the first ``*`` on are the last parts of the member's name. ``label``
    names the archive in messages. A pattern that nothing fits has an empty list.

    Raises:
        InputError: the archive is damaged or holds an unsafe name, a wanted member is no plain file, or more comes out of
            it than can be right.
    """
    found: dict[str, list[str]] = {path: [] for path in members}
    patterns = {path: matcher(member) for path, member in members.items()}
    room = RATIO * archive.stat().st_size + SLACK
    try:
        for name, plain, open_member in _members(archive):
            _check_name(name, label)
            for path, pattern in patterns.items():
                if not pattern.fullmatch(name.removeprefix("./")):
                    continue
                if not plain:
                    raise InputError(f"{label}: expected a plain file, got a link or device: {name}")
                place = place_of(path, name)
                with open_member() as source:
                    room -= _copy(source, folder / place, room, label)
                found[path].append(place)
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"cannot unpack {label}: {error.strerror}", folder) from None
        raise InputError(
            f"{label}: expected a whole archive: {type(error).__name__}; run again to fetch it again"
        ) from None
    return found


def _check_name(name: str, label: str) -> None:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name or ":" in name[:2]:
        raise InputError(f"{label}: refused, it holds a name that leads outside: {name!r}")


def place_of(path: str, member: str) -> str:
    """Where a member belongs: ``path``, its parts from the first ``*`` on replaced by the last ones of the name."""
    parts = PurePosixPath(path).parts
    fixed = next((number for number, part in enumerate(parts) if "*" in part), len(parts))
    if fixed == len(parts):
        return path
    return PurePosixPath(*parts[:fixed], *PurePosixPath(member).parts[fixed - len(parts) :]).as_posix()


def _copy(source: IO[bytes], target: Path, room: int, label: str) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with target.open("wb") as handle:
        while block := source.read(_CHUNK):
            done += len(block)
            if done > room:
                raise InputError(f"{label}: refused, it unpacks to more than {RATIO} times its size")
            handle.write(block)
    return done


def _members(archive: Path) -> Iterator[tuple[str, bool, Callable[[], IO[bytes]]]]:
    """Name, whether it is a plain file, and a way to open it, of each member that is no folder, in the archive's order."""
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive)
        return
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if not member.isdir():
                yield member.name, member.isreg(), lambda member=member: _opened(tar, member)  # type: ignore[misc]


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    handle = tar.extractfile(member)
    assert handle is not None
    return handle


def _zip_members(archive: Path) -> Iterator[tuple[str, bool, Callable[[], IO[bytes]]]]:
    with zipfile.ZipFile(archive) as whole:
        for member in whole.infolist():
            if member.is_dir():
                continue
            mode = member.external_attr >> 16
            plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
            yield member.filename, plain, lambda member=member: whole.open(member)  # type: ignore[misc]
