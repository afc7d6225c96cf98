"""Files that can be trusted: atomic writes, content hashes, stamps and provenance."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from xlt.errors import InputError

SOURCE_ROOT = Path(__file__).resolve().parents[2]


def write_atomic(path: Path, text: str | bytes) -> None:
    """Write ``text`` to ``path`` so that a reader (or a crash) sees the whole new file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode("utf-8") if isinstance(text, str) else text
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_if_changed(path: Path, text: str | bytes) -> bool:
    """Write ``text`` unless the file has it already, so that what is newer in make's eyes is different; whether it did."""
    if path.exists() and path.read_bytes() == (text.encode("utf-8") if isinstance(text, str) else text):
        return False
    write_atomic(path, text)
    return True


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        yield new
        if path.exists():
            os.rename(path, Path(temporary) / "old")
        os.rename(new, path)


def to_json(value: Any) -> str:
    """JSON as every file of this project has it: indented, keys in the order given, UTF-8, a final newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file the project wrote.

    Raises:
        InputError: the file is absent or is not JSON.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise InputError("expected this file; run the step that makes it", path) from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or more of it than Python reads
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise InputError(f"expected JSON: {error}; delete the file and run again", path, line) from None


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any) -> str:
    """A short (16 hex digits) hash of a JSON-like value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


@functools.cache
def code_hash() -> str:
    """A short hash of the package's own source files, so that a result says which code made it."""
    content = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        content.update(path.relative_to(Path(__file__).parent).as_posix().encode())
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=SOURCE_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def package_versions() -> dict[str, str | None]:
    """The installed versions of the packages that figures depend on; None for one that is not there."""
    return {name: _version(name) for name in ("torch", "transformers", "adapters", "tokenizers", "numpy")}


def peak_memory_bytes() -> int:
    """The largest resident set of this process so far, in bytes (Linux reports KiB, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def provenance() -> dict[str, Any]:
    """What made a result: commit, code, lock file, versions, machine and thread settings."""
    status = _git("status", "--porcelain")
    locks = sorted((SOURCE_ROOT / "docker").glob("*.lock"))
    return {
        "git_commit": _git("rev-parse", "HEAD") or os.environ.get("XLT_REVISION"),
        "git_dirty": None if status is None else bool(status),
        "code_hash": code_hash(),
        "locks": {lock.name: sha256_file(lock) for lock in locks},
        "python": platform.python_version(),
        "versions": package_versions(),
        "platform": platform.platform(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
