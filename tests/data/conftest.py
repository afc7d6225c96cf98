"""A hub on loopback, and manifests that point at it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback

from xlt.data.download.manifest import Manifest, Wanted, wanted


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loopback]:
    """A server of this test's own; huggingface_hub is pointed at it, with a cache of its own and little patience."""
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.7)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    with Loopback() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def files_of() -> Callable[..., list[Wanted]]:
    """A function that gives the wanted files of a manifest with these entries."""

    def function(*entries: dict[str, Any], **more: Any) -> list[Wanted]:
        whole = [{"split": "test", "languages": ["en"], **entry} for entry in entries]
        given = {"name": "toy", "title": "Toy", "licence": "none", "citation": "none", "files": whole, **more}
        return wanted(Manifest.model_validate(given))

    return function


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real files, where there is one."""
    folder = os.environ.get("XLT_REALDATA")
    if not folder:
        pytest.skip("XLT_REALDATA is not set")
    return Path(folder)
