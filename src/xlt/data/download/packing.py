"""One archive with everything a machine without network needs: data files, prepared models and what is known of them."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from xlt.data.download.data_folder import WORK, DataFolder
from xlt.errors import InputError
from xlt.files import atomic_folder, sha256_file, to_json

LIST = "MANIFEST.json"


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
    files = {name: {"size": path.stat().st_size, "sha256": sha256_file(path)} for name, path in sorted(members.items())}
    content: dict[str, Any] = {"files": files, "record": DataFolder(data).record()}
    temporary = output.with_name(f".{output.name}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            listed = to_json(content).encode()
            _add(tar, LIST, io.BytesIO(listed), len(listed))
            for name, described in content["files"].items():
                with members[name].open("rb") as handle:
                    _add(tar, name, handle, described["size"])
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
        record = content["record"]
        groups: dict[str, dict[str, Path]] = {}
        for name, path in files.items():
            origin = record["files"].get(name, {}).get("from", f"imported from {archive.name}")
            groups.setdefault(origin, {})[name] = path
        for origin, group in sorted(groups.items()):
            globbed = {pattern: names for pattern, names in record["patterns"].items() if {*names} & group.keys()}
            folder.place(group, origin, globbed)
        for model in sorted({PurePosixPath(name).parts[1] for name in content["files"] if name.startswith("models/")}):
            with atomic_folder(cache / model) as new:
                for path in sorted((stage / "models" / model).iterdir()):
                    os.replace(path, new / path.name)
    return content


def _extract(archive: Path, stage: Path) -> dict[str, Any]:
    """Unpack what the list at the beginning names, and check it."""
    shutil.rmtree(stage, ignore_errors=True)  # what an earlier archive left
    try:
        with tarfile.open(archive, "r:") as tar:
            first = tar.next()
            handle = tar.extractfile(first) if first is not None and first.name == LIST and first.isreg() else None
            if handle is None:
                raise InputError(f"expected an archive made by make data-pack, which begins with {LIST}", archive)
            content: dict[str, Any] = json.loads(handle.read())
            listed = {name: str(file["sha256"]) for name, file in content["files"].items()}
            for name in listed:
                parts = PurePosixPath(name).parts
                if ".." in parts or parts[0] not in ("data", "models") or len(parts) < 2 or WORK in parts:
                    raise InputError(f"refused: the archive lists a name that leads outside: {name!r}", archive)
            for member in tar.getmembers()[1:]:
                source = tar.extractfile(member) if member.isreg() and member.name in listed else None
                if source is None:
                    raise InputError(f"refused: {member.name!r} is not in the list, or no plain file", archive)
                target = stage / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except (tarfile.TarError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"expected a whole archive made by make data-pack: {type(error).__name__}", archive) from None
    for name, expected in listed.items():
        if not (stage / name).is_file():
            raise InputError(f"expected {name} in the archive, found it missing", archive)
        if (got := sha256_file(stage / name)) != expected:
            raise InputError(f"{name}: expected sha256 {expected}, got {got}; copy the archive again", archive)
    return content
