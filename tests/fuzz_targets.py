"""What is fuzzed: every reader with small valid files of its own."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.conftest import CONFIGS, mini_world
from tests.run_configs import run_config
from tests.tasks import FILES, score_file

from xlt import babel, languages
from xlt.config.benchmark import Caps, Model, Profile, Recipe, Table, Task, load, load_all
from xlt.config.lexical_injection import LexicalConfig
from xlt.config.regimes import Regime
from xlt.config.run_config import (
    FileSet,
    LanguageAdapterSettings,
    Named,
    ProfileSummary,
    RunConfig,
    Stage,
    config_text,
    read_run,
)
from xlt.data.dataset import Located, locate, read, read_candidates
from xlt.data.download.manifest import Manifest
from xlt.data.readers import COMPANIONS, FORMATS
from xlt.data.synonyms import load_neighbours
from xlt.data.word_lists import read_lexicon
from xlt.files import to_json
from xlt.results.claims import Claim
from xlt.results.differences import examples_of
from xlt.results.reported import load_reported
from xlt.results.run_folders import FinishedRun, PlannedRun, Provenance, Scores, load_plan, load_run
from xlt.results.run_folders import RegimeRuns as FinishedRegime
from xlt.results.sizes_table import Sizes
from xlt.results.typology import load_facts

HEADED = {"glue-tsv", "pawsx-tsv"}
ONE_A_LINE = {
    *(
        "copa-jsonl",
        "siqa-jsonl",
        "hellaswag-jsonl",
        "cosmosqa-jsonl",
        "commonsenseqa-jsonl",
        "nli-jsonl",
        "anli-jsonl",
    ),
    *("pair-tsv", *HEADED),
}
REAL_LINES = 12
CONFIG_FILES: list[tuple[type[Any], str]] = [
    (Task, "tasks/xquad"),
    (Task, "tasks/bucc2018"),
    (Recipe, "recipes/mnli"),
    (Recipe, "recipes/tydiqa"),
    (Profile, "profiles/tiny"),
    (Model, "models/e5-small"),
    (Table, "tables/table5"),
    (Regime, "regimes/adapter-fisher"),
    (Regime, "regimes/full-itt-mlm"),
    (Regime, "regimes/adapter-adv"),
    (LexicalConfig, "lexical/tli"),
    (LanguageAdapterSettings, "language_adapters/default"),
    (Claim, "claims/robust-adapters"),
    (Sizes, "sizes"),
]
REPORTED = ("clark2020_tydiqa", "stefanit2023_xlmr_base_repro", "wang2020_minilm")


@dataclass(frozen=True)
class Target:
    """A reader: its files by relative path, how it is called on their folder, and how many examples there should be."""

    name: str
    files: dict[str, bytes]
    read: Callable[[Path], Any]
    expected: Callable[[Path], int | None] | None = None


def targets(world: Path) -> list[Target]:
    """All of them; the generated world is written to ``world``."""
    babel.write_world(world, mini_world())
    languages.register(world / "languages.yaml")
    return [*data_targets(world), *real_targets(), *submissions(), *configs(), *others(), *written(world)]


# Data files


def data_targets(world: Path) -> Iterator[Target]:
    """Every format, on a file of the generated world; those it does not have, by hand."""
    sources = [
        (name, source, split, getattr(config, "labels", None))
        for folder, kind in (("tasks", Task), ("recipes", Recipe))
        for name, config in load_all(kind, CONFIGS / folder).items()
        for split, given in config.sources.items()
        for source in given
    ]
    seen: set[str] = set()
    for (_, source, split, labels), language in itertools.product(sources, ("qaa", "en")):
        found = locate(world, [source], language=language, split=split) if source.format not in seen else None
        if found is not None:
            seen.add(source.format)
            yield from of_files(source.format, found.files[0], language, labels)
    for form, (text, labels, more) in BY_HAND.items():
        if form not in seen:
            seen.add(form)
            files = {f"a/b/{name}": given.encode() for name, given in ({"file": text} | more).items()}
            yield Target(form, files, partial(_read, form, "a/b/file", "en", labels), _expected(form, "a/b/file"))
    yield Target("tatoeba-xtreme", TATOEBA, partial(_read, "tatoeba-xtreme", next(iter(TATOEBA)), "de", None))
    seen.add("tatoeba-xtreme")
    assert seen == FORMATS, f"no file of the formats {', '.join(sorted(FORMATS - seen))}"


def of_files(form: str, path: Path, language: str, labels: list[str] | None) -> Iterator[Target]:
    """The reader of a format on one file and those it reads beside it; Mewsli-X's candidates as a reader of their own."""
    beside = [find(path) for find in COMPANIONS.get(form, ())]
    base = path.parents[2]
    files = {p.relative_to(base).as_posix(): p.read_bytes() for p in [path, *beside] if p.is_file()}
    main = path.relative_to(base).as_posix()
    yield Target(form, files, partial(_read, form, main, language, labels), _expected(form, main))
    if form == "mewslix-mentions":
        yield Target(f"{form}-candidates", files, lambda folder: read_candidates(Located("", form, (folder / main,))))


