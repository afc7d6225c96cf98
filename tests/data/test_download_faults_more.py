"""More of the fault matrix: what archives lack, processes side by side, files changed in place, models."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import COMMIT, QUICK, Fault, Loopback, Repository

from xlt.config.benchmark import Model, ModelSource
from xlt.data.download.downloader import download_all, plan
from xlt.data.download.lockfile import Lock
from xlt.errors import InputError
from xlt.modeling.preparation import prepare

ROOT = Path(__file__).resolve().parents[2]
Files = Callable[..., list[Any]]


LOST = {  # what leads to the next source, by the name of the first one
    "owner, stall": [Fault("stall", after=70_000)] * 3,
    "owner, no length": [Fault("no-length")],
    "owner, wait for hours": [Fault("status", 429, (("Retry-After", "7200"),))],
    "owner, web page": [Fault("status", 200, (("Content-Type", "text/html; charset=utf-8"),))],
    "owner, busy": [Fault("status", 503)] * 3,
    "hub, no ETag": [Fault("no-etag")] * 8,
    "hub, no commit": [Fault("no-commit")] * 8,
    "hub, commit gone": [],
}


@pytest.mark.parametrize("fault", LOST)
def test_next_source(hub: Loopback, files_of: Files, tmp_path: Path, fault: str) -> None:
    """A source that cannot be read, whatever the reason, is no end: nothing of it is left, and nothing recorded of it."""
    body = bytes(range(256)) * 1200
    hub.files.update({"/file.txt": body[::-1], "/mirror.txt": body})
    commit = "f" * 40 if fault == "hub, commit gone" else COMMIT
    hub.repositories["datasets/toy/set"] = Repository({"file.txt": body[::-1]}, commit=commit)
    on_hub = fault.startswith("hub")
    (hub.head_faults if on_hub else hub.faults)["/file.txt"] = list(LOST[fault])
    first = {"hub": "toy/set", "revision": COMMIT, "path": "file.txt"} if on_hub else {"url": f"{hub.url}/file.txt"}
    files = files_of({"path": "a/file.txt", "sources": [first, {"url": f"{hub.url}/mirror.txt"}]})
    lock = Lock(tmp_path / "lock.yaml")
    report = download_all(tmp_path / "data", files, lock, policy=QUICK)
    assert report.placed == {"a/file.txt": f"{hub.url}/mirror.txt"} and report.failed == {}
    assert (tmp_path / "data/a/file.txt").read_bytes() == body
    recorded = lock.get("downloads", f"{hub.url}/mirror.txt")
    assert recorded is not None and recorded["sha256"] == hashlib.sha256(body).hexdigest()
    assert "/file.txt" not in lock.path.read_text()


def test_member_missing(hub: Loopback, files_of: Files, tmp_path: Path) -> None:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("in/a.txt", "a")
    hub.files.update({"/a.zip": out.getvalue(), "/b.txt": b"b"})
    archived = [{"url": f"{hub.url}/a.zip", "member": f"in/{name}.txt"} for name in "abc"]
    files = files_of(
        {"path": "x/a.txt", "sources": archived[:1]},
        {"path": "x/b.txt", "sources": [archived[1], {"url": f"{hub.url}/b.txt"}]},
        {"path": "x/c.txt", "sources": archived[2:]},
    )
    report = download_all(tmp_path / "data", files, Lock(tmp_path / "lock.yaml"), policy=QUICK)
    assert (tmp_path / "data/x/a.txt").read_text() == "a" and (tmp_path / "data/x/b.txt").read_text() == "b"
    assert report.failed == {"x/c.txt": [f"{hub.url}/a.zip: no such member in the archive"]}
    assert len(hub.asked("GET", "/a.zip")) == 1  # once for the three of them


def test_web_page_instead_of_the_file(hub: Loopback, files_of: Files, tmp_path: Path) -> None:
    page = b"<html>Please log in</html>"
    answer = (("Content-Type", "text/html; charset=utf-8"),)
    hub.files.update({"/a.txt": page, "/a.zip": page})
    hub.faults["/a.txt"] = [Fault("status", 200, answer)]
    files = files_of(
        {"path": "x/a.txt", "sources": [{"url": f"{hub.url}/a.txt"}]},
    )
    lock = Lock(tmp_path / "lock.yaml")
    report = download_all(tmp_path / "data", files, lock, policy=QUICK)
    assert report.failed == {"x/a.txt": [f"{hub.url}/a.txt: got a web page, not the file"]}
    archived = files_of({"path": "x/b.txt", "sources": [{"url": f"{hub.url}/a.zip", "member": "b.txt"}]})
    with pytest.raises(InputError, match="expected a whole archive"):
        download_all(tmp_path / "data", archived, lock, policy=QUICK)
    assert not lock.path.exists()  # what proved useless is not held against the next download


def test_two_processes(hub: Loopback, tmp_path: Path) -> None:
    hub.pause = 0.05
    hub.files = {f"/{number}.txt": os.urandom(200_000) for number in range(4)}
    entries = [
        {"path": f"a/{name[1:]}", "split": "test", "languages": ["en"], "sources": [{"url": hub.url + name}]}
        for name in hub.files
    ]
    manifest = {"name": "toy", "title": "Toy", "licence": "none", "citation": "none", "files": entries}
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "toy.yaml").write_text(json.dumps(manifest))
    command = [sys.executable, str(ROOT / "reproduce" / "data.py"), "fetch", "--all"]
    command += ["--data", str(tmp_path / "data"), "--manifests", str(tmp_path / "manifests")]
    command += ["--lock", str(tmp_path / "lock.yaml")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(error for _, error in said)
    for name, content in hub.files.items():
        assert (tmp_path / "data/a" / name[1:]).read_bytes() == content
        assert len(hub.asked("GET", name)) == 1
    assert sorted(out.partition(": ")[2] for out, _ in said) == [
        "0 files came, 4 were there\n",
        "4 files came, 0 were there\n",
    ]


def test_changed_in_place(hub: Loopback, files_of: Files, tmp_path: Path) -> None:
    hub.files["/a.txt"] = b"right"
    known = {"x/a.txt": {"sha256": hashlib.sha256(b"right").hexdigest()}}
    files = files_of({"path": "x/a.txt", "sources": [{"url": f"{hub.url}/a.txt"}]}, known=known)
    data, lock = tmp_path / "data", Lock(tmp_path / "lock.yaml")
    download_all(data, files, lock, policy=QUICK)
    (data / "x/a.txt").write_text("wrong")
    with pytest.raises(InputError, match=r"expected sha256 [0-9a-f]{64} as recorded when it came, got"):
        download_all(data, files, lock, policy=QUICK)
    own = tmp_path / "own"  # a file that the user put there, without a record
    (own / "x").mkdir(parents=True)
    (own / "x/a.txt").write_text("wrong")
    with pytest.raises(InputError, match=r"expected the published file, sha256 [0-9a-f]{64}, got"):
        download_all(own, files, lock, policy=QUICK)
    (own / "x/a.txt").write_text("right")
    assert download_all(own, files, lock, policy=QUICK).present == ["x/a.txt"]


def test_a_plan_lists_sizes_and_fetches_nothing(hub: Loopback, files_of: Files, tmp_path: Path) -> None:
    hub.files["/a.txt"] = b"right"
    hub.repositories["datasets/toy/set"] = Repository({"b.txt": b"123456789"})
    files = files_of(
        {"path": "x/a.txt", "sources": [{"url": f"{hub.url}/a.txt"}]},
        {"path": "x/b.txt", "sources": [{"hub": "toy/set", "path": "b.txt"}]},
        {"path": "x/c.txt", "sources": [{"url": f"{hub.url}/gone.txt"}]},
    )
    rows = plan(tmp_path / "data", files, Lock(tmp_path / "lock.yaml"), QUICK)
    assert [(size, number) for _, size, number in rows] == [(5, 1), (9, 1), (None, 1)]
    assert not hub.asked("GET", ".txt") and not (tmp_path / "data").exists()


def model_of(source: ModelSource) -> Model:
    text = {"title": "Toy", "licence": "none", "citation": "none", "parameters": "few"}
    return Model(name="toy", sources=[source], pooling="mean", **text)


def test_model_files_through_the_hub(hub: Loopback, mini_encoder: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in mini_encoder.iterdir() if path.name != "prepared.json"}
    hub.repositories["toy/model"] = Repository(files)
    hub.faults["model.safetensors"] = [Fault("corrupt")]
    hub.head_faults["config.json"] = [Fault("status", 503)]
    prepared = prepare(model_of(ModelSource(hub="toy/model", revision=COMMIT)), tmp_path / "cache")
    assert prepared.origin == f"hub toy/model@{COMMIT}"
    for name in ("model.safetensors", "tokenizer.json"):
        assert (prepared.path / name).read_bytes() == files[name]
    shutil.rmtree(tmp_path / "hf")
    hub.faults["model.safetensors"] = [Fault("corrupt")] * 2
    with pytest.raises(
        InputError, match=r"hub:toy/model@.*expected sha256 [0-9a-f]{64} .the hub's ETag., got .*, twice"
    ):
        prepare(model_of(ModelSource(hub="toy/model", revision=COMMIT)), tmp_path / "other")


def test_pickle_is_refused_by_the_hub_door(hub: Loopback, tmp_path: Path) -> None:
    hub.repositories["toy/model"] = Repository({"config.json": b"{}", "pytorch_model.bin": b"\x80\x04."})
    pickled = r"weights only as a pickle \(pytorch_model.bin\), which may run code"
    with pytest.raises(InputError, match=pickled):
        prepare(model_of(ModelSource(hub="toy/model", revision=COMMIT)), tmp_path / "cache")
    assert not hub.asked("GET", "pytorch_model.bin")


def test_a_model_changed_under_a_pinned_commit(hub: Loopback, mini_encoder: Path, tmp_path: Path) -> None:
    """What the hub serves is consistent in itself, and still not what the first download found."""
    import yaml

    files = {path.name: path.read_bytes() for path in mini_encoder.iterdir() if path.name != "prepared.json"}
    repository = hub.repositories["toy/model"] = Repository(dict(files))
    (tmp_path / "configs" / "models").mkdir(parents=True)
    model = model_of(ModelSource(hub="toy/model", revision=COMMIT)).model_dump(exclude_defaults=True)
    (tmp_path / "configs" / "models" / "toy.yaml").write_text(yaml.safe_dump(model))
    command = [sys.executable, str(ROOT / "reproduce" / "prepare_model.py"), "--model", "toy"]
    command += ["--configs", str(tmp_path / "configs"), "--cache", str(tmp_path / "cache")]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 0 and f"first use of hub:toy/model@{COMMIT}/model.safetensors" in first.stderr
    weights = files["model.safetensors"]
    repository.files["model.safetensors"] = weights[:-1] + bytes([weights[-1] ^ 1])
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(tmp_path / "home")
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 2 and "model.safetensors has changed: expected sha256" in second.stderr
    assert not (tmp_path / "cache" / "toy").exists()
