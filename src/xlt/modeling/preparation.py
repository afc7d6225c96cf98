"""The door through which every encoder enters: one verified folder per model in the cache.

A prepared folder holds ``config.json``, ``model.safetensors``, the files of a fast tokenizer and, written last,
``prepared.json``: where the model came from, the versions that made the folder and the SHA-256 of each file.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.config.benchmark import Model, ModelSource, load
from xlt.digests import Digests
from xlt.errors import InputError
from xlt.files import atomic_folder, read_json, sha256_file, to_json, write_atomic
from xlt.locks import locked
from xlt.modeling.architectures import ARCHITECTURES, architecture_of
from xlt.modeling.model_sources import (
    STAMP,
    WEIGHTS,
    FetchedModel,
    Prepared,
    Unavailable,
    fetch,
    files_of,
    label,
    original,
    verified,
    weight_files,
)
from xlt.modeling.tokenizer import CONFIG, TOKENIZER
from xlt.names import config_of, hub_reference, model_name

if TYPE_CHECKING:
    pass


_VERSIONS = ("transformers", "tokenizers", "safetensors", "huggingface_hub", "numpy")


SMALL, HUGE = 768, 2048
"""Widths below and from which the recipes' learning rates, published for encoders of 768 and 1,024, are not taken."""


def config_of_encoder(folder: Path) -> dict[str, Any] | None:
    """The ``config.json`` of a prepared encoder; None where it is not there yet, and of a decoder."""
    config: dict[str, Any] = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    return config if config.get("model_type") in ARCHITECTURES else None


def by_size(config: Mapping[str, Any]) -> dict[str, Any]:
    """Learning rates and the layer for retrieval of an encoder that has no config of its own, by its width and depth.

    A small one learns at the rates of multilingual-e5-small's config, full fine-tuning of a huge one at a quarter of the
    recipes' rate. Retrieval without tuning reads two thirds of the way up, as XTREME's 8 of 12 layers.
    """
    architecture = architecture_of(config)
    width, depth = (int(architecture.figure(config, name)) for name in ("hidden_size", "num_hidden_layers"))
    rates = {"full": 1.0e-4, "adapter": 1.0e-3, "lora": 1.0e-3} if width < SMALL else {"full": 5.0e-6}
    return {
        "retrieval_layer": round(2 * depth / 3),
        "learning_rate": rates if width < SMALL or width >= HUGE else None,
    }


def resolve_model(name: str, configs: Path, encoder: Path | None = None) -> Model:
    """What ``MODEL`` stands for: a config of ``configs/models``, a folder with a checkpoint, or a repository of the hub.

    ``owner/name`` is the config that has it as its source, if there is one; ``owner/name@commit`` at another commit is that
    config with that commit. Where there is none, sentences are embedded by mean pooling; what else a repository's encoder
    gets depends on its size, so that it is known once it is prepared, in the folder ``encoder``.

    Raises:
        InputError: there is no such config and no such folder, and it is no name of a repository.
    """
    if (config := config_of(name, configs)) is not None:
        return load(Model, configs / "models" / f"{config}.yaml")
    reference = hub_reference(name)
    if reference is None and not Path(name).is_dir():
        if "/" not in name:
            return load(Model, configs / "models" / f"{name}.yaml")  # says which there are
        raise InputError(
            "expected the name of a model in configs/models, owner/name or owner/name@commit (40 hex digits) of the hub, or "
            "an existing folder with a checkpoint",
            name,
        )
    path = str(Path(name).resolve())
    if reference is None:
        title, source, citation = Path(path).name, ModelSource(local=path), path
    else:
        source, citation = ModelSource(hub=reference[0], revision=reference[1]), f"hub {reference[0]}"
        title = reference[0] if reference[1] is None else f"{reference[0]}@{reference[1][:8]}"
    given = {"name": model_name(name, configs), "title": title, "sources": [source]}
    if reference is not None and (config := config_of(reference[0], configs)) is not None:
        return load(Model, configs / "models" / f"{config}.yaml").model_copy(update=given)
    more: dict[str, Any] = {"licence": "see its owner", "parameters": "see config.json"}
    if reference is not None and encoder is not None and (prepared := config_of_encoder(encoder)) is not None:
        more |= by_size(prepared)
    return Model.model_validate({**given, "pooling": "mean", "citation": citation, **more})


def prepare(model: Model, cache: Path, *, pins: Mapping[str, str] | None = None, convert: bool = False) -> Prepared:
    """The model's folder ``cache/<name>``, made from the first source that can give it; made once, verified ever after.

    Several processes may call this at once: one makes the folder, the others wait. A folder whose source is no longer
    in the model's config, or any file of whose local source has changed, is made again. Hashes of files that have not
    been touched since are remembered, so that make can ask at every call. ``pins``: the commit of each hub repository that
    was found on first use, for sources that name none. ``convert``: whether pickled weights may be converted.

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
                prepared = verified(folder, stamp, digests)
                digests.save()
                return prepared
        reasons = []
        for source in model.sources:
            try:
                with atomic_folder(folder) as new:
                    fetched = fetch(source, model, new, pin=(pins or {}).get(source.hub or ""), convert=convert)
                    _finish(new, model, source, fetched)
            except Unavailable as reason:
                reasons.append(f"{label(source)}: {reason}")
            else:
                return verified(folder, read_json(folder / STAMP), digests)
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


def _is_current(stamp: dict[str, Any], model: Model, digests: Digests) -> bool:
    """Whether a prepared folder still comes from one of the model's sources, and its local source is unchanged."""
    for source in model.sources:
        if _is_of(source, model, stamp):
            folder = original(source)
            if folder is None or not folder.is_dir():
                return True
            return {path.name: digests(path) for path in files_of(folder)} == stamp.get("copied")
    return False


def _is_of(source: ModelSource, model: Model, stamp: dict[str, Any]) -> bool:
    """Whether a folder with this stamp was made from ``source`` as ``model`` says."""
    same_source = source.model_dump(exclude_defaults=True) == stamp["source"]
    return same_source and model.tokenizer_from == stamp.get("tokenizer_from")


def _finish(folder: Path, model: Model, source: ModelSource, fetched: FetchedModel) -> None:
    """Check that ``folder`` holds a checkpoint this project can use, then stamp it."""
    from xlt.modeling.fitness import check_fit  # transformers: slow import

    more: dict[str, Any] = {} if model.tokenizer_from is None else {"tokenizer_from": model.tokenizer_from}
    if (copied := original(source)) is not None:
        more["copied"] = {path.name: sha256_file(path) for path in files_of(copied)}
    files = [path.name for path in weight_files(folder)] or [WEIGHTS]
    for name in (CONFIG, *files, TOKENIZER):
        if not (folder / name).is_file():
            raise Unavailable(f"no {name}" + ("; a fast tokenizer is needed" if name == TOKENIZER else ""))
        (folder / name).chmod(0o644)
    try:
        check_fit(folder, model)
    except InputError as error:
        raise Unavailable(error.message) from None
    if fetched.licence is not None:
        more["licence"] = fetched.licence
    if fetched.pickled:
        more["pickled"] = fetched.pickled
    stamp_folder(folder, name=model.name, source=source, origin=fetched.origin, **more)
