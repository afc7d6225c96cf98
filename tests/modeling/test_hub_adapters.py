"""Ready-made language adapters: from a hub on this machine, as safetensors or as a pickle of nothing but tensors."""

from __future__ import annotations

import http.server
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.modeling.test_checkpoints import COMMIT, ROOT, Hub

from xlt.config.run_config import LanguageAdapterSettings
from xlt.modeling.language_adapters import add_language_adapter, save_language_adapter
from xlt.modeling.pretrained import load_encoder

PROGRAM = """
import logging, sys
from pathlib import Path
from safetensors.torch import save_file
from xlt.errors import InputError
from xlt.modeling.pretrained import load_encoder
from xlt.modeling.hub_adapters import fetch_language_adapter
from xlt.modeling.language_adapters import adapter_state
from xlt.config.run_config import HubAdapter
logging.getLogger("adapters").setLevel(logging.CRITICAL)
encoder, out, revision, *names = sys.argv[1:]
for name in names:
    model = load_encoder(Path(encoder))
    try:
        print(fetch_language_adapter(model, "sw", HubAdapter(hub=name, revision=revision or None)))
        save_file(adapter_state(model, "sw"), Path(out) / f"{name.split('/')[1]}.safetensors")
    except InputError as error:
        print("error:", error)
"""


class Code:
    """What a hostile pickle runs when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.fixture
def saved(tmp_path: Path, mini_encoder: Path) -> Path:
    """A language adapter in the library's own format, under a foreign name."""
    settings = LanguageAdapterSettings(
        name="test",
        reduction_factor=2,
        invertible_reduction_factor=2,
        learning_rate=1,
        steps=1,
        batch_size=1,
        max_length=8,
    )
    encoder = load_encoder(mini_encoder)
    add_language_adapter(encoder, "theirs", settings)
    (tmp_path / "saved").mkdir()
    save_language_adapter(encoder, "theirs", tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def hub(tmp_path: Path, saved: Path) -> Iterator[str]:
    tensors = load_file(saved / "adapter.safetensors")
    torch.save(tensors, tmp_path / "good.bin")
    (tmp_path / "bad.bin").write_bytes(pickle.dumps({"x": Code()}))
    config = (saved / "adapter_config.json").read_bytes()
    plain = json.loads(config)
    plain["config"]["inv_adapter"] = None
    wide = json.loads(config)
    wide["config"]["reduction_factor"] = 4.0
    weights = (saved / "adapter.safetensors").read_bytes()

    class Handler(Hub):
        repositories = {  # noqa: RUF012
            "org/safe": {"adapter_config.json": config, "adapter.safetensors": weights},
            "org/pickled": {"adapter_config.json": config, "pytorch_adapter.bin": (tmp_path / "good.bin").read_bytes()},
            "org/hostile": {"adapter_config.json": config, "pytorch_adapter.bin": (tmp_path / "bad.bin").read_bytes()},
            "org/task": {"adapter_config.json": json.dumps(plain).encode(), "adapter.safetensors": weights},
            "org/other": {"adapter_config.json": json.dumps(wide).encode(), "adapter.safetensors": weights},
            "org/empty": {"README.md": b"nothing"},
        }
        log: list[str] = []  # noqa: RUF012

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_ready_made_adapters(tmp_path: Path, mini_encoder: Path, saved: Path, hub: str) -> None:
    """One process (the hub's address is read at import) fetches them all; each line is an origin or an error."""

    def run(address: str, revision: str, *names: str) -> list[str]:
        command = [sys.executable, "-c", PROGRAM, str(mini_encoder), str(tmp_path), revision, *names]
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
        more = {"PYTHONPATH": str(ROOT / "src"), "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf")}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**clean, **more}, timeout=180, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.splitlines()

    names = [f"org/{name}" for name in ("safe", "pickled", "hostile", "task", "other", "empty", "absent")]
    lines = run(hub, "", *names)
    assert lines[0] == f"hub org/safe@{COMMIT}"  # the commit of main is recorded
    assert lines[1] == f"hub org/pickled@{COMMIT} (pickled tensors, read with weights_only)"
    assert lines[2] == "error: hub org/hostile: expected nothing but tensors in pytorch_adapter.bin; refused"
    assert not (tmp_path / "ran").exists()
    assert "got one without an invertible adapter" in lines[3]
    assert lines[4].startswith("error: hub org/other: expected an adapter that fits the encoder")
    assert "expected adapter_config.json with adapter.safetensors or pytorch_adapter.bin" in lines[5]
    assert lines[6].startswith("error: hub org/absent@main: no such repository")
    stored = load_file(saved / "adapter.safetensors")
    theirs = {name.replace("language-theirs", "language-sw"): tensor for name, tensor in stored.items()}
    for name in ("safe", "pickled"):
        ours = load_file(tmp_path / f"{name}.safetensors")
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)

    # Nothing listens here: an adapter in the hub's own cache is found by its commit, another is refused in one line.
    offline = run("http://127.0.0.1:9", COMMIT, "org/safe", "org/absent")
    assert offline[0] == f"hub org/safe@{COMMIT}"
    assert offline[1].endswith("the hub cannot be reached and its cache has no such revision")
