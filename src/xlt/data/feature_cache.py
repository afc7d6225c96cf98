"""Token ids that are made once and read by every later run: features in Arrow files, shared between processes.

A file is named by a hash of all that its features depend on: the records themselves (so caps, noisy copies and language
pairs need no care of their own), the tokenizer's files, the function that makes the features with all its arguments, this
package's code and the versions of the tokenizer libraries. What depends on something else has another name; no file is
ever out of date.

A file is an Arrow stream with the stream's SHA-256 behind it, where readers of the format no longer look. It is written
under another name and renamed; two processes that make the same features write the same bytes. A file whose hash is not
its own is made again. ``XLT_FEATURES`` names the folder; without it, or with ``XLT_FAST=0``, nothing is kept or read.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.data import batching
from xlt.data.features import Feature
from xlt.files import code_hash, digest, package_versions, sha256_file, write_atomic
from xlt.folders import make_own

if TYPE_CHECKING:
    import pyarrow

FOLDER = "XLT_FEATURES"
"""The environment variable that names the folder."""
LEAST = 500
"""Fewer records are always made anew: it takes less than a tenth of a second."""
TOKENIZER, SETTINGS = "tokenizer.json", ("tokenizer_config.json", "special_tokens_map.json")
"""What a fast tokenizer is loaded from; old checkpoints lack the settings."""
SEAL = hashlib.sha256().digest_size

_log = logging.getLogger(__name__)


def cached(
    make: Callable[..., list[Feature]], records: Sequence[Any], tokenizer: Any, *settings: Any, **named: Any
) -> list[Feature]:
    """``make(records, tokenizer, *settings, **named)``, or the same features from the file of an earlier call.

    Args:
        make: a pure function of its arguments.
        records: immutable records, or texts, whose ``repr`` shows all of their content.
        tokenizer: one that was loaded from a folder and not changed since.
        settings: JSON-like values, as ``named``.
    """
    folder = os.environ.get(FOLDER)
    if not folder or not batching.FAST or len(records) < LEAST:
        return make(records, tokenizer, *settings, **named)
    arguments = inspect.signature(make).bind(records, tokenizer, *settings, **named)
    arguments.apply_defaults()
    key = _key(make.__name__, arguments.args[2:], arguments.kwargs, records, tokenizer)
    path = Path(folder) / f"{key}.arrow"
    features = _read(path, key)
    if features is None:
        features = make(records, tokenizer, *settings, **named)
        _keep(features, path, key)
    return features


def _key(name: str, settings: Sequence[Any], named: dict[str, Any], records: Sequence[Any], tokenizer: Any) -> str:
    """A hash (16 hex digits) of all that the features depend on."""
    content = hashlib.sha256()
    for record in records:
        content.update(repr(record).encode())
    folder = Path(tokenizer.name_or_path)
    files = [folder / TOKENIZER, *(folder / each for each in SETTINGS if (folder / each).exists())]
    return digest(
        {
            "made_by": name,
            "settings": [*settings, named],
            "records": content.hexdigest(),
            "tokenizer": {file.name: _file_hash(file) for file in files},
            "class": type(tokenizer).__name__,
            "positions": tokenizer.model_max_length,
            "software": _software(),
        }
    )


@functools.cache
def _software() -> list[str | None]:
    versions = package_versions()
    return [code_hash(), versions["tokenizers"], versions["transformers"]]


def _file_hash(path: Path) -> str:
    status = path.stat()
    return _hash_once(path, status.st_mtime_ns, status.st_size)


@functools.cache
def _hash_once(path: Path, modified: int, size: int) -> str:
    """The SHA-256 of a file, read again only after a change: XLM-R's tokenizer takes as long as a hundred records."""
    return sha256_file(path)


def _read(path: Path, key: str) -> list[Feature] | None:
    """The features of a file, memory-mapped and checked; None where there is none, or none to be trusted."""
    import pyarrow

    try:
        with pyarrow.memory_map(os.fspath(path)) as file:
            content = file.read_buffer()
            stream = content[: max(0, content.size - SEAL)]
            if hashlib.sha256(stream).digest() != content[stream.size :].to_pybytes():
                raise pyarrow.ArrowInvalid("its SHA-256 is another")
            table = pyarrow.ipc.open_stream(stream).read_all()
            if not table.schema.equals(_schema(key), check_metadata=True):
                raise pyarrow.ArrowInvalid("it was written for something else")
            return _features(table)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, pyarrow.ArrowException) as error:
        _log.warning("%s: tokenised data that cannot be used (%s); made again", path, error)
        return None


def _keep(features: Sequence[Feature], path: Path, key: str) -> None:
    """Write the file; where that cannot be done, the run goes on without."""
    import pyarrow

    try:
        sink = pyarrow.BufferOutputStream()
        table = _table(features, key)
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        stream = sink.getvalue()
        make_own(path.parent)
        write_atomic(path, b"".join((stream, hashlib.sha256(stream).digest())))
    except OSError as error:
        _log.warning("%s: tokenised data could not be kept (%s); the run goes on", path, error)


def _schema(key: str) -> pyarrow.Schema:
    """A column for each attribute of a feature; targets have one for each kind, and null in the others."""
    import pyarrow

    ids = pyarrow.list_(pyarrow.int32())
    return pyarrow.schema(
        {
            "record": pyarrow.int32(),
            "rows": pyarrow.list_(ids),
            "types": pyarrow.list_(pyarrow.list_(pyarrow.int8())),
            "class": pyarrow.int32(),
            "labels": ids,
            "span": ids,
            "positions": ids,
            "first_word": pyarrow.int32(),
            "starts": ids,  # of ``offsets``
            "ends": ids,
            "answer_starts": pyarrow.list_(pyarrow.bool_()),
        },
        metadata={"key": key},
    )


def _table(features: Sequence[Feature], key: str) -> pyarrow.Table:
    import pyarrow

    targets = [feature.target for feature in features]
    columns = {
        "record": [feature.record for feature in features],
        "rows": [feature.rows for feature in features],
        "types": [feature.types for feature in features],
        "class": [target if isinstance(target, int) else None for target in targets],
        "labels": [target if isinstance(target, list) else None for target in targets],
        "span": [target if isinstance(target, tuple) else None for target in targets],
        "positions": [feature.positions for feature in features],
        "first_word": [feature.first_word for feature in features],
        "starts": [[None if span is None else span[0] for span in feature.offsets] for feature in features],
        "ends": [[None if span is None else span[1] for span in feature.offsets] for feature in features],
        "answer_starts": [feature.starts for feature in features],
    }
    return pyarrow.table(columns, schema=_schema(key))


def _features(table: pyarrow.Table) -> list[Feature]:
    columns = {name: column.to_pylist() for name, column in zip(table.schema.names, table.columns, strict=True)}
    targets = [_target(*kinds) for kinds in zip(columns["class"], columns["labels"], columns["span"], strict=True)]
    offsets = [
        [None if start is None else (start, end) for start, end in zip(starts, ends, strict=True)]
        for starts, ends in zip(columns["starts"], columns["ends"], strict=True)
    ]
    before, after = ("record", "rows", "types"), ("positions", "first_word")
    first, then = [columns[name] for name in before], [columns[name] for name in after]
    whole = zip(*first, targets, *then, offsets, columns["answer_starts"], strict=True)
    return [Feature(*values) for values in whole]


def _target(index: int | None, labels: list[int] | None, span: list[int] | None) -> Any:
    """The one that is there, or None."""
    if span is not None:
        return span[0], span[1]
    return index if labels is None else labels