def real_targets() -> Iterator[Target]:
    """The beginnings of real files, one of each kind, where XLT_REALDATA names their folder."""
    folder = os.environ.get("XLT_REALDATA")
    if folder is None:
        return
    from tests.data.test_realdata import FILES

    for pattern, form, labels, _ in FILES:
        inside = (p for p in sorted(Path(folder).rglob("*")) if p.is_file())
        path = next((p for p in inside if re.fullmatch(pattern, p.relative_to(folder).as_posix())), None)
        if path is None or form in COMPANIONS:
            continue
        language = re.fullmatch(pattern, path.relative_to(folder).as_posix()).groupdict().get("lang", "en")  # type: ignore[union-attr]
        name = f"real-{form}-{path.name}"
        reader = partial(_read, form, path.name, language, labels)
        yield Target(name, {path.name: beginning(path.read_bytes(), form)}, reader, _expected(form, path.name))


def beginning(data: bytes, form: str) -> bytes:
    """A few examples of a file."""
    if form in ("squad", "xquad-r", "tydiqa-xtreme", "squad-rows"):
        document = json.loads(data)
        kept = document["data"][:3]
        for article in kept:
            for paragraph in article.get("paragraphs", []):
                paragraph["qas"] = paragraph["qas"][:2]
            if "paragraphs" in article:
                article["paragraphs"] = article["paragraphs"][:1]
        return json.dumps({"data": kept[:2]}, ensure_ascii=False, indent=1).encode()
    if form == "pair-json":
        return json.dumps(dict(list(json.loads(data).items())[:4]), indent=1).encode()
    rows = data.split(b"\n")
    if form == "conllu":
        return b"\n\n".join(data.split(b"\n\n")[:2]) + b"\n\n"
    return b"\n".join(rows[:REAL_LINES]) + b"\n"


def _read(form: str, main: str, language: str, labels: list[str] | None, folder: Path) -> Any:
    return read(Located("", form, (folder / main,)), language, labels)


def _expected(form: str, main: str) -> Callable[[Path], int | None] | None:
    """How many examples a damaged file still has, counted without the reader."""

    def lines(folder: Path) -> int:
        text = (folder / main).read_bytes().decode("utf-8-sig")
        return sum(bool(row.strip()) for row in text.split("\n")) - (form in HEADED)

    def questions(folder: Path) -> int:
        document = json.loads((folder / main).read_text(encoding="utf-8-sig"))
        return sum(len(paragraph["qas"]) for article in document["data"] for paragraph in article["paragraphs"])

    def rows(folder: Path) -> int:
        document = json.loads((folder / main).read_text(encoding="utf-8-sig"))
        return len(document["data"] if form == "squad-rows" else document)

    if form in ONE_A_LINE:
        return lines
    return {"squad": questions, "tydiqa-xtreme": questions, "squad-rows": rows, "pair-json": rows}.get(form)


# Predictions and gold labels

ANSWERS = {"data": [{"paragraphs": [{"context": "c", "qas": [{"id": q, "answers": [{"text": "x"}]} for q in "abc"]}]}]}
SUBMITTED: dict[str, tuple[str, str]] = {
    "xnli": ("entailment\nneutral\ncontradiction\n",) * 2,
    "xcopa": ('{"label": 0}\n{"label": 1}\n',) * 2,
    "panx": ("B-PER\nI-PER\nO\n\nO\nB-LOC\n\n",) * 2,
    "xquad": (json.dumps({"a": "x", "b": "y", "c": ""}, indent=1), json.dumps(ANSWERS, indent=1)),
    "lareqa": (json.dumps({"q1": ["a", "b"], "q2": ["b"]}, indent=1), json.dumps({"q1": ["a"], "q2": ["b"]}, indent=1)),
    "tatoeba": ("2\n0\n1\n",) * 2,
    "bucc2018": ("de-1\ten-1\nde-2\ten-2\n",) * 2,
}  # type: ignore[assignment]


def submissions() -> Iterator[Target]:
    """Prediction and label files of every kind, scored; and damaged predictions alone, which leave the number of examples."""
    for task, (given, gold) in SUBMITTED.items():
        name = f"{{}}/{task}/{FILES[task].path(Path(), 'en').name}"
        files = {name.format("predictions"): given.encode(), name.format("labels"): gold.encode()}
        yield Target(f"score-{task}", files, partial(_score, task, name))


