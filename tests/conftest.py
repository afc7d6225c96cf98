"""A miniature encoder, its tokenizer and a miniature data folder, shared by all tests; treat them as read-only."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
WORDS = """
    the a cat dog bird fish sat ran saw ate on under with and not never always who what where when why did does is was
    mat tree river house red blue old young Anna Bob Carla Paris Rome because so then he she it they big small loves
"""


os.environ["PYTHONPATH"] = str(ROOT / "src")  # the scripts that tests start import this checkout, whatever is installed
for name in re.findall(r"^([A-Z_]+) +\?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE):
    os.environ.pop(name, None)  # what `make test` was given, so that the makes of the tests do not hear it


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Torch on one thread: the tests share the machine, and figures must not depend on the number of threads."""
    import torch

    torch.set_num_threads(1)


def stamp_as_prepared(folder: Path, model: str | None = None) -> None:
    """Stamp a folder as if it had been prepared for a model of the configs, or from itself for MODEL=<folder>."""
    from xlt.modeling.preparation import resolve_model, stamp_folder

    meant = resolve_model(model or str(folder), CONFIGS)
    stamp_folder(folder, name=meant.name, source=meant.sources[0], origin="drawn at random for the tests")


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """The tests need not survive a power cut, and a plan writes hundreds of files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def write_mini_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Write a prepared folder: XLM-R, 2 layers of width 16, and a byte-pair tokenizer with 200 pieces."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")])
    alphabet = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    trainer = trainers.BpeTrainer(
        vocab_size=200, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator([WORDS, "Who sat on the mat? The cat, never the dog. 0123456789"] * 3, trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = XLMRobertaTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=126,
    )
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        type_vocab_size=1,
        pad_token_id=1,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )
    torch.manual_seed(seed)
    model = XLMRobertaModel(config, add_pooling_layer=False)
    with torch.no_grad():  # as wide as a trained encoder's, so that sequences differ
        model.embeddings.word_embeddings.weight.mul_(30)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    stamp_as_prepared(folder)
    return folder


@pytest.fixture(scope="session")
def mini_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder with the miniature encoder."""
    return write_mini_encoder(tmp_path_factory.mktemp("encoder") / "mini")


@pytest.fixture(scope="session")
def tokenizer(mini_encoder: Path) -> Any:
    """The miniature encoder's tokenizer."""
    from xlt.modeling.pretrained import load_tokenizer

    return load_tokenizer(mini_encoder)


@pytest.fixture(scope="session")
def mini_decoder(tmp_path_factory: pytest.TempPathFactory, mini_encoder: Path) -> Path:
    """A prepared folder with a Llama of 3 layers and width 16; texts begin with <s> and have no padding token."""
    import torch
    from tokenizers import Tokenizer, processors
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("decoder") / "mini-llama"
    raw = Tokenizer.from_file(str(mini_encoder / "tokenizer.json"))
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    config = LlamaConfig(
        vocab_size=raw.get_vocab_size(),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    torch.manual_seed(0)
    LlamaModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    stamp_as_prepared(folder)
    return folder


def mini_world() -> dict[str, Any]:
    """Settings of a world of three languages (the source, a near and a far one) with a handful of examples a file."""
    settings = yaml.safe_load((CONFIGS / "babel.yaml").read_text(encoding="utf-8"))
    kept = ("en", "qaa", "qag")
    settings["languages"] = {code: settings["languages"][code] for code in kept}
    settings["task_languages"] = {
        task: [code for code in codes if code in kept] for task, codes in settings["task_languages"].items()
    }
    sizes = settings["sizes"]
    sizes.update(train=dict.fromkeys(sizes["train"], 18), dev=9, test=9, passages=4)
    settings["corpus"].update(documents=2, mixed_documents=2, pairs=4, parallel=4)
    return dict(settings)


@pytest.fixture(scope="session")
def mini_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with every task in its owner's layout, in en, qaa and qag."""
    from xlt import babel

    folder = tmp_path_factory.mktemp("world") / "data"
    babel.write_world(folder, mini_world())
    return folder


@pytest.fixture
def write() -> Callable[[Path, str], Path]:
    """A function that writes a file, making its folder."""

    def function(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return function


def write_mini_configs(folder: Path) -> Path:
    """Copy the project's configs and add the profile ``mini``: a few examples, one epoch, the miniature world."""
    shutil.copytree(CONFIGS, folder)
    path = "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{lang}.train.json"
    questions = {"path": path, "format": "tydiqa-xtreme"}
    profile = {
        "name": "mini",
        "title": "miniature",
        "model": "babel",
        "seeds": [1],
        "data": "data",
        "languages_from": "languages.yaml",
        "caps": {"default": {"train": 8, "dev": 4, "test": 4}, "lareqa": {"train": 3, "dev": 2, "test": 2}},
        "epochs": {"default": 1},
        "sources": {"tydiqa": {"train": [{**questions, "take": 12}], "dev": [{**questions, "skip": 12}]}},
    }
    (folder / "profiles" / "mini.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    adapters = yaml.safe_load((folder / "language_adapters" / "babel.yaml").read_text(encoding="utf-8"))
    mini = {**adapters, "name": "default", "steps": 3, "batch_size": 4, "learning_rate": 0.01}
    (folder / "language_adapters" / "default.yaml").write_text(yaml.safe_dump(mini), encoding="utf-8")
    return folder


@pytest.fixture
def mini_configs(tmp_path: Path) -> Path:
    """Configs of a test's own, to be changed at will."""
    return write_mini_configs(tmp_path / "configs")


def make_plan(configs: Path, data: Path, root: Path, model: Path, *more: str) -> None:
    """Run reproduce/plan.py's command line in this process."""
    import plan

    given = ["--profile", "mini", "--configs", str(configs), "--data", str(data), "--root", str(root)]
    before, sys.argv = sys.argv, ["plan.py", *given, "--model", str(model), *more]
    try:
        plan.main()
    finally:
        sys.argv = before


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory, mini_encoder: Path, mini_data: Path) -> Path:
    """The root folder of the plan of all regimes on the miniature data; nothing has run. Copy it before running."""
    folder = tmp_path_factory.mktemp("plan")
    make_plan(write_mini_configs(folder / "configs"), mini_data, folder / "root", mini_encoder)
    return folder / "root"


@pytest.fixture
def open_run(planned: Path, tmp_path: Path, mini_data: Path, mini_encoder: Path) -> Callable[[str], Any]:
    """A function that gives the context of a run in a copy of the plan of this test's own."""
    from xlt.pipeline.steps import make_context

    root = shutil.copytree(planned, tmp_path / "root")

    def function(name: str) -> Any:
        return make_context(root / "runs" / name, mini_data, mini_encoder, 1)

    return function
