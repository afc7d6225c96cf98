"""The fault matrix of docs/data.md: a fault ends in success after another try or in one clear line, never in a wrong file."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import COMMIT, QUICK, Fault, Loopback, Repository

from xlt.data.download.downloader import DownloadReport, download_all
from xlt.data.download.lockfile import Lock
from xlt.errors import InputError

BODY = bytes(range(256)) * 1200  # 300 KB
SHA = hashlib.sha256(BODY).hexdigest()
OTHER = BODY[::-1]
Files = Callable[..., list[Any]]


def get(tmp_path: Path, files: list[Any]) -> DownloadReport:
    return download_all(tmp_path / "data", files, Lock(tmp_path / "data.lock.yaml"), policy=QUICK)


def found(tmp_path: Path, name: str = "a/file.txt") -> bytes | None:
    path = tmp_path / "data" / name
    return path.read_bytes() if path.exists() else None


@pytest.fixture
def owner(hub: Loopback, files_of: Files) -> list[Any]:
    """One file at its owner's address, its hash known."""
    hub.files["/file.txt"] = BODY
    entry = {"path": "a/file.txt", "sources": [{"url": f"{hub.url}/file.txt"}]}
    return files_of(entry, known={"a/file.txt": {"size": len(BODY), "sha256": SHA}})


@pytest.fixture
def unknown(hub: Loopback, files_of: Files) -> list[Any]:
    """The same file with nothing known of it."""
    hub.files["/file.txt"] = BODY
    return files_of({"path": "a/file.txt", "sources": [{"url": f"{hub.url}/file.txt"}]})


@pytest.fixture
def on_hub(hub: Loopback, files_of: Files) -> list[Any]:
    """The same file in a hub dataset at a pinned commit, no hash known."""
    hub.repositories["datasets/toy/set"] = Repository({"file.txt": BODY})
    source = {"hub": "toy/set", "revision": COMMIT, "path": "file.txt"}
    return files_of({"path": "a/file.txt", "sources": [source]})


def test_stall(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("stall", after=100_000)]
    get(tmp_path, owner)
    assert found(tmp_path) == BODY
    second = hub.asked("GET", "/file.txt")[1]
    assert second["Range"] == "bytes=65536-"  # whole blocks of 64 KiB are kept
    assert second["If-Range"].startswith('"')


def test_stall_for_ever(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("stall", after=70_000)] * 3
    report = get(tmp_path, owner)
    assert report.failed["a/file.txt"] == [f"{hub.url}/file.txt: the server stopped sending (3 attempts)"]
    assert found(tmp_path) is None


def test_cut(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("cut", after=200_000), Fault("cut", after=70_000)]
    get(tmp_path, owner)
    assert found(tmp_path) == BODY
    assert [h.get("Range") for h in hub.asked("GET", "/file.txt")] == [None, "bytes=196608-", "bytes=262144-"]


def test_cut_without_range(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("cut"), Fault("no-range")]
    get(tmp_path, owner)
    assert found(tmp_path) == BODY


def test_cut_without_length(hub: Loopback, unknown: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("no-length")]
    report = get(tmp_path, unknown)
    assert "does not say how long the file is" in report.failed["a/file.txt"][0] and found(tmp_path) is None


def test_changed_while_cut(hub: Loopback, unknown: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("stall", after=70_000)] * 3
    get(tmp_path, unknown)
    hub.files["/file.txt"] = OTHER  # the next call must not join the halves of two files
    get(tmp_path, unknown)
    assert found(tmp_path) == OTHER


def test_resumed_by_the_next_call(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("stall", after=70_000)] * 3
    get(tmp_path, owner)
    get(tmp_path, owner)
    assert found(tmp_path) == BODY and hub.asked("GET", "/file.txt")[-1]["Range"] == "bytes=196608-"


def test_range_beyond_the_end(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("cut", after=250_000), Fault("status", 416)]
    get(tmp_path, owner)
    assert found(tmp_path) == BODY and "Range" not in hub.asked("GET", "/file.txt")[-1]


def test_corrupt(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("corrupt")]
    get(tmp_path, owner)
    assert found(tmp_path) == BODY


def test_corrupt_twice(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("corrupt"), Fault("corrupt")]
    with pytest.raises(InputError, match=f"expected sha256 {SHA}, got [0-9a-f]{{64}}, twice; nothing was put in place"):
        get(tmp_path, owner)
    assert found(tmp_path) is None


