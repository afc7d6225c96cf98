"""Files that a user has: XTREME's download folder, an owner's unpacked archive, the pack of another machine."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xlt.config.benchmark import Profile, Recipe, Task, load_all
from xlt.data.download.data_folder import DataFolder
from xlt.data.download.importing import Candidate, Imported, candidates, import_folder
from xlt.data.download.lockfile import Lock
from xlt.data.download.manifest import Wanted, load_manifests, wanted
from xlt.data.download.packing import pack, unpack_pack
from xlt.errors import InputError
from xlt.files import sha256_file

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
Write = Callable[[Path, str], Path]


@pytest.fixture(scope="module")
def known() -> tuple[list[Candidate], list[Wanted]]:
    files = [one for manifest in load_manifests(CONFIGS / "data").values() for one in wanted(manifest)]
    tasks, recipes = load_all(Task, CONFIGS / "tasks"), load_all(Recipe, CONFIGS / "recipes")
    return list(candidates(files, load_all(Profile, CONFIGS / "profiles").values(), tasks, recipes)), files


@pytest.fixture
def take(known: tuple[list[Candidate], list[Wanted]], tmp_path: Path) -> Callable[..., Imported]:
    """A function that imports a folder into ``data``."""

    def function(source: Path, **more: Any) -> Imported:
        return import_folder(source, tmp_path / "data", *known, Lock(tmp_path / "data.lock.yaml"), **more)

    return function


@pytest.fixture
def xtreme(tmp_path: Path, write: Write) -> Path:
    """What XTREME's script leaves in its download folder, a few lines of each."""
    folder = tmp_path / "download"
    write(folder / "xnli/dev-en.tsv", "A man sat.\tHe sat.\tentailment\n")
    write(folder / "xnli/test-sw.tsv", "Mtu.\tYeye.\n")
    write(folder / "pawsx/dev-de.tsv", "Ein Satz .\tNoch einer .\t0\n")
    write(folder / "panx/dev-de.tsv", "Rom\tB-LOC\n\n")
    write(folder / "udpos/test-wo.tsv", "Mu\n\n")
    write(folder / "tatoeba/de-en.de", "Hallo.\n")
    write(folder / "tatoeba/de-en.en", "Hello.\n")
    write(folder / "bucc2018/de-en.dev.de", "de-1\tHallo.\n")
    write(folder / "bucc2018/de-en.dev.en", "en-1\tHello.\n")
    write(folder / "bucc2018/de-en.dev.gold", "de-1\ten-1\n")
    squad = {"paragraphs": [{"context": "Rom.", "qas": [{"id": "1", "question": "Wo?", "answers": []}]}]}
    squad["paragraphs"][0]["qas"][0]["answers"] = [{"text": "Rom", "answer_start": 0}]
    document = json.dumps({"version": "1", "data": [squad]})
    write(folder / "mlqa/MLQA_V1/dev/dev-context-de-question-de.json", document)
    write(folder / "squad/train-v1.1.json", document)
    write(folder / "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.sw.dev.json", document)
    copa = '{"premise": "P", "choice1": "x", "choice2": "y", "question": "cause", "label": 0, "idx": 0}\n'
    write(folder / "xcopa/train.en.jsonl", copa)
    siqa = '{"context": "C", "question": "Q", "answerA": "a", "answerB": "b", "answerC": "c", "correct": "B"}\n'
    write(folder / "siqa/socialIQa_v1.4_trn.jsonl", siqa)
    write(folder / "download.log", "Successfully downloaded\n")
    return folder


