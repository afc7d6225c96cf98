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
from typing import TYPE_CHECKING

from xlt.data.download.http import (
    PASSING,
    Mismatch,
    Passing,
    Patience,
    Unavailable,
    asked_wait,
    git_blob,
    persist,
    reason,
)
from xlt.files import sha256_file

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

MODEL_PATIENCE = Patience(attempts=4)
_COMMIT = re.compile("[0-9a-f]{40}")


def _token() -> str | bool:
    """The token from the environment, or none: a token that lies in a file of the user's is not taken."""
    return os.environ.get("HF_TOKEN") or False


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT")


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """The library's errors as ``Unavailable`` or ``Passing``, without the addresses and headers in their messages."""
    import requests
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise Unavailable("access must be asked for on the hub; then set HF_TOKEN") from None
    except errors.RepositoryNotFoundError:
        raise Unavailable("no such repository, or it is private and HF_TOKEN gives no access") from None
    except errors.RevisionNotFoundError:
        raise Unavailable("no such revision") from None
    except errors.LocalEntryNotFoundError as error:
        raise _of_cause(error) from None
    except errors.EntryNotFoundError:
        raise Unavailable("no such file at this revision") from None
    except errors.FileMetadataError:
        raise Unavailable("the server is no hub: it gives no commit or no ETag") from None
    except errors.OfflineModeIsEnabled:
        raise Unavailable("HF_HUB_OFFLINE is set") from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise _of_status(
            status, None if error.response is None else error.response.headers.get("Retry-After")
        ) from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Passing(reason(error)) from None
    except OSError as error:
        if "Consistency check failed" in str(error):
            raise Passing("the connection was cut") from None
        raise


def _of_cause(error: Exception) -> Exception:
    """Why the library fell back to its cache, in which there is no such file."""
    import requests

    cause = error.__cause__ or error.__context__
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        found = _of_status(cause.response.status_code, cause.response.headers.get("Retry-After"))
        if isinstance(found, Passing):
            return found
    if isinstance(cause, requests.Timeout):
        return Passing(reason(cause))
    return Unavailable("the hub cannot be reached and its cache has no such revision")


def _of_status(status: int, retry_after: str | None) -> Exception:
    if status in PASSING:
        return Passing(f"HTTP {status}", asked_wait(retry_after))
    return Unavailable(f"HTTP {status}" + ("; set HF_TOKEN" if status in (401, 403) else ""))


def hub_metadata(repository: str, kind: str, revision: str | None, path: str) -> HfFileMetadata:
    """Commit, ETag and size of a file of the hub.

    Raises:
        Unavailable: the hub does not have it, or ``revision`` is a commit and the hub answers with another one.
        Passing: a fault that another try may not meet.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, path, repo_type=kind, revision=revision, endpoint=_endpoint())
    with _plain_errors():
        found = get_hf_file_metadata(url, token=_token(), endpoint=_endpoint())
    if found.commit_hash is None or found.etag is None:
        raise Unavailable("the server is no hub: it gives no commit or no ETag")
    if revision and _COMMIT.fullmatch(revision) and found.commit_hash != revision:
        raise Unavailable(f"expected commit {revision}, got {found.commit_hash}")
    return found


def hub_file(repository: str, kind: str, revision: str | None, path: str, folder: Path) -> tuple[Path, str]:
    """A file of the hub below ``folder``, resumed where an earlier call stopped; its path and its commit.

    Raises:
        Unavailable, Passing: as ``hub_metadata``.
        Mismatch: the content is not what the hub's ETag says; the file is deleted.
    """
    from huggingface_hub import hf_hub_download

    found = hub_metadata(repository, kind, revision, path)
    with _plain_errors():
        got = hf_hub_download(
            repository,
            path,
            repo_type=kind,
            revision=found.commit_hash,
            local_dir=folder,
            token=_token(),
            endpoint=_endpoint(),
        )
    check_etag(Path(got), str(found.etag))
    return Path(got), str(found.commit_hash)


def hub_snapshot(
    repository: str, revision: str | None, names: Sequence[str], patience: Patience = MODEL_PATIENCE
) -> Path:
    """Those files of a hub model that fit ``names``, in the hub's own cache, with the content their ETags say.

    Raises:
        Unavailable: the hub does not have the model, or cannot be reached and the cache has no such revision.
        InputError: the content of a file is twice not what its ETag says.
    """
    from huggingface_hub import snapshot_download

    def bring() -> Path:
        with _plain_errors():
            folder = Path(
                snapshot_download(
                    repository, revision=revision, allow_patterns=list(names), token=_token(), endpoint=_endpoint()
                )
            )
        for path in sorted(folder.rglob("*")):
            blob = path.resolve()  # the cache names a content after its ETag
            if blob.is_file():
                try:
                    check_etag(blob, blob.name)
                except Mismatch:
                    path.unlink(missing_ok=True)
                    raise
        return folder

    return persist(bring, patience, f"hub:{repository}@{revision or 'main'}", Path(repository))


def hub_names(repository: str, revision: str | None) -> list[str]:
    """The names of a hub model's files; none when the hub cannot say."""
    from huggingface_hub import HfApi

    try:
        with _plain_errors():
            found = HfApi(endpoint=_endpoint(), token=_token()).model_info(repository, revision=revision)
    except (Unavailable, Passing):
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
