"""Preparation asks at every call whether a folder is still the encoder that MODEL names."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.conftest import CONFIGS

from xlt.config.benchmark import Model, ModelSource
from xlt.errors import InputError
from xlt.files import sha256_file
from xlt.modeling.preparation import check_stamp, prepare, resolve_model


def model_at(folder: Path) -> Model:
    return resolve_model(str(folder), CONFIGS)


@pytest.fixture
def source(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "a" / "checkpoint-best"))


def test_two_folders_of_one_name_are_two_encoders(source: Path, tmp_path: Path) -> None:
    from tests.modeling.conftest import write_checkpoint

    other = write_checkpoint(tmp_path / "b" / "checkpoint-best", seed=1)
    first, second = (prepare(model_at(folder), tmp_path / "cache") for folder in (source, other))
    assert first.path != second.path
    for found, folder in ((first, source), (second, other)):
        assert sha256_file(found.path / "model.safetensors") == sha256_file(folder / "model.safetensors")
    with pytest.raises(InputError, match=rf"expected the encoder of checkpoint-best-\w+, got one from folder {source}"):
        check_stamp(first.path, model_at(other))
    check_stamp(second.path, model_at(other))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_any_changed_file_of_the_source_is_taken_over(source: Path, tmp_path: Path, name: str) -> None:
    before = prepare(model_at(source), tmp_path / "cache")
    stamped = (before.path / "prepared.json").stat().st_mtime_ns
    assert prepare(model_at(source), tmp_path / "cache") == before
    assert (before.path / "prepared.json").stat().st_mtime_ns == stamped  # make sees that nothing changed
    status = (source / name).stat()
    content = json.loads((source / name).read_text(encoding="utf-8"))
    (source / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.utime(source / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = prepare(model_at(source), tmp_path / "cache")
    assert after.sha256[name] == sha256_file(source / name) != before.sha256[name]
    assert (after.path / "prepared.json").stat().st_mtime_ns > stamped


def test_a_shard_and_a_file_that_is_gone_count_too(source: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file
    from transformers import BertModel

    model = BertModel.from_pretrained(source)
    (source / "model.safetensors").unlink()
    model.save_pretrained(source, max_shard_size="1KB")
    shard = sorted(source.glob("model-*-of-*.safetensors"))[-1]
    before = prepare(model_at(source), tmp_path / "cache")
    weights = {name: tensor + 1 for name, tensor in load_file(shard).items()}
    save_file(weights, shard, metadata={"format": "pt"})
    after = prepare(model_at(source), tmp_path / "cache")
    assert after.sha256[shard.name] == sha256_file(shard) != before.sha256[shard.name]
    (source / "special_tokens_map.json").unlink()
    assert "special_tokens_map.json" not in prepare(model_at(source), tmp_path / "cache").sha256


def test_what_the_models_config_says_of_its_making_counts(source: Path, tmp_path: Path) -> None:
    model = model_at(source).model_copy(update={"sources": [ModelSource(local="${PLACE}/checkpoint-best")]})
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PLACE", str(source.parent))
        made = prepare(model, tmp_path / "cache")
        check_stamp(made.path, model)
        with pytest.raises(InputError, match="expected the encoder of"):
            check_stamp(made.path, model.model_copy(update={"tokenizer_from": "org/other@main"}))
    assert prepare(model, tmp_path / "cache") == made  # its folder is out of reach now: what was prepared still serves