def test_a_file_with_a_bad_line_comes_where_its_source_lets_it_pass(tmp_path: Path, write: Write) -> None:
    panx = load_all(Task, CONFIGS / "tasks")["panx"].model_dump(mode="json")
    write(tmp_path / "own/masakhaner2/swa/test.txt", "Wa O\n\n" * 200 + "RomaB-LOC\n\njana B-DATE\n")
    for on_error, taken in (("refuse", 0), ("repair", 1)):
        source = {"path": "masakhaner2/swa/test.txt", "format": "tags-spaced", "on_error": on_error}
        label_map = {"B-DATE": "O", "I-DATE": "O"}
        languages = {"xtreme-r": ["sw"]}
        task = Task(**{**panx, "sources": {"test": [source]}, "label_map": label_map, "languages": languages})
        known = list(candidates([], [], {"panx": task}, {}))
        result = import_folder(tmp_path / "own", tmp_path / "data", known, [], Lock(tmp_path / "lock.yaml"))
        assert len(result.taken) == taken and len(result.refused) == 1 - taken


def test_xtreme_layout(xtreme: Path, take: Callable[..., Imported], tmp_path: Path) -> None:
    result = take(xtreme)
    assert result.left == ["download.log", "tatoeba/de-en.en"]
    # XTREME sorts the English side and keeps the order to itself: such a file cannot be scored
    assert list(result.refused) == ["tatoeba/de-en.de"] and "gold order" in result.refused["tatoeba/de-en.de"]
    taken = {name: target for target, name in result.taken.items()}
    assert taken["xnli/test-sw.tsv"] == "xtreme/xnli/test-sw.tsv"
    assert taken["bucc2018/de-en.dev.gold"] == "bucc2018/de-en.dev.gold"  # read beside de-en.dev.de
    assert taken["squad/train-v1.1.json"] == "squad/train-v1.1.json"
    assert taken["xcopa/train.en.jsonl"] == "copa/train.jsonl"
    assert taken["siqa/socialIQa_v1.4_trn.jsonl"] == "socialiqa/socialIQa_v1.4_trn.jsonl"
    assert len(taken) == 13
    for target, name in result.taken.items():
        assert (tmp_path / "data" / target).read_bytes() == (xtreme / name).read_bytes()
    record = DataFolder(tmp_path / "data").record()
    assert set(record["files"]) == set(result.taken) and record["unfinished"] == []
    again = take(xtreme)
    assert again.taken == {} and set(again.present) == set(result.taken)


def test_links_share_their_content(xtreme: Path, take: Callable[..., Imported], tmp_path: Path) -> None:
    take(xtreme, link=True)
    assert (xtreme / "panx/dev-de.tsv").samefile(tmp_path / "data/xtreme/panx/dev-de.tsv")


def test_owners_unpacked_archives(take: Callable[..., Imported], tmp_path: Path, write: Write) -> None:
    folder = tmp_path / "mine"
    word = "1\tRom\tRom\tPROPN\t_\t_\t0\troot\t_\t_\n\n"
    for release, code in (("2.5", "de"), ("2.5", "lt"), ("2.7", "lt"), ("2.7", "de")):
        name = f"ud-treebanks-v{release}/UD_X-Y/{code}_y-ud-test.conllu"
        write(folder / name, f"# release {release}\n{word}")
    write(folder / "QQP/dev.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\t1\n")
    result = take(folder)
    data = tmp_path / "data"
    assert "release 2.5" in (data / "ud/UD_X-Y/de_y-ud-test.conllu").read_text()
    assert "release 2.7" in (data / "ud/UD_X-Y/lt_y-ud-test.conllu").read_text()
    assert (data / "glue/QQP/dev.tsv").is_file() and len(result.left) == 2
    patterns = DataFolder(data).record()["patterns"]
    assert patterns["ud/UD_*/de_*-ud-test.conllu"] == ["ud/UD_X-Y/de_y-ud-test.conllu"]