def _score(task: str, name: str, folder: Path) -> Any:
    score = score_file(task, folder / name.format("predictions"), folder / name.format("labels"), "en")
    assert all(0 <= value <= 100 for value in score.metrics.values()), score
    intact = SUBMITTED[task][1].encode()
    if (folder / name.format("labels")).read_bytes() == intact:
        assert score.examples == {"panx": 2, "xcopa": 2, "lareqa": 2, "bucc2018": 2}.get(task, 3), score
    return score


# Configs and files that the project itself wrote


def configs() -> Iterator[Target]:
    """Config files of every kind, and reported numbers."""
    for model, name in CONFIG_FILES:
        path = CONFIGS / f"{name}.yaml"
        reader = partial(lambda m, n, folder: load(m, folder / n), model, path.name)
        yield Target(f"config-{name.replace('/', '-')}", {path.name: path.read_bytes()}, reader)
    for name in REPORTED:
        data = (CONFIGS / "reported" / f"{name}.yaml").read_bytes()
        yield Target(f"reported-{name}", {f"{name}.yaml": data}, load_reported)


FOLDER = "runs/full/mnli/seed-1"
PLAN = {
    "profile": "tiny",
    "model": "m",
    "seeds": [1],
    "regimes": {
        "full": {
            "title": "F",
            "runs": [{"dir": "runs/full/mnli/seed-1", "recipe": "mnli", "seed": 1, "tasks": ["xnli"]}],
        }
    },
}
RUN: dict[str, Any] = {
    "config.json": run_config("full", "mnli", tasks=["xnli"], languages={"xnli": ["en", "de"]}),
    "scores.json": {
        "tasks": {"xnli": {"split": "test", "metrics": {"accuracy": {"en": 50.0}}, "n": {"en": 4}, "no_data": ["de"]}}
    },
    "provenance.json": {
        "trainable_parameters": 1,
        "total_parameters": 2,
        "wall_seconds": {"train": 1.0, "predict": 2.0},
    },
}


def others() -> Iterator[Target]:
    """Word lists, the file of neighbours, plans, and the results of a run."""
    words = "".join(f"word{x}\tnano{y}\n" for x, y in zip("abcdef", "ghijkl", strict=True)).encode()
    for form in ("lexicon-tsv", "freedict-from-en", "freedict-to-en"):
        yield Target(
            form, {"w.tsv": words}, partial(lambda f, folder: read_lexicon([(folder / "w.tsv", f)], "qaa"), form)
        )
    neighbours = to_json({"good": ["fine", "nice"], "bad": ["poor"]}).encode()
    yield Target("neighbours", {"n.json": neighbours}, lambda folder: load_neighbours([folder / "n.json"]))
    yield Target("plan", {"plan.json": to_json(PLAN).encode()}, load_plan)
    files = {f"{FOLDER}/{n}": (v if isinstance(v, str) else to_json(v)).encode() for n, v in RUN.items()}
    planned = PlannedRun(dir=FOLDER, recipe="mnli", seed=1, tasks=["xnli"])
    yield Target("run", files, lambda root: load_run(root, planned))


CONLLU = """# text = vamos nos al mar
1-2	vámonos	_	_	_	_	_	_	_	_
1	vamos	ir	VERB	_	_	0	root	_	_
2	nos	nosotros	PRON	_	_	1	obj	_	_
3-4	al	_	_	_	_	_	_	_	_
3	a	a	ADP	_	_	5	case	_	_
4	el	el	DET	_	_	5	det	_	_
5	mar	mar	NOUN	_	_	1	obl	_	_
5.1	x	x	NOUN	_	_	1	obl	_	_

1	sí	sí	INTJ	_	_	0	root	_	_

"""
SIQA = [{"context": "c", "question": f"q {i}", **{f"answer{x}": f"a {x}" for x in "ABC"}} for i in range(4)]
COSMOS = [
    {"id": f"i{i}", "context": "c", "question": "q", **{f"answer{j}": f"a{j}" for j in range(4)}, "label": i}
    for i in range(4)
]
QUESTION = {"id": "english-1", "question": "who?", "answers": [{"text": "Köln", "answer_start": 4}]}
NONE: dict[str, list[Any]] = {"text": [], "answer_start": []}
ROW = {"id": "1", "question": "q?", "context": "the Köln", "answers": {"text": ["Köln"], "answer_start": [4]}}
XNLI_MT = "premise\thypo\tlabel\n" + "a\tb\tcontradictory\nc d\te f\tneutral\ng\th\tentailment\n"


