"""The whole download path with a hub on loopback: the miniature world and encoder arrive as they are, and stay offline."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hub_world import fetch, serve, visible, write_configs
from loopback import COMMIT, Loopback, Repository
from tests import scripts
from tests.conftest import make_plan
from tests.tiny_encoders import write_encoder

from xlt.names import model_name

ROOT = Path(__file__).resolve().parents[2]


def test_through_the_hub_and_then_without_it(
    mini_data: Path, mini_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    configs = write_configs(tmp_path / "configs", mini_data)
    out = tmp_path / "out"
    with Loopback(redirect=True) as hub:
        serve(hub, mini_data, mini_encoder)
        online = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
        for done in fetch(configs, out, online):
            assert done.returncode == 0, done.stderr
        asked = len(hub.requests)
    assert visible(out / "tiny" / "data") == visible(mini_data)
    stamp = json.loads((out / "cache" / "babel" / "prepared.json").read_text())
    assert stamp["origin"].startswith("hub world/encoder@") and asked > 0
    again = fetch(
        configs, out, {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(out / "none")}
    )
    assert [done.returncode for done in again] == [0, 0], again[0].stderr + again[1].stderr
    assert "0 files came" in again[0].stdout


def test_a_repository_s_encoder_through_the_whole_path(
    mini_configs: Path, mini_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MODEL=owner/name@commit, a ModernBERT: fetched, planned, trained, scored, tabulated."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    model, cache, root = f"world/encoder@{COMMIT}", tmp_path / "cache", tmp_path / "root"
    with Loopback(redirect=True) as hub:
        serve(hub, mini_data, write_encoder(tmp_path / "encoder", "modernbert"))
        command = [
            sys.executable,
            str(ROOT / "reproduce" / "prepare_model.py"),
            "--model",
            model,
            "--cache",
            str(cache),
        ]
        online = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
        done = subprocess.run(
            [*command, "--configs", str(mini_configs)], env=online, capture_output=True, text=True, check=False
        )
    encoder = cache / model_name(model, mini_configs)
    assert done.stdout == f"{model} is {encoder}: hub world/encoder@{COMMIT}\n", done.stderr
    make_plan(mini_configs, mini_data, root, Path(model), "--encoder", str(encoder))
    assert json.loads((root / "plan.json").read_text())["folder"] == model
    for run in ("full/udpos", "lora/udpos"):
        folder = root / "runs" / run / "seed-1"
        done = scripts.call("run", folder, "--data", mini_data, "--encoder", encoder, "--threads", "1")
        assert done.returncode == 0, done.stderr
        settings = json.loads((folder / "config.json").read_text())
        assert (settings["model"]["title"], settings["stages"][0]["learning_rate"]) == (
            f"world/encoder@{COMMIT[:8]}",
            {"full": 1e-4, "lora": 1e-3}[run.partition("/")[0]],  # it is 16 wide
        )
        assert json.loads((folder / "scores.json").read_text())["tasks"]["udpos"]
    done = scripts.call("table", "--regime", "full", "--root", root, "--configs", mini_configs)
    assert done.returncode == 0, done.stderr
    assert f"world/encoder@{COMMIT[:8]}" in (root / "tables" / "regime-full.md").read_text()


def test_kill_at_ten_random_moments_leaves_no_wrong_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of one address each, of an archive and of a hub dataset, over a slow line; then one call to the end."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    draw = random.Random(5)
    contents = {f"plain/{number}.txt": draw.randbytes(400_000) for number in range(3)}
    packed = {f"packed/{number}/x.txt": draw.randbytes(200_000) for number in range(3)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in packed.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    whole = {**contents, **packed, "hub/y.txt": draw.randbytes(300_000)}
    with Loopback(pause=0.1) as hub:
        hub.files = {f"/{name}": content for name, content in contents.items()} | {"/a.tgz": archive.getvalue()}
        hub.repositories["datasets/toy/set"] = Repository({"y.txt": whole["hub/y.txt"]})
        entries = [{"path": name, "sources": [{"url": f"{hub.url}/{name}"}]} for name in contents]
        entries += [{"path": "packed/*/x.txt", "sources": [{"url": f"{hub.url}/a.tgz", "member": "packed/*/x.txt"}]}]
        entries += [{"path": "hub/y.txt", "sources": [{"hub": "toy/set", "path": "y.txt"}]}]
        manifest = {"name": "toy", "title": "Toy", "licence": "none", "citation": "none"}
        manifest["files"] = [{"split": "test", "languages": ["en"], **entry} for entry in entries]
        (tmp_path / "manifests").mkdir()
        (tmp_path / "manifests" / "toy.yaml").write_text(json.dumps(manifest))
        command = [sys.executable, str(ROOT / "reproduce" / "data.py"), "fetch", "--all"]
        command += ["--data", str(tmp_path / "data"), "--manifests", str(tmp_path / "manifests")]
        command += ["--lock", str(tmp_path / "data.lock.yaml"), "--jobs", "2"]
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
        partial = 0
        for _ in range(10):
            before = len(hub.requests)
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            limit = time.monotonic() + 30
            while len(hub.requests) == before and process.poll() is None and time.monotonic() < limit:
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            found = visible(tmp_path / "data")
            assert all(whole[name] == content for name, content in found.items())
            partial += len(found) < len(whole)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert visible(tmp_path / "data") == whole
    assert partial >= 3  # the moments were early enough to mean something
