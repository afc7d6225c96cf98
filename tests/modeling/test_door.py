"""MODEL=anything: a config, a folder, a repository of the hub; what it stands for, what is refused, in one line each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from loopback import COMMIT, Fault, Loopback, Repository
from safetensors.torch import load_file
from tests import scripts
from tests.conftest import CONFIGS, ROOT, make_plan
from tests.tiny_encoders import make_tokenizer, write_encoder

from xlt.data.records import AnswerSpan, Question, Tagged
from xlt.errors import InputError
from xlt.evaluation.qa_decoding import best_answers
from xlt.families.qa import span_features
from xlt.families.tagging import tagging_features
from xlt.files import read_json, sha256_file
from xlt.modeling.preparation import by_size, prepare, resolve_model
from xlt.modeling.pretrained import load_encoder, load_tokenizer
from xlt.names import model_name
from xlt.planning.plan import build

PINNED = "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089"  # of configs/models/xlmr-base.yaml
OTHER = "0" * 40


@pytest.mark.parametrize(
    "model", ["xlmr-base", "xlm-roberta-base", "FacebookAI/xlm-roberta-base", f"FacebookAI/xlm-roberta-base@{PINNED}"]
)
def test_a_repository_that_a_config_has_is_that_config(model: str) -> None:
    assert model_name(model, CONFIGS) == resolve_model(model, CONFIGS).name == "xlmr-base"
    assert resolve_model(model, CONFIGS).sources[0].revision == PINNED


def test_another_commit_is_another_model_with_the_config_s_settings() -> None:
    model = resolve_model(f"FacebookAI/xlm-roberta-base@{OTHER}", CONFIGS)
    assert model.name == model_name(f"FacebookAI/xlm-roberta-base@{OTHER}", CONFIGS) != "xlmr-base"
    assert model.name.startswith("xlm-roberta-base-") and model.title == "FacebookAI/xlm-roberta-base@00000000"
    assert (model.sources[0].hub, model.sources[0].revision) == ("FacebookAI/xlm-roberta-base", OTHER)
    assert (model.retrieval_layer, model.pooling) == (8, "mean")


def test_a_repository_without_a_config() -> None:
    model = resolve_model("org/some.encoder", CONFIGS)
    assert (model.title, model.pooling, model.learning_rate) == ("org/some.encoder", "mean", None)
    assert model.sources[0].model_dump(exclude_none=True) == {"hub": "org/some.encoder"}
    names = {
        model_name(name, CONFIGS) for name in ("org/some.encoder", "other/some.encoder", f"org/some.encoder@{OTHER}")
    }
    assert len(names) == 3 and all(name.startswith("some.encoder-") for name in names)


@pytest.mark.parametrize("model", ["org/name@main", "org/name@c0ffee", "a/b/c", "/no/such/folder", "./folder", "-x/y"])
def test_what_is_neither_is_refused(model: str) -> None:
    with pytest.raises(
        InputError, match=r"expected the name of a model in configs/models, owner/name or owner/name@commit"
    ):
        resolve_model(model, CONFIGS)


def pickled(folder: Path, content: Any = None) -> Path:
    """The checkpoint with its weights as torch pickles them."""
    state = load_file(folder / "model.safetensors") if content is None else content
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_pickle_is_converted_when_that_is_asked_for(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", "deberta-v2")
    expected = load_file(folder / "model.safetensors")
    pickled(folder)
    model = resolve_model(str(folder), CONFIGS)
    with pytest.raises(InputError, match=r"weights only as a pickle \(pytorch_model.bin\).*make encoder CONVERT=1"):
        prepare(model, tmp_path / "cache")
    prepared = prepare(model, tmp_path / "cache", convert=True)
    found = load_file(prepared.path / "model.safetensors")
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    stamp = read_json(prepared.path / "prepared.json")
    assert stamp["pickled"] == {"pytorch_model.bin": sha256_file(folder / "pytorch_model.bin")}
    assert stamp["sha256"]["model.safetensors"] == sha256_file(prepared.path / "model.safetensors")
    assert not (prepared.path / "pytorch_model.bin").exists()
    assert prepare(model, tmp_path / "cache") == prepared  # what is made is not asked for again


class Evil:
    """What a pickle may do to its reader."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("kind", ["code", "not tensors", "a tensor is missing", "another shape"])
def test_a_pickle_of_anything_else_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_encoder(tmp_path / "encoder", "bert")
    state: dict[str, Any] = load_file(folder / "model.safetensors")
    content, said = {
        "code": (Evil(), "expected nothing but tensors in pytorch_model.bin; refused"),
        "not tensors": ({**state, "a": 1}, "expected a mapping of names to tensors in pytorch_model.bin; refused"),
        "a tensor is missing": (
            {name: tensor for name, tensor in state.items() if "layer.1.output.dense.bias" not in name},
            "expected weights for encoder.layer.1.output.dense.bias",
        ),
        "another shape": ({**state, "embeddings.LayerNorm.bias": torch.zeros(3)}, "its encoder does not load"),
    }[kind]
    pickled(folder, content)
    with pytest.raises(InputError, match=said) as caught:
        prepare(resolve_model(str(folder), CONFIGS), tmp_path / "cache", convert=True)
    assert "\n" not in str(caught.value) and not (tmp_path / "harmed").exists()