def test_what_is_wrong_is_refused_with_a_reason(take: Callable[..., Imported], tmp_path: Path, write: Write) -> None:
    folder = tmp_path / "mine"
    write(folder / "xquad/xquad.de.json", '{"data": []}')  # XTREME's blanked file, say
    write(folder / "xtreme/panx/dev-de.tsv", "Rom\tB-TOWN\n")
    write(folder / "xtreme/panx/dev-en.tsv", "Rome\tB-LOC\n")
    write(tmp_path / "data/xtreme/panx/dev-en.tsv", "Rome\tI-LOC\n")
    result = take(folder)
    assert result.taken == {}
    assert result.refused["xquad/xquad.de.json"].startswith("not the published file: expected sha256 990b5d746746")
    assert result.refused["xtreme/panx/dev-de.tsv"].startswith("xtreme/panx/dev-de.tsv:1: expected")
    assert "another file is at xtreme/panx/dev-en.tsv already" in result.refused["xtreme/panx/dev-en.tsv"]
    assert not (tmp_path / "data/xquad").exists()


def test_nothing_recognised_is_an_input_error(take: Callable[..., Imported], tmp_path: Path, write: Write) -> None:
    write(tmp_path / "mine/notes.txt", "x")
    with pytest.raises(InputError, match="recognised none"):
        take(tmp_path / "mine")
    with pytest.raises(InputError, match="expected a folder of data files"):
        take(tmp_path / "nowhere")


def test_the_real_files(take: Callable[..., Imported], realdata: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    for name in ("xcopa", "lareqa", "commonsenseqa", "udhr2"):
        shutil.copytree(realdata / name, part / name)
    result = take(part)
    assert result.refused == {} and {name.partition("/")[0] for name in result.left} == {"udhr2"}
    assert sum(target.startswith("xcopa/") for target in result.taken) == 20


@pytest.fixture
def packed(xtreme: Path, take: Callable[..., Imported], tmp_path: Path, write: Write) -> Path:
    take(xtreme)
    write(tmp_path / "cache/toy/prepared.json", "{}\n")
    pack(tmp_path / "data", [tmp_path / "cache/toy"], tmp_path / "data.tar")
    return tmp_path / "data.tar"


def test_a_pack_goes_round(packed: Path, tmp_path: Path) -> None:
    content = unpack_pack(packed, tmp_path / "there", tmp_path / "there-cache")
    assert len(content["files"]) == 14
    for name, file in content["files"].items():
        path = tmp_path / name.replace("data/", "there/", 1).replace("models/", "there-cache/", 1)
        assert sha256_file(path) == file["sha256"]
    assert DataFolder(tmp_path / "there").record() == DataFolder(tmp_path / "data").record()
    pack(tmp_path / "there", [tmp_path / "there-cache/toy"], tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()
    unpack_pack(packed, tmp_path / "there", tmp_path / "there-cache")  # the same once more
    (tmp_path / "there/xtreme/panx/dev-de.tsv").write_text("x")
    with pytest.raises(InputError, match="another file is here already"):
        unpack_pack(packed, tmp_path / "there", tmp_path / "there-cache")


def test_a_damaged_pack_is_refused(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    at = whole.index(b"B-LOC")
    for damaged, message in (
        (whole[:at] + b"B-ORG" + whole[at + 5 :], "expected sha256"),
        (whole[: at + 600], "found it missing|expected a whole archive"),
        (b"no archive", "expected a whole archive"),
    ):
        (tmp_path / "bad.tar").write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            unpack_pack(tmp_path / "bad.tar", tmp_path / "there", tmp_path / "there-cache")
    assert not [path for path in (tmp_path / "there").rglob("*") if path.is_file() and ".xlt" not in path.parts]


@pytest.mark.parametrize("name", ["../escape", "data/../../escape", "/data/x", "data/.xlt/files.json", "other/x"])
def test_a_pack_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    content = json.dumps({"files": {name: {"size": 0, "sha256": "0" * 64}}, "record": {}}).encode()
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        info = tarfile.TarInfo("MANIFEST.json")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(InputError, match="leads outside"):
        unpack_pack(tmp_path / "bad.tar", tmp_path / "there", tmp_path / "cache")
