"""Names that stand for folders and configs; nothing here needs more than Python itself, since make asks at every call."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of configs: they become folders, targets of make and words of a command."""

NAMED = 12
"""Names that a message lists."""


def one_of(known: Iterable[str], given: str) -> str:
    """What a message says of a name that is not known: which are, those nearest to it first."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(given, names, n=len(names) + 1)
    listed = [*near, *(name for name in names if name not in near)]
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return f"expected one of {', '.join(listed[:NAMED]) or 'none'}{more}, got {given}"


def names_config(model: str, configs: Path) -> bool:
    """Whether ``MODEL`` is the name of a config: then a folder of that name beside it is not meant (``./name`` is)."""
    return "/" not in model and (configs / "models" / f"{model}.yaml").is_file()


def model_name(model: str, configs: Path) -> str:
    """The name of ``MODEL`` in the paths of caches and results: a config's own, or one made from a folder's path.

    A folder's is the last part of its path, links followed, and eight hex digits of the SHA-256 of all of it: readable,
    the same at every call, and another one for every other folder (``/a/best`` and ``/b/best``).
    """
    if names_config(model, configs):
        return model
    folder = Path(model).resolve()
    readable = re.sub(r"[^A-Za-z0-9._-]", "-", folder.name).strip(".-") or "model"
    return f"{readable}-{hashlib.sha256(str(folder).encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def visible(folder: Path, pattern: str) -> list[Path]:
    """What matches a pattern below a folder, without what editors and archivers hide beside it (``.#x.yaml``, ``._x``)."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