def test_a_tokenizer_from_before_fast_ones_is_converted(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", "bert")
    words = sorted(make_tokenizer("wordpiece").get_vocab().items(), key=lambda item: item[1])
    names = {"<s>": "[CLS]", "</s>": "[SEP]", "<pad>": "[PAD]", "<unk>": "[UNK]", "<mask>": "[MASK]"}
    (folder / "vocab.txt").write_text("".join(f"{names.get(word, word)}\n" for word, _ in words), encoding="utf-8")
    for path in (*folder.glob("tokenizer*"), folder / "special_tokens_map.json"):
        path.unlink()
    prepared = prepare(resolve_model(str(folder), CONFIGS), tmp_path / "cache").path
    tokenizer = load_tokenizer(prepared)
    assert (prepared / "tokenizer.json").is_file() and tokenizer.is_fast
    assert tokenizer.convert_ids_to_tokens(tokenizer("the cat")["input_ids"]) == ["[CLS]", "the", "cat", "[SEP]"]
    (folder / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"no tokenizer.json; a fast tokenizer is needed"):
        prepare(resolve_model(str(folder), CONFIGS), tmp_path / "another")


def test_a_sentencepiece_tokenizer_needs_two_packages_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_encoder(tmp_path / "encoder", "deberta-v2")
    for path in (*folder.glob("tokenizer*"), folder / "special_tokens_map.json"):
        path.unlink()
    (folder / "spm.model").write_bytes(b"pieces")

    def without(*_: object, **__: object) -> None:
        raise ImportError("DebertaV2Tokenizer requires the SentencePiece library but it was not found")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", without)
    with pytest.raises(InputError, match="needs two more packages: pip install sentencepiece protobuf"):
        prepare(resolve_model(str(folder), CONFIGS), tmp_path / "cache")


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "byte fallback"])
def test_words_are_read_as_behind_a_space_whatever_the_tokenizer(kind: str) -> None:
    tokenizer = make_tokenizer(kind)
    tokenizer.model_max_length = 128
    words = ("the", "cat", "sat")
    (feature,) = tagging_features([Tagged("1", words, ("O",) * 3)], tokenizer, ["O"], 64)
    running = tokenizer(" the cat sat")["input_ids"]
    assert feature.rows[0] == running
    pieces = tokenizer.convert_ids_to_tokens([feature.rows[0][position] for position in feature.positions])
    assert all(piece[0] == ("▁" if kind != "wordpiece" else word[0]) for piece, word in zip(pieces, words, strict=True))


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "byte fallback"])
def test_a_word_without_sub_words_is_read_as_unknown(kind: str) -> None:
    tokenizer = make_tokenizer(kind)
    tokenizer.model_max_length = 128
    (feature,) = tagging_features([Tagged("1", ("the", "", "cat"), None)], tokenizer, [], 64)
    assert len(feature.positions) == 3
    assert feature.rows[0][feature.positions[1]] == tokenizer.unk_token_id


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "byte fallback"])
def test_an_answer_is_found_in_its_sub_words_and_cut_without_its_space(kind: str) -> None:
    tokenizer = make_tokenizer(kind)
    tokenizer.model_max_length = 128
    context = "Anna saw the big dog under a tree"
    question = Question("1", "who saw", context, (AnswerSpan("big dog", context.index("big")),))
    (feature,) = span_features([question], tokenizer, 64, 16, training=True)
    begin, end = feature.target
    assert 0 < begin < end
    scores = np.full((len(feature.rows[0]), 2), -9.0, dtype=np.float32)
    scores[begin, 0] = scores[end, 1] = 9.0
    assert best_answers([question], [feature], [scores]) == ["big dog"]