def test_wrong_size(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.files["/file.txt"] = BODY + b"more"
    with pytest.raises(InputError, match=f"expected size {len(BODY)}, got more"):
        get(tmp_path, owner)
    assert found(tmp_path) is None


@pytest.mark.parametrize("status", [429, 503])
def test_busy(hub: Loopback, owner: list[Any], tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("xlt.data.download.transfer.pause", waits.append)
    hub.faults["/file.txt"] = [Fault("status", status, (("Retry-After", "0"),)), Fault("status", status)]
    get(tmp_path, owner)
    assert found(tmp_path) == BODY
    assert waits[0] == 0 and 0.02 <= waits[1] <= 0.025  # as asked; then the own second wait and up to a quarter more


def test_busy_for_long(hub: Loopback, owner: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("status", 429, (("Retry-After", "7200"),))]
    report = get(tmp_path, owner)
    assert report.failed["a/file.txt"] == [f"{hub.url}/file.txt: HTTP 429; the server asks to wait 7200 s"]


def test_gone_at_the_first_source(hub: Loopback, files_of: Files, tmp_path: Path) -> None:
    hub.files["/mirror.txt"] = BODY
    sources = [{"url": f"{hub.url}/gone.txt"}, {"url": f"{hub.url}/mirror.txt"}]
    report = get(tmp_path, files_of({"path": "a/file.txt", "sources": sources}))
    assert found(tmp_path) == BODY and report.placed == {"a/file.txt": f"{hub.url}/mirror.txt"}


def test_gone_everywhere(hub: Loopback, files_of: Files, tmp_path: Path) -> None:
    sources = [{"url": f"{hub.url}/gone.txt"}, {"hub": "toy/gone", "path": "x"}, {"url": "http://127.0.0.1:9/x"}]
    report = get(tmp_path, files_of({"path": "a/file.txt", "sources": sources}))
    assert report.failed["a/file.txt"] == [
        f"{hub.url}/gone.txt: HTTP 404",
        "hub:toy/gone@main/x: no such repository, or it is private and HF_TOKEN gives no access",
        "http://127.0.0.1:9/x: no connection (3 attempts)",
    ]


def test_first_use_then_changed(hub: Loopback, unknown: list[Any], tmp_path: Path, capsys: Any) -> None:
    get(tmp_path, unknown)
    assert capsys.readouterr().err == f"first use of {hub.url}/file.txt: recorded sha256 {SHA}\n"
    hub.files["/file.txt"] = OTHER
    (tmp_path / "data/a/file.txt").unlink()
    with pytest.raises(InputError, match=f"expected sha256 {SHA}, got {hashlib.sha256(OTHER).hexdigest()}"):
        get(tmp_path, unknown)
    assert found(tmp_path) is None


def test_hub_stall_and_cut(hub: Loopback, on_hub: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("cut"), Fault("stall")]
    get(tmp_path, on_hub)
    assert found(tmp_path) == BODY


@pytest.mark.parametrize("redirect", [False, True])
def test_hub_corrupt(hub: Loopback, on_hub: list[Any], tmp_path: Path, redirect: bool) -> None:
    hub.redirect = redirect  # to a store of large files, as the hub does
    hub.faults["/file.txt"] = [Fault("corrupt")]
    get(tmp_path, on_hub)
    assert found(tmp_path) == BODY


def test_hub_corrupt_twice(hub: Loopback, on_hub: list[Any], tmp_path: Path) -> None:
    hub.faults["/file.txt"] = [Fault("corrupt")] * 2
    with pytest.raises(InputError, match=f"expected sha256 {SHA} .the hub's ETag., got [0-9a-f]+, twice"):
        get(tmp_path, on_hub)
    assert found(tmp_path) is None


def test_hub_busy(hub: Loopback, on_hub: list[Any], tmp_path: Path) -> None:
    hub.head_faults["/file.txt"] = [Fault("status", 429, (("Retry-After", "0"),)), Fault("status", 503)]
    hub.faults["/file.txt"] = [Fault("status", 503)]
    get(tmp_path, on_hub)
    assert found(tmp_path) == BODY


@pytest.mark.parametrize("kind", ["no-etag", "no-commit"])
def test_hub_without_headers(hub: Loopback, on_hub: list[Any], tmp_path: Path, kind: str) -> None:
    hub.head_faults["/file.txt"] = [Fault(kind)] * 8
    report = get(tmp_path, on_hub)
    assert "the server is no hub: it gives no commit or no ETag" in report.failed["a/file.txt"][0]
    assert found(tmp_path) is None


def test_hub_changed_under_a_pinned_revision(hub: Loopback, on_hub: list[Any], tmp_path: Path) -> None:
    get(tmp_path, on_hub)
    hub.repositories["datasets/toy/set"].files["file.txt"] = OTHER
    (tmp_path / "data/a/file.txt").unlink()
    with pytest.raises(InputError, match=f"expected sha256 {SHA}, got"):
        get(tmp_path, on_hub)
    assert found(tmp_path) is None


def test_hub_other_commit(hub: Loopback, on_hub: list[Any], tmp_path: Path) -> None:
    hub.repositories["datasets/toy/set"].commit = "f" * 40
    assert get(tmp_path, on_hub).failed["a/file.txt"][0].endswith("no such revision")


def test_hub_revision_on_first_use(hub: Loopback, files_of: Files, tmp_path: Path) -> None:
    repository = hub.repositories["datasets/toy/set"] = Repository({"file.txt": BODY})
    files = files_of({"path": "a/file.txt", "sources": [{"hub": "toy/set", "path": "file.txt"}]})
    get(tmp_path, files)
    assert COMMIT in (tmp_path / "data.lock.yaml").read_text()
    (tmp_path / "data/a/file.txt").unlink()
    get(tmp_path, files)
    assert f"/datasets/toy/set/resolve/{COMMIT}/file.txt" in {path for _, path, _ in hub.requests[-3:]}
    repository.commit = "f" * 40  # main has moved on: the recorded commit is asked for, not main
    (tmp_path / "data/a/file.txt").unlink()
    assert get(tmp_path, files).failed["a/file.txt"][0].endswith("no such revision")


def test_token_appears_nowhere(
    hub: Loopback, files_of: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    hub.redirect = True
    hub.repositories["datasets/toy/set"] = Repository({"file.txt": BODY})
    hub.head_faults["/file.txt"] = [Fault("status", 401)]
    hub.files["/file.txt"] = BODY
    url = hub.url.replace("http://", "http://user:password@")
    sources = [{"hub": "toy/set", "path": "file.txt"}, {"url": f"{url}/file.txt?key=alsosecret"}]
    report = get(tmp_path, files_of({"path": "a/file.txt", "sources": sources}))
    sent = [headers for _, path, headers in hub.requests if "/resolve/" in path]
    assert sent and all(headers["authorization"] == "Bearer hf_verysecret" for headers in sent)
    written = "".join(path.read_text(errors="ignore") for path in tmp_path.rglob("*") if path.is_file())
    said = "".join(capfd.readouterr()) + str(report) + written
    assert not re.search("hf_verysecret|password|alsosecret|Signature", said)


def test_no_room(hub: Loopback, owner: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xlt.data.download.http.os.fsync", full)
    with pytest.raises(InputError, match="cannot write: No space left on device"):
        get(tmp_path, owner)
    assert found(tmp_path) is None


def test_offline(hub: Loopback, owner: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert get(tmp_path, owner).failed["a/file.txt"] == [f"{hub.url}/file.txt: HF_HUB_OFFLINE is set"]
    assert hub.requests == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    get(tmp_path, owner)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert get(tmp_path, owner).present == ["a/file.txt"]


def zipped(members: dict[str, bytes], mode: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tarred(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/hostname"
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


ARCHIVES = {
    "path escape, zip": (zipped({"../x.txt": b"x", "in/x.txt": b"x"}), "a name that leads outside: '../x.txt'"),
    "path escape, tar": (tarred({"/tmp/x.txt": b"x", "in/x.txt": b"x"}), "a name that leads outside: '/tmp/x.txt'"),
    "link, zip": (zipped({"in/x.txt": b"/etc/hostname"}, 0o120777), "got a link or device: in/x.txt"),
    "link, tar": (tarred({"in/x.txt": b""}, tarfile.SYMTYPE), "got a link or device: in/x.txt"),
    "hard link, tar": (tarred({"in/x.txt": b""}, tarfile.LNKTYPE), "got a link or device: in/x.txt"),
    "device, tar": (tarred({"in/x.txt": b""}, tarfile.CHRTYPE), "got a link or device: in/x.txt"),
    "bomb, zip": (zipped({"in/x.txt": bytes(6_000_000)}), "unpacks to more than 200 times its size"),
    "bomb, tar": (tarred({"in/x.txt": bytes(6_000_000)}), "unpacks to more than 200 times its size"),
    "half an archive": (tarred({"in/x.txt": os.urandom(9000)})[:5000], "expected a whole archive"),
    "no archive": (b"<html>Please log in</html>", "expected a whole archive"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_bad_archive(hub: Loopback, files_of: Files, tmp_path: Path, name: str) -> None:
    hub.files["/a.bin"], message = ARCHIVES[name]
    files = files_of({"path": "a/x.txt", "sources": [{"url": f"{hub.url}/a.bin", "member": "in/x.txt"}]})
    with pytest.raises(InputError, match=re.escape(message)) as error:
        get(tmp_path, files)
    assert "\n" not in str(error.value)
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and ".xlt" not in path.parts]
    assert {path.name.removeprefix(".").removesuffix(".lock") for path in outside} <= {"data.lock.yaml"}
