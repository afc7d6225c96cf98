"""One download: resumed where it stopped, retried with back-off, checked, and complete or not there at all.

Owners' addresses are read with ``requests``, hub files with ``huggingface_hub``. Messages never contain an address that
a server redirected to (it may carry a signature) nor a header (it may carry a token).
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from xlt.data.download.manifest import Download, Known
from xlt.errors import InputError
from xlt.files import sha256_file, write_atomic

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
CHUNK = 1 << 16
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers that another try may not get."""
Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come and the size, where it is known."""


@dataclass(frozen=True)
class Patience:
    """How long to try: attempts, seconds before the second one (doubled each time), the longest wait, time-outs."""

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 120.0
    connect: float = 15.0
    silence: float = 30.0


@dataclass(frozen=True)
class Fetched:
    """What came: its size, its SHA-256 and, from the hub, the commit."""

    size: int
    sha256: str
    revision: str | None = None

    def record(self) -> dict[str, Any]:
        """As the lock holds it."""
        found: dict[str, Any] = {"size": self.size, "sha256": self.sha256}
        return found if self.revision is None else {"revision": self.revision, **found}


class Unavailable(Exception):
    """A source cannot give the file; the message says why. The next source is tried."""


class Passing(Exception):
    """A fault that another try may not meet; ``wait`` is how many seconds the server asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Mismatch(Exception):
    """What came is not what was expected."""


def pause(seconds: float) -> None:
    """Wait before another try."""
    time.sleep(seconds)


def offline() -> bool:
    """Whether the user forbade the network, by the variable that huggingface_hub heeds."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def public(address: str) -> str:
    """An address without what may be secret: user, password and query."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def fetch(download: Download, target: Path, patience: Patience, progress: Progress) -> Fetched:
    """Bring ``download`` to ``target``, which appears only when it is complete and is what it must be.

    An interrupted download is resumed by the next call. One whose bytes are wrong is deleted and fetched once more.

    Raises:
        Unavailable: the source does not have it, or cannot be reached after all attempts.
        InputError: what comes is twice not what the manifest says, or the disk is full.
    """
    if offline():
        raise Unavailable("HF_HUB_OFFLINE is set")
    bring = _from_url if download.url else _from_hub
    return persist(lambda: bring(download, target, patience, progress), patience, public(download.key), target)


def persist(action: Callable[[], T], patience: Patience, label: str, target: Path) -> T:
    """What ``action`` returns: tried again after a passing fault, and once more after a mismatch.

    Raises:
        Unavailable: all attempts failed, or the server asks for more patience than there is.
        InputError: what comes is twice not what it must be (``label`` says what), or ``target`` cannot be written.
    """
    attempt = 0
    wrong = 0
    while True:
        try:
            return action()
        except Mismatch as error:
            wrong += 1
            if wrong == 2:
                raise InputError(f"{label}: {error}, twice; nothing was put in place") from None
        except Passing as fault:
            attempt += 1
            wait = fault.wait if fault.wait is not None else patience.first_wait * 2 ** (attempt - 1)
            if attempt >= patience.attempts:
                raise Unavailable(f"{fault} ({attempt} attempts)") from None
            if wait > patience.longest_wait and fault.wait is not None:
                raise Unavailable(f"{fault}; the server asks to wait {wait:.0f} s") from None
            pause(min(wait, patience.longest_wait) * random.uniform(1.0, 1.25))
        except OSError as error:
            raise InputError(f"cannot write: {error.strerror or error}", target) from None


def _checked(path: Path, known: Known, revision: str | None = None) -> Fetched:
    """The size and hash of a complete download.

    Raises:
        Mismatch: they are not those that are known; the file is deleted.
    """
    found = Fetched(path.stat().st_size, sha256_file(path), revision)
    for name in ("size", "sha256"):
        expected, got = getattr(known, name), getattr(found, name)
        if expected is not None and expected != got:
            path.unlink()
            raise Mismatch(f"expected {name} {expected}, got {got}")
    return found


def _from_url(download: Download, target: Path, patience: Patience, progress: Progress) -> Fetched:
    import requests

    part = target.with_name(target.name + ".part")
    try:
        _stream(str(download.url), part, download.known, patience, progress)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Passing(reason(error)) from None
    except requests.RequestException as error:
        raise Unavailable(reason(error)) from None
    found = _checked(part, download.known)
    _validator_of(part).unlink(missing_ok=True)
    os.replace(part, target)
    return found


def reason(error: Exception) -> str:
    """What went wrong in words, without the address that a library's message may hold."""
    import requests

    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return "the server stopped sending"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut"
    if isinstance(error, requests.exceptions.SSLError):
        return "no valid certificate"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.TooManyRedirects):
        return "too many redirects"
    return type(error).__name__


def _validator_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _stream(url: str, part: Path, known: Known, patience: Patience, progress: Progress) -> None:
    """Bring the rest of ``url`` into ``part``, from where it stopped if the server still has the same file."""
    import requests

    have, validator = _resumable(part, known)
    headers = {"Accept-Encoding": "identity", "User-Agent": "xlt"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    timeout = (patience.connect, patience.silence)
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
        if answer.status_code == 416:  # what is there is no beginning of what the server has
            part.unlink()
            raise Passing("the server has no such range")
        if answer.status_code in PASSING:
            raise Passing(f"HTTP {answer.status_code}", asked_wait(answer.headers.get("Retry-After")))
        if answer.status_code not in (200, 206):
            raise Unavailable(f"HTTP {answer.status_code}")
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
        raise Passing(f"the connection was cut after {done} of {size} bytes")


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


def asked_wait(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _from_hub(download: Download, target: Path, patience: Patience, progress: Progress) -> Fetched:
    from xlt.data.download.hub import hub_file

    folder = target.with_name(target.name + ".hub")
    path, commit = hub_file(str(download.hub), "dataset", download.revision, str(download.path), folder)
    found = _checked(path, download.known, commit)
    progress(found.size, found.size)
    os.replace(path, target)
    shutil.rmtree(folder)
    return found


def remote_size(download: Download, patience: Patience) -> int | None:
    """The size of a download as its server states it, for a list before anything is fetched; None: not known."""
    import requests

    if download.known.size is not None or offline():
        return download.known.size
    try:
        if download.url is None:
            from xlt.data.download.hub import hub_metadata

            return hub_metadata(str(download.hub), "dataset", download.revision, str(download.path)).size
        timeout = (patience.connect, patience.silence)
        answer = requests.head(
            download.url, headers={"Accept-Encoding": "identity"}, timeout=timeout, allow_redirects=True
        )
        return int(answer.headers["Content-Length"]) if answer.ok and "Content-Length" in answer.headers else None
    except (Unavailable, Passing, Mismatch, requests.RequestException):
        return None


def git_blob(path: Path) -> str:
    """The name git gives a file's content: the SHA-1 of a header and the content."""
    sha = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(CHUNK):
            sha.update(block)
    return sha.hexdigest()
