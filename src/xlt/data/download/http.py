"""One download: resumed where it stopped, retried with back-off, checked, and complete or not there at all.

Owners' addresses are read with ``requests``, hub files with ``huggingface_hub``. Messages never contain an address that
a server redirected to (it may carry a signature) nor a header (it may carry a token).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.data.download.manifest import Known, Location
from xlt.data.download.transfer import (
    CHUNK,
    Mismatch,
    RetryPolicy,
    TransientError,
    Unavailable,
    of_status,
    offline,
    persist,
    reason,
)
from xlt.files import sha256_file, write_atomic

if TYPE_CHECKING:
    import requests

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come and the size, where it is known."""


@dataclass(frozen=True)
class Fetched:
    """What came: its size, its SHA-256 and, from the hub, the commit."""

    revision: str | None
    size: int
    sha256: str

    def record(self) -> dict[str, Any]:
        """As the lock holds it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def fetch(
    source: Location, revision: str | None, known: Known, target: Path, progress: Progress, policy: RetryPolicy
) -> Fetched:
    """Bring what ``source`` names to ``target``, which appears only when it is complete and is what ``known`` says.

    An interrupted download is resumed by the next call. One whose bytes are wrong is deleted and fetched once more.

    Args:
        source: where it is.
        revision: of a hub repository; None: its main branch.
        known: what its bytes must be, as far as that is known.
        target: where it goes.
        progress: told of each block that comes.
        policy: how long to try.

    Raises:
        Unavailable: the source does not have it, or cannot be reached after all attempts.
        InputError: what comes is twice not what it must be, or the disk is full.
    """
    if offline():
        raise Unavailable("HF_HUB_OFFLINE is set")

    def bring() -> Fetched:
        if source.url is not None:
            return _from_url(source.url, known, target, policy, progress)
        return _from_hub(source, revision, known, target, progress)

    return persist(bring, policy, source.label, target)


def _checked(path: Path, known: Known, revision: str | None = None) -> Fetched:
    """The size and hash of a complete download.

    Raises:
        Mismatch: they are not those that are known; the file is deleted.
    """
    found = Fetched(revision, path.stat().st_size, sha256_file(path))
    for name, expected in known.model_dump(exclude_none=True).items():
        if expected != (got := getattr(found, name)):
            path.unlink()
            raise Mismatch(f"expected {name} {expected}, got {got}")
    return found


def _from_url(url: str, known: Known, target: Path, policy: RetryPolicy, progress: Progress) -> Fetched:
    import requests

    part = target.with_name(target.name + ".part")
    try:
        _stream(url, part, known, policy, progress)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise TransientError(reason(error)) from None
    except requests.RequestException as error:
        raise Unavailable(reason(error)) from None
    found = _checked(part, known)
    _validator_of(part).unlink(missing_ok=True)
    os.replace(part, target)
    return found


def _validator_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _stream(url: str, part: Path, known: Known, policy: RetryPolicy, progress: Progress) -> None:
    """Bring the rest of ``url`` into ``part``, from where it stopped if the server still has the same file."""
    import requests

    have, validator = _resumable(part, known)
    headers = {"Accept-Encoding": "identity", "User-Agent": "xlt"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    timeout = (policy.connect, policy.silence)
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
        if answer.status_code == 416:  # what is there is no beginning of what the server has
            part.unlink()
            raise TransientError("the server has no such range")
        if answer.status_code not in (200, 206):
            raise of_status(answer)
        if known.sha256 is None and answer.headers.get("Content-Type", "").startswith("text/html"):
            raise Unavailable("got a web page, not the file")
        begin, size = _extent(answer, have)
        if size is None and known.size is None and known.sha256 is None:
            raise Unavailable("the server does not say how long the file is, and nothing is known of it")
        _keep_validator(part, answer)
        with part.open("r+b" if begin else "wb") as handle:
            handle.seek(begin)
            done = begin
            for block in answer.iter_content(CHUNK):
                handle.write(block)
                done += len(block)
                progress(done, size)
                if known.size is not None and done > known.size:
                    raise Mismatch(f"expected size {known.size}, got more")
            handle.truncate()
            handle.flush()
            os.fsync(handle.fileno())
    if size is not None and done != size:
        raise TransientError(f"the connection was cut after {done} of {size} bytes")


def _resumable(part: Path, known: Known) -> tuple[int, str | None]:
    """How much of the file is there, and the server's name of its version; nothing when the two cannot be joined safely."""
    try:
        validator = json.loads(_validator_of(part).read_text()).get("validator")
    except (OSError, ValueError):
        validator = None
    if not part.exists() or (validator is None and known.sha256 is None):
        return 0, None
    return part.stat().st_size, validator


def _keep_validator(part: Path, answer: requests.Response) -> None:
    etag = answer.headers.get("ETag", "")
    strong = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")
    write_atomic(_validator_of(part), json.dumps({"validator": strong}))


def _extent(answer: requests.Response, have: int) -> tuple[int, int | None]:
    """Where the bytes that come belong, and the size of the whole file, where the server says it."""
    length = answer.headers.get("Content-Length")
    if answer.status_code == 200:
        return 0, int(length) if length and "Content-Encoding" not in answer.headers else None
    unit, _, extent = answer.headers.get("Content-Range", "").partition(" ")
    span, _, total = extent.partition("/")
    begin = span.partition("-")[0]
    if unit != "bytes" or begin != str(have):
        raise Unavailable(f"expected the range from byte {have}, got Content-Range {unit} {extent}")
    return have, int(total) if total.isdigit() else (have + int(length) if length else None)


def _from_hub(source: Location, revision: str | None, known: Known, target: Path, progress: Progress) -> Fetched:
    from xlt.data.download.hub import hub_file

    folder = target.with_name(target.name + ".hub")
    path, commit = hub_file(str(source.hub), revision, str(source.path), folder)
    found = _checked(path, known, commit)
    progress(found.size, found.size)
    os.replace(path, target)
    shutil.rmtree(folder)
    return found


def remote_size(source: Location, policy: RetryPolicy) -> int | None:
    """The size of a download as its server states it, for a list before anything is fetched; None: not known."""
    import requests

    if source.size is not None or offline():
        return source.size
    try:
        if source.url is None:
            from xlt.data.download.hub import hub_metadata

            return hub_metadata(str(source.hub), source.revision, str(source.path)).size
        headers, timeout = {"Accept-Encoding": "identity"}, (policy.connect, policy.silence)
        answer = requests.head(source.url, headers=headers, timeout=timeout, allow_redirects=True)
        return int(answer.headers["Content-Length"]) if answer.ok and "Content-Length" in answer.headers else None
    except (Unavailable, TransientError, requests.RequestException):
        return None
