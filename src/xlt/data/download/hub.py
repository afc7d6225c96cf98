"""Files of the Hugging Face hub, at a fixed commit and with the content that the hub says they have.

``huggingface_hub`` compares sizes only. The hub's ETag is the SHA-256 of a large file and git's name of a small one's
content, so a damaged file is found even at the first download. Repositories' code is never run.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.data.download.transfer import (
    Mismatch,
    RetryPolicy,
    TransientError,
    Unavailable,
    git_blob,
    of_status,
    persist,
    reason,
)
from xlt.files import sha256_file

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

MODEL_POLICY = RetryPolicy(attempts=4)
_COMMIT = re.compile("[0-9a-f]{40}")


def _token() -> str | bool:
    """The token from the environment, or none: a token that lies in a file of the user's is not taken."""
    return os.environ.get("HF_TOKEN") or False


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT")


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """The library's errors as ``Unavailable`` or ``TransientError``, without the addresses and headers in their messages."""
    import requests
    from huggingface_hub import errors

    said: dict[type[Exception], str] = {
        errors.GatedRepoError: "access must be asked for on the hub; then set HF_TOKEN",
        errors.RepositoryNotFoundError: "no such repository, or it is private and HF_TOKEN gives no access",
        errors.RevisionNotFoundError: "no such revision",
        errors.LocalEntryNotFoundError: "the hub cannot be reached and its cache has no such revision",
        errors.EntryNotFoundError: "no such file at this revision",
        errors.FileMetadataError: "the server is no hub: it gives no commit or no ETag",
        errors.OfflineModeIsEnabled: "HF_HUB_OFFLINE is set",
    }
    try:
        yield
    except tuple(said) as error:
        cause = error.__cause__ or error.__context__  # why the library fell back to its cache, where nothing was
        if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(cause, requests.RequestException):
            if isinstance(cause, requests.Timeout):
                raise TransientError(reason(cause)) from None
            if cause.response is not None and isinstance(fault := of_status(cause.response), TransientError):
                raise fault from None
        raise Unavailable(next(text for kind, text in said.items() if isinstance(error, kind))) from None
    except requests.HTTPError as error:
        fault = Unavailable("HTTP 0") if error.response is None else of_status(error.response)
        denied = error.response is not None and error.response.status_code in (401, 403)
        raise Unavailable(f"{fault}; set HF_TOKEN") if denied else fault from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise TransientError(reason(error)) from None
    except OSError as error:
        if "Consistency check failed" in str(error):
            raise TransientError("the connection was cut") from None
        raise


def hub_metadata(repository: str, revision: str | None, path: str) -> HfFileMetadata:
    """Commit, ETag and size of a file of a hub dataset.

    Raises:
        Unavailable: the hub does not have it, or ``revision`` is a commit and the hub answers with another one.
        TransientError: another try may succeed.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, path, repo_type="dataset", revision=revision, endpoint=_endpoint())
    with _plain_errors():
        found = get_hf_file_metadata(url, token=_token(), endpoint=_endpoint())
    if found.commit_hash is None or found.etag is None:
        raise Unavailable("the server is no hub: it gives no commit or no ETag")
    if revision and _COMMIT.fullmatch(revision) and found.commit_hash != revision:
        raise Unavailable(f"expected commit {revision}, got {found.commit_hash}")
    return found


def hub_file(repository: str, revision: str | None, path: str, folder: Path) -> tuple[Path, str]:
    """A file of a hub dataset below ``folder``, resumed where an earlier call stopped; its path and its commit.

    Raises:
        Unavailable, TransientError: as ``hub_metadata``.
        Mismatch: the content is not what the hub's ETag says; the file is deleted.
    """
    from huggingface_hub import hf_hub_download

    found = hub_metadata(repository, revision, path)
    where: dict[str, Any] = {"repo_type": "dataset", "revision": found.commit_hash, "local_dir": folder}
    with _plain_errors():
        got = Path(hf_hub_download(repository, path, **where, token=_token(), endpoint=_endpoint()))
    check_etag(got, str(found.etag))
    return got, str(found.commit_hash)


def hub_snapshot(
    repository: str, revision: str | None, names: Sequence[str], policy: RetryPolicy = MODEL_POLICY
) -> Path:
    """Those files of a hub model that fit ``names``, in the hub's own cache, with the content their ETags say.

    Raises:
        Unavailable: the hub does not have the model, or cannot be reached and the cache has no such revision.
        InputError: the content of a file is twice not what its ETag says.
    """
    from huggingface_hub import snapshot_download

    def bring() -> Path:
        with _plain_errors():
            where: dict[str, Any] = {"revision": revision, "allow_patterns": list(names)}
            folder = Path(snapshot_download(repository, **where, token=_token(), endpoint=_endpoint()))
        for path in sorted(folder.rglob("*")):
            blob = path.resolve()  # the cache names a content after its ETag
            if blob.is_file():
                try:
                    check_etag(blob, blob.name)
                except Mismatch:
                    path.unlink(missing_ok=True)
                    raise
        return folder

    return persist(bring, policy, f"hub:{repository}@{revision or 'main'}", Path(repository))


def hub_names(repository: str, revision: str | None) -> list[str]:
    """The names of a hub model's files; none when the hub cannot say."""
    from huggingface_hub import HfApi

    try:
        with _plain_errors():
            found = HfApi(endpoint=_endpoint(), token=_token()).model_info(repository, revision=revision)
    except (Unavailable, TransientError):
        return []
    return [file.rfilename for file in found.siblings or []]


def check_etag(path: Path, etag: str) -> None:
    """Compare a file with its ETag where that is a hash of the content (64 or 40 hexadecimal digits).

    Raises:
        Mismatch: they differ; the file is deleted.
    """
    kinds = {64: ("sha256", sha256_file), 40: ("git blob", git_blob)}
    if not re.fullmatch("[0-9a-f]+", etag) or len(etag) not in kinds:
        return
    name, function = kinds[len(etag)]
    if (got := function(path)) != etag:
        path.unlink()
        raise Mismatch(f"expected {name} {etag} (the hub's ETag), got {got}")