def test_the_hub(tmp_path: Path) -> None:
    """Every way in which a repository may be asked for, as prepare_model.py answers it."""

    def files(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    good = files(write_encoder(tmp_path / "good", "modernbert"))
    config = json.loads(good["config.json"])

    def with_config(**changes: Any) -> Repository:
        return Repository({**good, "config.json": json.dumps({**config, **changes}).encode()})

    card = b"---\nlicense: mit\nlanguage: [en]\n---\n# An encoder\n"
    program = """
import sys
from xlt.errors import exit_status
import prepare_model
for name in NAMES:
    sys.argv[1:3] = ["--model", name]
    print(exit_status(prepare_model.main), file=sys.stderr)
"""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    with Loopback() as hub:
        hub.repositories = {
            "org/good": Repository({**good, "README.md": card}),
            "org/unknown": with_config(model_type="gpt2"),
            "org/code": with_config(auto_map={"AutoModel": "code.Model"}),
            "org/bare": Repository({name: content for name, content in good.items() if "token" not in name}),
            "org/gated": Repository(good),
        }
        hub.head_faults = {
            **{
                f"/org/gated/resolve/{COMMIT}/{name}": 9 * [Fault("status", 403, (("X-Error-Code", "GatedRepo"),))]
                for name in good
            },
        }

        def run(names: list[str], cache: str) -> tuple[list[str], list[str]]:
            options = ["--cache", str(tmp_path / cache), "--configs", str(tmp_path / "configs")]
            clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
            more = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf" / cache)}
            more["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT / 'reproduce'}"
            done = subprocess.run(
                [sys.executable, "-c", f"NAMES = {names!r}\n{program}", "-", "-", *options],
                capture_output=True, text=True, check=False, env={**clean, **more}, timeout=200,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
            return done.stdout.splitlines(), done.stderr.splitlines()

        bad = ["org/unknown", "org/code", "org/bare", "org/gated", "org/typo"]
        out, err = run(["org/good", *bad], "first")
        name = model_name("org/good", CONFIGS)
        assert out == [f"org/good is {tmp_path}/first/{name}: hub org/good@{COMMIT}"]
        assert f"first use of org/good: recorded revision {COMMIT}" in err
        errors = [line for line in err if line.startswith("error: ")]
        assert err.count("2") == len(bad) == len(errors) and err.count("0") == 1
        for error, said in zip(
            errors,
            [
                "expected one of the architectures bert,",
                "asks for code of its own (auto_map), which is never loaded",
                "no tokenizer.json; a fast tokenizer is needed",
                "access must be asked for on the hub; then set HF_TOKEN",
                "no such repository, or it is private and HF_TOKEN gives no access",
            ],
            strict=True,
        ):
            assert said in error
        stamp = read_json(tmp_path / "first" / name / "prepared.json")
        assert (stamp["licence"], stamp["source"]) == ("mit", {"hub": "org/good"})
        assert (
            yaml.safe_load((tmp_path / "configs" / "data.lock.yaml").read_text())["pins"]["org/good"]["revision"]
            == COMMIT
        )
        before = len(hub.requests)
        run(["org/good", f"org/good@{COMMIT}"], "second")  # another machine with the same lock asks for the pin
        asked = {path for _, path, _ in hub.requests[before:] if path.startswith("/api/")}
        assert asked == {f"/api/models/org/good/revision/{COMMIT}"}


def test_rates_and_layer_by_size() -> None:
    small = {"model_type": "distilbert", "dim": 384, "n_layers": 6}
    assert by_size(small) == {"retrieval_layer": 4, "learning_rate": {"full": 1e-4, "adapter": 1e-3, "lora": 1e-3}}
    large = {"model_type": "xlm-roberta", "hidden_size": 1024, "num_hidden_layers": 24}
    assert by_size(large) == {"retrieval_layer": 16, "learning_rate": None}
    huge = {"model_type": "xlm-roberta-xl", "hidden_size": 2560, "num_hidden_layers": 36}
    assert by_size(huge) == {"retrieval_layer": 24, "learning_rate": {"full": 5e-6}}


def test_rows_that_an_architecture_cannot_have_are_not_planned(
    mini_configs: Path, mini_data: Path, tmp_path: Path
) -> None:
    folder = write_encoder(tmp_path / "encoder", "rembert")
    root = tmp_path / "root"
    make_plan(mini_configs, mini_data, root, folder, "--encoder", str(folder))
    regimes = read_json(root / "plan.json")["regimes"]
    assert regimes["madx"]["runs"] == [] == regimes["full-itt-mlm"]["runs"]
    assert regimes["adapter"]["runs"] and regimes["full-itt"]["runs"]
    found = build(mini_configs, "mini", root, data=mini_data, model=str(folder), encoder=folder).planner.without_runs
    assert found["madx"].startswith("madx cannot be had with an encoder of architecture rembert: its output matrix")


def test_a_question_longer_than_the_encoder_reads_is_refused() -> None:
    tokenizer = make_tokenizer("unigram")
    tokenizer.model_max_length = 16
    with pytest.raises(InputError, match="expected an encoder that reads more than 16 sub-words at a time: question 7"):
        span_features([Question("7", "who saw the cat " * 9, "a cat", ())], tokenizer, 64, 16, training=False)


def test_an_old_name_says_what_it_resolves_to(tmp_path: Path) -> None:
    configs = shutil.copytree(CONFIGS, tmp_path / "configs")
    folder = write_encoder(tmp_path / "encoder", "xlm-roberta")
    path = configs / "models" / "xlmr-base.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["sources"] = [{"hub": "FacebookAI/xlm-roberta-base", "revision": PINNED}, {"local": str(folder)}]
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    done = scripts.call(
        "prepare_model", "--model", "xlm-roberta-base", "--cache", tmp_path / "cache", "--configs", configs
    )
    assert done.stdout == f"xlm-roberta-base is {tmp_path}/cache/xlmr-base: folder {folder}\n"
    assert load_encoder(tmp_path / "cache" / "xlmr-base").config.model_type == "xlm-roberta"
