"""Names that stand for folders and configs; nothing here needs more than Python itself, since make asks at every call."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of configs: they become folders, targets of make and words of a command."""
_REFERENCE = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([0-9a-f]{40}))?", re.ASCII)
MOVED = {
    "bert-base-multilingual-cased": "google-bert/bert-base-multilingual-cased",
    "distilbert-base-multilingual-cased": "distilbert/distilbert-base-multilingual-cased",
    "xlm-roberta-base": "FacebookAI/xlm-roberta-base",
    "xlm-roberta-large": "FacebookAI/xlm-roberta-large",
}
"""Repositories of the hub that papers and code still call by their names from before they had owners."""

NAMED = 12
"""Names that a message lists."""


def one_of(known: Iterable[str], given: str) -> str:
    """What a message says of a name that is not known: which are, those nearest to it first."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(given, names, n=len(names) + 1)
    listed = [*near, *(name for name in names if name not in near)]
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return f"expected one of {', '.join(listed[:NAMED]) or 'none'}{more}, got {given}"


def hub_reference(model: str) -> tuple[str, str | None] | None:
    """Repository and commit of ``owner/name`` or ``owner/name@commit``; None for a folder that is there, or else."""
    found = _REFERENCE.fullmatch(MOVED.get(model, model))
    return None if found is None or Path(model).is_dir() else (found[1], found[2])


def config_of(model: str, configs: Path) -> str | None:
    """The config that ``MODEL`` stands for: by its own name, or by the first hub repository that it names as a source.

    A folder of a config's name beside it is not meant (``./name`` is), and a repository at another commit than the config's
    neither.
    """
    if "/" not in model and (configs / "models" / f"{model}.yaml").is_file():
        return model
    repository, commit = hub_reference(model) or (None, None)
    for path in visible(configs / "models", "*.yaml") if repository else []:
        first = re.search(r"^ *- hub: *(\S+)\s+revision: *(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if first is not None and first[1] == repository and commit in (None, first[2]):
            return path.stem
    return None


def model_name(model: str, configs: Path) -> str:
    """The name of ``MODEL`` in the paths of caches and results: a config's own, or one made from a repository or a folder.

    It is the last part of the path (links followed) or of the repository's name, and eight hex digits of the SHA-256 of all
    of it: readable, the same at every call, and another one for every other folder (``/a/best`` and ``/b/best``) and commit.
    """
    if (config := config_of(model, configs)) is not None:
        return config
    if (reference := hub_reference(model)) is not None:
        last, whole = reference[0].partition("/")[2], f"hub:{reference[0]}@{reference[1] or 'main'}"
    else:
        last, whole = Path(model).resolve().name, str(Path(model).resolve())
    readable = re.sub(r"[^A-Za-z0-9._-]", "-", last).strip(".-") or "model"
    return f"{readable}-{hashlib.sha256(whole.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def visible(folder: Path, pattern: str) -> list[Path]:
    """What matches a pattern below a folder, without what editors and archivers hide beside it (``.#x.yaml``, ``._x``)."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
