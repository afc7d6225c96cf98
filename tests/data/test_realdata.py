"""The readers on the owners' real files: every file is read, its examples are counted, and every warning is explained.

Needs the folder with MANIFEST.tsv (columns file, examples, ...) in the environment variable XLT_REALDATA.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest

from xlt.config.benchmark import Recipe, Task, load_all
from xlt.data.dataset import labelled, locate, read, truly_labelled
from xlt.data.readers import BITEXT, COMPANIONS, LABELLED, MINING, READERS
from xlt.data.readers.files import lines
from xlt.data.records import ParallelText, Passage
from xlt.data.word_lists import FORMATS as WORD_LISTS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TASKS = {name: task for name, task in load_all(Task, CONFIGS / "tasks").items() if not task.separate}
FOLDER = os.environ.get("XLT_REALDATA")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="XLT_REALDATA names no folder of real files")

NLI = TASKS["xnli"].labels
PAIR = ["0", "1"]
UPOS = TASKS["udpos"].labels
NER = TASKS["panx"].labels
DATES = [*(NER or []), "B-DATE", "I-DATE"]  # MasakhaNER has these besides WikiANN's tags

# Pattern of the manifest's file column -> format, labels, and whether the file has gold. The language is in the name.
FILES: list[tuple[str, str, list[str] | None, bool]] = [
    (r"xquad/xquad\.(?P<lang>..)\.json", "squad", None, True),
    (r"lareqa/xquad-r/(?P<lang>..)\.json", "xquad-r", None, True),
    (r"xcopa/data/(?P<lang>..)/.*", "copa-jsonl", None, True),
    (r"xtreme/xcopa/.*-(?P<lang>..)\.jsonl", "copa-jsonl", None, True),
    (r"xtreme/xnli/dev-(?P<lang>..)\.tsv", "pair-tsv", NLI, True),
    (r"xtreme/xnli/test-(?P<lang>..)\.tsv", "pair-tsv", NLI, False),
    (r"xtreme/pawsx/dev-(?P<lang>..)\.tsv", "pair-tsv", PAIR, True),
    (r"pawsx_original/x-final/(?P<lang>..)/.*", "pawsx-tsv", PAIR, True),
    (r"xtreme/panx/(dev|train)-(?P<lang>..)\.tsv", "tags-tsv", NER, True),
    (r"xtreme/panx/test-(?P<lang>..)\.tsv", "tags-tsv", NER, False),
    (r"xtreme/udpos/.*-(?P<lang>..)\.tsv", "tags-tsv", UPOS, True),
    (r"ud/UD_.*/(?P<lang>..)_.*", "conllu", UPOS, True),
    (r"tydiqa/tydiqa-goldp-v1.1-train/tydiqa\.goldp\.(?P<lang>..)\.train\.json", "tydiqa-xtreme", None, True),
    (r"tydiqa/tydiqa-goldp-v1.1-dev/tydiqa\.goldp\.(?P<lang>..)\.dev\.json", "squad", None, False),
    (r"mlqa/.*context-(?P<lang>..)-.*", "squad", None, True),
    (r"tatoeba/v1/tatoeba\.(?P<lang3>...)-eng\.(?P=lang3)", "tatoeba", None, True),
    (r"xtreme/bucc2018/(?P<lang>..)-en\.dev\.(?P=lang)", "bucc", None, True),
    (r"hellaswag/.*", "hellaswag-jsonl", None, True),
    (r"commonsenseqa/.*", "commonsenseqa-jsonl", None, True),
    (r"cosmosqa/.*\.csv", "cosmosqa-csv", None, True),
    (r"socialiqa/.*", "siqa-jsonl", None, True),
    (r"glue_json/(MNLI|SNLI)/.*", "pair-json", NLI, True),
    (r"glue_json/QQP/.*", "pair-json", PAIR, True),
    (r"glue_tsv/(MNLI|SNLI)/.*", "glue-tsv", NLI, True),
    (r"glue_tsv/QQP/.*", "glue-tsv", PAIR, True),
    (r"anli_v1.0/.*", "anli-jsonl", NLI, True),
    (r"masakhaner2/.*", "tags-spaced", DATES, True),
    (r"masakhapos/.*", "tags-spaced", UPOS, True),
    (r"americasnli/test/(?P<lang>.*)\.tsv", "xnli-tsv", NLI, True),
    (r"squad_v2_sample/sample\.json", "squad-rows", None, True),
    (r"mewsli_x/.*mentions\.(?P<lang>..)\.jsonl", "mewslix-mentions", None, True),
]
# Word lists, by the readers of lexical injection.
WORDS = {r"lexicon/freedict-eng-...\.tsv": "freedict-from-en", r"lexicon/freedict-...-eng\.tsv": "freedict-to-en"}
# Files that a reader opens by itself, beside the one it is given.
BESIDE = r"tatoeba/v1/tatoeba\.(?P<lang3>...)-eng\.eng|xtreme/bucc2018/(?P<lang>..)-en\.dev\.(en|gold)"
# Raw text: no format of a task; its lines are read and counted.
TEXT = r"lexicon/panlex_swadesh207/.*\.txt|udhr2/.*\.txt"
# What readers may warn of, by format, with the words of docs/data-layout.md that explain it.
EXPLAINED: dict[str, tuple[str, str]] = {}
LAYOUT = (Path(__file__).resolve().parents[2] / "docs" / "data-layout.md").read_text(encoding="utf-8")


def manifest() -> dict[str, str]:
    """Every file of the manifest, with what it says of its size."""
    if FOLDER is None:
        return {}
    with (Path(FOLDER) / "MANIFEST.tsv").open(encoding="utf-8", newline="") as handle:
        return {row["file"]: row["examples"] for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)}


def kinds(name: str) -> list[str]:
    """The ways of reading, of those above, that a file falls under."""
    found = [pattern for pattern, *_ in FILES if re.fullmatch(pattern, name)]
    return found + [pattern for pattern in (*WORDS, BESIDE, TEXT) if re.fullmatch(pattern, name)]


def test_every_file_is_in_the_manifest_and_is_read_in_one_way() -> None:
    root = Path(str(FOLDER))
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {"MANIFEST.tsv"}
    assert there == set(manifest())
    assert {name: kinds(name) for name in there if len(kinds(name)) != 1} == {}


def task_files() -> list[tuple[str, str]]:
    return [item for item in manifest().items() if any(re.fullmatch(pattern, item[0]) for pattern, *_ in FILES)]


@pytest.mark.parametrize(("name", "examples"), task_files())
def test_every_file_of_a_task_is_read_and_counted(
    name: str, examples: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    pattern, kind, labels, gold = next(entry for entry in FILES if re.fullmatch(entry[0], name))
    match = re.fullmatch(pattern, name)
    language = match.groupdict().get("lang", "en") if match else "en"
    path = Path(str(FOLDER)) / name
    wanted = [int(number) for number in re.findall(r"\d+", examples)]
    if kind in BITEXT:
        assert [len(BITEXT[kind](path, language).source)] == wanted
    elif kind in MINING:
        mining = MINING[kind](path, language)
        assert [len(mining.source)] == wanted
        assert mining.gold
    else:
        records = LABELLED[kind](path, language, labels) if kind in LABELLED else READERS[kind](path, language)
        assert labelled(records) == gold
        if kind == "xquad-r":
            passages = [record for record in records if isinstance(record, Passage)]
            assert [sum(len(p.questions) for p in passages), sum(len(p.sentences) for p in passages)] == wanted
        else:
            assert len(records) == wanted[0]
        if kind == "pawsx-tsv":
            assert len(records) - len(truly_labelled(records)) == 5
    words, explanation = EXPLAINED.get(kind, ("", ""))
    assert explanation in LAYOUT
    assert [message for message in caplog.messages if not words or words not in message] == []
    assert [str(warning.message) for warning in recwarn] == []


def test_every_other_file_is_read_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    root, left = Path(str(FOLDER)), []
    for name, examples in manifest().items():
        path, wanted = root / name, int(examples.split()[0])
        if formats := [kind for pattern, kind in WORDS.items() if re.fullmatch(pattern, name)]:
            assert len(WORD_LISTS[formats[0]](path)) == wanted, name
        elif re.fullmatch(TEXT, name):
            assert len(list(lines(path))) == wanted, name
        elif match := re.fullmatch(BESIDE, name):
            foreign = path.with_suffix("." + (match["lang3"] or match["lang"]))
            assert path in [find(foreign) for find in COMPANIONS["tatoeba" if match["lang3"] else "bucc"]], name
            assert len(list(lines(path))) == wanted, name
        else:
            left.append(name)
    assert left == [name for name, _ in task_files()]
    assert caplog.messages == []


def test_every_language_of_tatoeba_is_there_and_aligned() -> None:
    task = TASKS["tatoeba"]
    for code in task.languages["xtreme-r"]:
        found = locate(Path(str(FOLDER)), task.sources["test"], language=code, split="test")
        assert found is not None, code
        bitext = read(found, code)
        assert isinstance(bitext, ParallelText)
        assert len(bitext.source) == len(bitext.target) <= 1000


def test_every_source_that_is_there_is_read() -> None:
    data = Path(str(FOLDER))
    found = []
    for task in TASKS.values():
        for split, sources in task.sources.items():
            for code in task.languages.get("xtreme-r") or task.languages["xtreme"]:
                if located := locate(data, sources, language=code, split=split):
                    assert read(located, code, task.labels)
                    found.append(task.name)
    for recipe in load_all(Recipe, CONFIGS / "recipes").values():
        for part, sources in recipe.sources.items():
            if located := locate(data, sources, language="en", split=part):
                assert read(located, "en", recipe.labels)
    assert set(found) == set(TASKS) - {"mewslix"}  # Mewsli-X is an example record here, under another name
