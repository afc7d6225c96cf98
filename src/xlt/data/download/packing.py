"""One archive with everything a machine without network needs: data files, prepared models and what is known of them."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from xlt.data.download.data_folder import WORK, DataFolder
from xlt.errors import InputError
from xlt.files import atomic_folder, sha256_file, to_json

LIST = "MANIFEST.json"
_CHUNK = 1 << 20


def pack(data: Path, models: Sequence[Path], output: Path) -> dict[str, Any]:
    """Write ``output``, a tar archive that begins with ``MANIFEST.json``: each file's name, size and SHA-256.

    The same files give the same bytes. Data files lie below ``data/``, prepared models below ``models/<name>/``.

    Raises:
        InputError: there is no data folder, it is being filled, or the archive cannot be written.
    """
    if not data.is_dir():
        raise InputError("expected the data folder; run make data first", data)
    unfinished = DataFolder(data).record()["unfinished"]
    if unfinished:
        raise InputError(f"an interrupted download left {unfinished[0]} unfinished; run make data again", data)
    members = {f"data/{path.relative_to(data).as_posix()}": path for path in _visible(data)}
    for model in models:
        members.update({f"models/{model.name}/{path.name}": path for path in _visible(model)})
    if not members:
        raise InputError("expected data files, found none; run make data first", data)
    described: dict[str, dict[str, Any]] = {
        name: {"size": path.stat().st_size, "sha256": sha256_file(path)} for name, path in sorted(members.items())
    }
    content: dict[str, Any] = {"files": described, "record": DataFolder(data).record()}
    temporary = output.with_name(f".{output.name}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            _add(tar, LIST, io.BytesIO(to_json(content).encode()), len(to_json(content).encode()))
            for name in described:
                with members[name].open("rb") as handle:
                    _add(tar, name, handle, described[name]["size"])
        os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"cannot write the archive: {error.strerror}", output) from None
    finally:
        temporary.unlink(missing_ok=True)
    return content


def _visible(folder: Path) -> list[Path]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in found if path.relative_to(folder).parts[0] != WORK and path.name[0] != "."]


def _add(tar: tarfile.TarFile, name: str, content: Any, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    tar.addfile(member, content)


def unpack_pack(archive: Path, data: Path, cache: Path) -> dict[str, Any]:
    """Put the files of a pack in place: data files into ``data``, models into ``cache``. Every hash is checked first.

    Raises:
        InputError: it is no pack, a file is missing, not listed, or not what the list says; or another file is there.
    """
    folder = DataFolder(data)
    with folder.exclusively():
        stage = folder.incoming / "pack"
        content = _extract(archive, stage)
        files = {name.removeprefix("data/"): stage / name for name in content["files"] if name.startswith("data/")}
        for name, path in files.items():
            there = data / name
            if there.exists() and sha256_file(there) != sha256_file(path):
                raise InputError("another file is here already; delete it to take the one of the archive", there)
        origins = content["record"]["files"]
        for origin in sorted({_origin(origins, name, archive) for name in files}):
            group = {name: path for name, path in files.items() if _origin(origins, name, archive) == origin}
            globbed = {
                pattern: names for pattern, names in content["record"]["patterns"].items() if {*names} & group.keys()
            }
            folder.place(group, origin, globbed)
        for model in sorted({PurePosixPath(name).parts[1] for name in content["files"] if name.startswith("models/")}):
            with atomic_folder(cache / model) as new:
                for path in sorted((stage / "models" / model).iterdir()):
                    os.replace(path, new / path.name)
    return content


def _origin(origins: Mapping[str, Any], name: str, archive: Path) -> str:
    return str(origins.get(name, {}).get("from", f"imported from {archive.name}"))


def _extract(archive: Path, stage: Path) -> dict[str, Any]:
    """Unpack what the list at the beginning names, and check it."""
    try:
        with tarfile.open(archive, "r:") as tar:
            first = tar.next()
            handle = tar.extractfile(first) if first is not None and first.name == LIST and first.isreg() else None
            if handle is None:
                raise InputError(f"expected an archive made by make data-pack, which begins with {LIST}", archive)
            content: dict[str, Any] = json.loads(handle.read())
            for name in content["files"]:
                parts = PurePosixPath(name).parts
                if ".." in parts or parts[0] not in ("data", "models") or len(parts) < 2 or WORK in parts:
                    raise InputError(f"refused: the archive lists a name that leads outside: {name!r}", archive)
            for member in tar.getmembers()[1:]:
                _extract_one(tar, member, content["files"], stage, archive)
    except (tarfile.TarError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"expected a whole archive made by make data-pack: {type(error).__name__}", archive) from None
    for name in content["files"]:
        if not (stage / name).is_file():
            raise InputError(f"expected {name} in the archive, found it missing", archive)
    return content


def _extract_one(
    tar: tarfile.TarFile, member: tarfile.TarInfo, listed: Mapping[str, Any], stage: Path, archive: Path
) -> None:
    handle = tar.extractfile(member) if member.isreg() and member.name in listed else None
    if handle is None:
        raise InputError(f"refused: {member.name!r} is not in the list, or no plain file", archive)
    target = stage / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        while block := handle.read(_CHUNK):
            out.write(block)
    expected, got = listed[member.name]["sha256"], sha256_file(target)
    if got != expected:
        raise InputError(f"{member.name}: expected sha256 {expected}, got {got}; copy the archive again", archive)
