"""Realignment: words in their sentences, their alignment, the pull to where English words were, a whole job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import CONFIGS

from xlt.config.benchmark import Model, ModelSource, load
from xlt.config.lexical_injection import LexicalConfig, LexicalRun
from xlt.config.run_config import FileSet, config_text, write_config
from xlt.data.parallel import aligned, held_out_of, read_bitext, words_in
from xlt.data.word_lists import MARK, WordPair
from xlt.errors import InputError
from xlt.modeling.pretrained import load_encoder, load_tokenizer
from xlt.modeling.word_embeddings import embed_words, tokenize
from xlt.training.lexical_injection import batch_loss, inject, is_done, load_model, make_job
from xlt.training.pairs import LexicalJob, align_pairs

SENTENCES = [
    "the cat sat on the mat",
    "a dog ran under the tree",
    "never red fish ate who",
    "old bird was not young",
    "blue house",
]


def turned(sentence: str, ending: str) -> str:
    return " ".join(word[::-1] + ending for word in sentence.split())


@pytest.fixture
def job(tmp_path: Path, mini_encoder: Path) -> Callable[..., LexicalJob]:
    """A function that makes a realignment of two languages; its arguments change the method."""

    def function(**method: Any) -> LexicalJob:
        data, folder = tmp_path / "data", tmp_path / "root" / "lexical" / "realign" / "all" / "seed-1"
        (data / "bitext").mkdir(parents=True, exist_ok=True)
        files = {}
        for code, ending in (("qaa", "o"), ("qab", "ix")):
            name = f"bitext/en-{code}.tsv"
            (data / name).write_text(
                "".join(f"{text}\t{turned(text, ending)}\n" for text in SENTENCES), encoding="utf-8"
            )
            files[code] = [FileSet(format="bitext-tsv", files=[name], sha256={name: "0" * 64})]
        config = load(LexicalConfig, CONFIGS / "lexical" / "realign.yaml")
        config = LexicalConfig.model_validate(config.model_dump() | {"layer": 1, "batch_size": 4} | method)
        sources = [ModelSource(local=str(mini_encoder))]
        model = load(Model, CONFIGS / "models" / "babel.yaml").model_copy(update={"sources": sources})
        run = LexicalRun(lexical=config, seed=1, model=model, learning_rate=0.01, files=files)
        write_config(run, folder)
        return make_job(folder, data, mini_encoder)

    return function


def test_a_word_in_its_sentence_is_pooled_over_its_own_sub_words(mini_encoder: Path) -> None:
    tokenizer, model_words = load_tokenizer(mini_encoder), words_in("the cat sat")
    assert model_words == [f"{MARK}the{MARK} cat sat", f"the {MARK}cat{MARK} sat", f"the cat {MARK}sat{MARK}"]
    whole, marked = tokenize(["the cat sat"], tokenizer), tokenize(model_words, tokenizer)
    assert marked.ids == whole.ids * 3
    assert [sum(column) for column in zip(*marked.own, strict=True)] == whole.own[0]  # every sub-word is one word's
    starts = [own.index(1) for own in marked.own]
    assert starts == sorted(starts)
    assert tokenize(["cat"], tokenizer).own == [[0, *[1] * (len(tokenizer("cat")["input_ids"]) - 2), 0]]


def test_words_are_aligned_where_each_is_the_other_s_nearest() -> None:
    own, english = words_in("ein Hund Anna lief."), words_in("Anna a dog ran")
    left = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0.6, 0, 0.8]])
    right = np.array([[0.0, 0, 1, 0], [0.8, 0.6, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    # similarities: ein - a 0.8; Hund - dog 1; Anna - Anna 1; lief. - ran 0.8: all four in both directions
    found = aligned("de", (own, english), left, right)
    assert found.pairs == [WordPair("de", own[0], english[1]), WordPair("de", own[1], english[2])]
    assert [pair.keys for pair in found.pairs] == [("ein", "a"), ("hund", "dog")]
    assert found.left_out == {"the same on both sides": 1, "several words or other characters": 1}  # Anna; "lief."
    left[0] = left[1]  # now both are nearest to dog, whose nearest is the first of them
    assert [pair.keys for pair in aligned("de", (own, english), left, right).pairs] == [("ein", "dog")]


def test_a_bitext_has_every_text_once_and_no_long_one(tmp_path: Path) -> None:
    path = tmp_path / "en-de.tsv"
    path.write_text(f"a\tb\na\tc\nd\tb\n{'e ' * 61}\tf\ng\th\ni\tj\n", encoding="utf-8")
    assert read_bitext([path], 2) == [("b", "a"), ("h", "g")]
    assert read_bitext([path], 9)[-1] == ("j", "i")
    path.write_text("one column\n", encoding="utf-8")
    with pytest.raises(InputError, match="expected two"):
        read_bitext([path], 2)


def test_whole_sentence_pairs_are_held_out(job: Callable[..., LexicalJob]) -> None:
    assert (len(held_out_of(10, 0.2, 1)), len(held_out_of(3, 0.1, 1)), len(held_out_of(2, 0.9, 1))) == (2, 1, 1)
    asked = job(held_out=0.4)
    pairs = align_pairs(asked, *load_model(asked))
    for code in ("qaa", "qab"):
        trained, held_out = (
            {pair.english.replace(MARK, "") for pair in part[code]} for part in (pairs.trained, pairs.held_out)
        )
        assert trained
        assert held_out
        assert not trained & held_out
        assert pairs.every[code] == pairs.trained[code] + pairs.held_out[code]


def test_articles_do_not_become_most_of_the_pairs(
    job: Callable[..., LexicalJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = job()
    whole = align_pairs(asked, *load_model(asked)).every
    monkeypatch.setattr("xlt.training.pairs.MOST_OF_ONE", 1)
    pairs = align_pairs(asked, *load_model(asked))
    for code, found in pairs.every.items():
        different = {pair.keys for pair in whole[code]}
        assert sorted(pair.keys for pair in found) == sorted(different)
        assert pairs.left_out[code].get("repeated", 0) == len(whole[code]) - len(different)


def test_the_pull_is_nothing_at_the_start_and_counts_how_far_english_words_went(job: Callable[..., LexicalJob]) -> None:
    asked = job()
    model, tokenizer, pad_id = load_model(asked)
    pairs = [pair for found in align_pairs(asked, model, tokenizer, pad_id).trained.values() for pair in found]
    english = list(dict.fromkeys(pair.english for pair in pairs))
    vectors = embed_words(model, tokenizer, english, pad_id=pad_id)[1]
    start = dict(zip(english, vectors, strict=True))
    plain, pulled, away = (
        batch_loss(asked, model, tokenizer, pad_id, pairs, 1, given)(pairs[:4]).item()
        for given in (None, start, {word: -vector for word, vector in start.items()})
    )
    assert pulled == pytest.approx(plain, abs=1e-5)
    assert away == pytest.approx(plain + 2.0, abs=1e-5)  # 1 - cos 180 degrees


def test_a_whole_job(job: Callable[..., LexicalJob], mini_encoder: Path) -> None:
    english = [word for text in SENTENCES for word in words_in(text)]
    gaps, moved = [], []
    for keep in (0.0, 20.0):
        asked = job(epochs=20, sentences={"most": 1000, "depth": 0.67, "keep": keep})
        result = inject(asked)
        assert is_done(asked)
        assert set(result["after"]) == {"qaa", "qab"}
        cosines = [[rows[1]["cosine"] for rows in result[when].values()] for when in ("before", "after")]
        before, after = (np.mean([row["trained"] - row["random trained"] for row in rows]) for rows in cosines)
        gaps.append(after - before)
        places = (mini_encoder, asked.folder / "encoder")
        both = [embed_words(load_encoder(path), load_tokenizer(mini_encoder), english, pad_id=1)[1] for path in places]
        moved.append(1 - (both[0] * both[1]).sum(1).mean())
    assert gaps[0] > max(gaps[1], 0.05)
    assert moved[1] < moved[0] / 2


def test_sentences_and_bitexts_go_together_and_nothing_absent_is_written() -> None:
    tli, realign = (load(LexicalConfig, CONFIGS / "lexical" / f"{name}.yaml") for name in ("tli", "realign"))
    assert '"sentences"' not in config_text(tli)
    assert '"sentences"' in config_text(realign)
    given = {"most": 9, "depth": 1.0, "keep": 1.0}
    for config, sentences in ((tli, given), (realign, None)):
        with pytest.raises(ValueError, match="sentences and bitext-tsv go together"):
            LexicalConfig.model_validate(config.model_dump() | {"sentences": sentences})