def _jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def written(world: Path) -> Iterator[Target]:
    """Further files that the project wrote: a run's whole config, scores of single examples, a checkpoint, manifests."""
    from xlt.training.checkpoint_state import TrainingState
    from xlt.training.checkpointer import Checkpointer

    recipe, regime = load(Recipe, CONFIGS / "recipes/mnli.yaml"), load(Regime, CONFIGS / "regimes/adapter.yaml")
    files = FileSet(format="glue-tsv", files=["a.tsv"], sha256={"a.tsv": "0"})
    stage = Stage(recipe=recipe, learning_rate=1e-4, caps=Caps(train=4), train=files, dev=None)
    summary = ProfileSummary(name="p", title="P", benchmark="xtreme-r", splits={}, split_notes={}, caps={})
    run = RunConfig(
        regime=regime,
        recipe=Named(name="mnli", title="MNLI"),
        seed=1,
        model=load(Model, CONFIGS / "models/e5-small.yaml"),
        profile=summary,
        stages=[stage],
        tasks=[],
        languages={},
        evaluations=[],
    )
    yield Target("run-config", {"config.json": config_text(run).encode()}, read_run)
    buffer = io.BytesIO()
    kept = {"xnli/accuracy/en": np.ones(4, dtype=np.float32), "xnli/item/en": np.arange(4, dtype=np.uint64)}
    np.savez_compressed(buffer, **kept)  # type: ignore[arg-type]
    parts = (RunConfig.model_validate(RUN["config.json"]), Scores(tasks={}))
    planned = PlannedRun(dir=".", recipe="mnli", seed=1, tasks=["xnli"])
    done = FinishedRun(planned, *parts, Provenance.model_validate(RUN["provenance.json"]))
    task = load(Task, CONFIGS / "tasks/xnli.yaml")
    reader = partial(lambda r, folder: examples_of(folder, r, task, "en"), FinishedRegime("full", "Full", [done]))
    yield Target("examples", {"examples.npz": buffer.getvalue()}, reader)
    checkpointer = Checkpointer(world.parent / "checkpoint", "key", 0)
    with checkpointer.checkpoint_on_signal(lambda: TrainingState({"step": 1}, {"weights": torch.arange(6.0)})):
        checkpointer.save()
    kept = {path.name: path.read_bytes() for path in (world.parent / "checkpoint").iterdir()}

    def taken(folder: Path) -> None:
        state = Checkpointer(folder, "key").pop_resume_state()
        assert state is None or (
            state.values == {"step": 1} and state.tensors["weights"].tolist() == [0, 1, 2, 3, 4, 5]
        )

    yield Target("checkpoint", kept, taken)
    for name in ("xnli", "tatoeba"):
        data = (CONFIGS / "data" / f"{name}.yaml").read_bytes()
        reader = partial(lambda n, folder: load(Manifest, folder / n), f"{name}.yaml")
        yield Target(f"manifest-{name}", {f"{name}.yaml": data}, reader)
    facts = (CONFIGS / "languages.yaml").read_bytes()
    yield Target("language-facts", {"languages.yaml": facts}, lambda folder: load_facts(folder / "languages.yaml"))


BY_HAND: dict[str, tuple[str, list[str] | None, dict[str, str]]] = {
    "conllu-words": (CONLLU, None, {}),
    "cosmosqa-jsonl": (_jsonl(COSMOS), None, {}),
    "pair-json": (
        json.dumps({str(i): {"text_a": "a", "text_b": "b", "label": i % 2} for i in range(4)}, indent=1),
        ["0", "1"],
        {},
    ),
    "pair-tsv": ('a b\t"c ""d"""\tneutral\ne\tf\tentailment\ng\th\tcontradiction\n', None, {}),
    "siqa-lst": (_jsonl(SIQA), None, {"file-labels.lst": "1\n3\n2\n1\n"}),
    "squad-rows": (
        json.dumps({"data": [ROW, {**ROW, "id": "2", "answers": {"text": [], "answer_start": []}}]}, indent=1),
        None,
        {},
    ),
    "tags-spaced": ("Anna B-PER\nran O\n\nhe O\n\n", ["B-PER", "O"], {}),
    "tags-tsv": ("Anna\tPROPN\nran\tVERB\n\nhe\tPRON\n\n", ["PROPN", "VERB", "PRON"], {}),
    "tydiqa": (
        json.dumps({"data": [{"paragraphs": [{"context": "the Köln", "qas": [QUESTION]}]}]}, indent=1),
        None,
        {},
    ),
    "xnli-mt-tsv": (XNLI_MT, ["entailment", "neutral", "contradiction"], {}),
}
"""Formats that the generated world does not have: a file, its labels, and files beside it."""
TATOEBA = {
    "xtreme/tatoeba/de-en.de": b"eins\nzwei\ndrei\n",
    "xtreme/tatoeba/de-en.en": b"one\nthree\ntwo\n",
    "xtreme/labels/tatoeba/test-de.tsv": b"0\n2\n1\n",
}
