"""Write the whole world as a DATA folder: every task in its owner's file format, dictionaries, synonyms, raw text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from xlt.babel import choices, corpus, pairs, questions, retrieval, tagging, wordlists
from xlt.babel.context import SPLITS, Babel
from xlt.babel.dials import BabelConfig
from xlt.babel.language import SOURCE, distance
from xlt.errors import InputError
from xlt.files import atomic_folder, digest, to_json, write_atomic
from xlt.layout import WORLD_STAMP

XNLI_COLUMNS = (
    "language gold_label sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse sentence1 "
    "sentence2 promptID pairID genre label1 label2 label3 label4 label5 sentence1_tokenized sentence2_tokenized match"
)
MNLI_GENRES = ("chronicle", "letter", "gossip")


def write_world(out: Path, config: BabelConfig | Mapping[str, Any]) -> None:
    """Write the world of ``config`` as the folder ``out``, which takes the place of an older world as a whole.

    The files are a function of the config alone: two calls write the same bytes. The stamp file names the config's hash
    and all files. Raises InputError when ``out`` holds something other than a world.
    """
    if out.exists() and not (out / WORLD_STAMP).exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("expected an older world, an empty folder or nothing; choose another --out", out)
    settings = config if isinstance(config, BabelConfig) else BabelConfig.model_validate(config)
    with atomic_folder(out) as new:
        writer = Writer(new, Babel(settings))
        writer.all()
        stamp = {"config": digest(settings.model_dump(mode="json")), "files": sorted(writer.written)}
        write_atomic(new / WORLD_STAMP, to_json(stamp))


def _lines(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _table(rows: Iterable[Iterable[object]]) -> str:
    return "".join("\t".join(str(cell) for cell in row) + "\n" for row in rows)


class Writer:
    """One method per benchmark; each writes its files and remembers their names."""

    def __init__(self, out: Path, babel: Babel) -> None:
        self.out = out
        self.babel = babel
        self.config = babel.config
        self.written: list[str] = []

    def put(self, name: str, text: str) -> None:
        """Write one file."""
        write_atomic(self.out / name, text)
        self.written.append(name)

    def put_json(self, name: str, value: Any) -> None:
        """Write one JSON document."""
        self.put(name, json.dumps(value, ensure_ascii=False) + "\n")

    def all(self) -> None:
        """Every file of the folder."""
        for part in (
            self.lexicon, self.inference, self.paraphrases, self.causes, self.intermediate, self.tags, self.answers,
            self.tydiqa, self.bitexts, self.linking, self.raw,
        ):  # fmt: skip
            part()

    def lexicon(self) -> None:
        """``languages.yaml``, the dictionaries, and the synonyms in the form of Robust-XLT's file."""
        languages = self.babel.languages
        source = languages[SOURCE].settings
        entries = {
            code: {
                "name": language.settings.name,
                "family": language.settings.family,
                "script": language.settings.script,
                "distance": distance(language.settings, source),
                "order": language.settings.order,
            }
            for code, language in languages.items()
        }
        text = yaml.safe_dump({"languages": entries}, sort_keys=False, allow_unicode=True)
        self.put("languages.yaml", text)
        for code, language in languages.items():
            if code == SOURCE:
                continue
            self.put(f"lexicon/{SOURCE}-{code}.tsv", _table(wordlists.dictionary(language)))
        self.put_json("robust/counterfitted_neighbors.json", wordlists.neighbours())

    def _inference_row(self, pair: pairs.PairMeaning, language: str, key: str, number: int) -> dict[str, str]:
        first = self.babel.say(pair.first, language, key, number, "a")
        second = self.babel.say(pair.second, language, key, number, "b")
        return {
            "gold_label": pair.label,
            "sentence1": first,
            "sentence2": second,
            "promptID": str(number),
            "pairID": f"{key}-{number}",
            "genre": MNLI_GENRES[number % len(MNLI_GENRES)],
        }

    def inference(self) -> None:
        """XNLI (owner's files, all languages in one), MNLI, SNLI, ANLI."""
        columns = XNLI_COLUMNS.split()
        for split in ("dev", "test"):
            meanings = pairs.make(
                self.babel, "xnli", split, self.babel.size("xnli", split), pairs.LABELS, pairs.inference
            )
            rows: list[list[str]] = [columns]
            for language in self.config.of_task("xnli"):
                for number, pair in enumerate(meanings):
                    row = self._inference_row(pair, language, f"xnli-{split}", number)
                    full = {**row, "language": language, "match": "True"}
                    rows.append([full.get(column, "") for column in columns])
            self.put(f"XNLI-1.0/xnli.{split}.tsv", _table(rows))
        self._inference_json(
            "xnli", "mnli", "multinli_1.0/multinli_1.0_{split}.jsonl", {"train": "train", "dev": "dev_matched"}
        )
        self._inference_json("snli", "snli", "snli_1.0/snli_1.0_{split}.jsonl", {"train": "train", "dev": "dev"})
        for number in (1, 2, 3):
            for split in SPLITS:
                count = max(3, self.babel.size("anli", split) // 3)
                task = f"anli-{number}"
                meanings = pairs.make(self.babel, task, split, count, pairs.LABELS, pairs.inference)
                teller = self.babel.teller(task + "-before", split)
                found = []
                for index, pair in enumerate(meanings):
                    row = self._inference_row(pair, SOURCE, f"{task}-{split}", index)
                    before = self.babel.say(teller.clause(optional=0.3), SOURCE, task, split, index)
                    found.append(
                        {
                            "uid": row["pairID"],
                            "context": f"{before} {row['sentence1']}",
                            "hypothesis": row["sentence2"],
                            "label": pair.label[0],
                            "reason": "",
                        }
                    )
                self.put(f"anli_v1.0/R{number}/{split}.jsonl", _lines(found))

    def _inference_json(self, pool: str, task: str, name: str, splits: dict[str, str]) -> None:
        """MNLI and SNLI. MNLI shares its pool of sentences with XNLI, so that neither repeats the other's."""
        for split, written in splits.items():
            count = self.babel.size(task, split)
            meanings = pairs.make(
                self.babel, pool, f"train-{split}" if pool != task else split, count, pairs.LABELS, pairs.inference
            )
            rows = [
                self._inference_row(pair, SOURCE, f"{task}-{split}", number) for number, pair in enumerate(meanings)
            ]
            self.put(
                name.format(split=written), _lines({**row, "annotator_labels": [row["gold_label"]]} for row in rows)
            )

    def paraphrases(self) -> None:
        """PAWS-X and QQP."""
        for split, written in (("train", "train"), ("dev", "dev_2k"), ("test", "test_2k")):
            meanings = pairs.make(
                self.babel, "pawsx", split, self.babel.size("pawsx", split), ("0", "1"), pairs.paraphrase
            )
            for language in self.config.of_task("pawsx") if split != "train" else [SOURCE]:
                rows: list[tuple[object, ...]] = [("id", "sentence1", "sentence2", "label")]
                for number, pair in enumerate(meanings, start=1):
                    said = [
                        self.babel.say(c, language, "pawsx", split, number, i)
                        for i, c in enumerate((pair.first, pair.second))
                    ]
                    rows.append((number, *said, pair.label))
                self.put(f"x-final/{language}/{written}.tsv", _table(rows))
        for split in ("train", "dev"):
            meanings = pairs.make(self.babel, "qqp", split, self.babel.size("qqp", split), ("0", "1"), pairs.duplicate)
            rows = [("id", "qid1", "qid2", "question1", "question2", "is_duplicate")]
            for number, pair in enumerate(meanings):
                said = [
                    self.babel.say(c, SOURCE, "qqp", split, number, i) for i, c in enumerate((pair.first, pair.second))
                ]
                rows.append((number, 2 * number, 2 * number + 1, *said, pair.label))
            self.put(f"glue/QQP/{split}.tsv", _table(rows))

    def causes(self) -> None:
        """XCOPA, COPA and Social IQa."""
        for split, written in (("dev", "val"), ("test", "test")):
            meanings = choices.make(self.babel, "copa", split, self.babel.size("copa", split))
            for language in self.config.of_task("xcopa"):
                rows = choices.xcopa(self.babel, meanings, language, f"copa-{split}")
                name = (
                    f"copa/{written}.jsonl"
                    if language == SOURCE
                    else f"xcopa/data/{language}/{written}.{language}.jsonl"
                )
                changed = {} if language == SOURCE else {"changed": False}
                self.put(name, _lines({**row, **changed} for row in rows))
        train = choices.make(self.babel, "copa", "train", self.babel.size("copa", "train"))
        self.put("copa/train.jsonl", _lines(choices.xcopa(self.babel, train, SOURCE, "copa-train")))
        for split, written in (("train", "trn"), ("dev", "dev")):
            meanings = choices.make(self.babel, "siqa", split, self.babel.size("siqa", split), 3)
            self.put(
                f"socialiqa/socialIQa_v1.4_{written}.jsonl", _lines(choices.siqa(self.babel, meanings, f"siqa-{split}"))
            )

    def intermediate(self) -> None:
        """HellaSwag, Cosmos QA and CommonsenseQA."""
        for split, hella, cosmos in (("train", "train", "train"), ("dev", "val", "valid")):
            rows = choices.hellaswag(self.babel, "hellaswag", split, self.babel.size("hellaswag", split))
            self.put(f"hellaswag/hellaswag_{hella}.jsonl", _lines(rows))
            rows = choices.cosmosqa(self.babel, "cosmosqa", split, self.babel.size("cosmosqa", split))
            table = io.StringIO()
            written = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
            written.writeheader()
            written.writerows(rows)
            self.put(f"cosmosqa/{cosmos}.csv", table.getvalue())
            rows = choices.commonsenseqa(self.babel, "commonsenseqa", split, self.babel.size("commonsenseqa", split))
            self.put(f"commonsenseqa/{split}_rand_split.jsonl", _lines(rows))

    def tags(self) -> None:
        """Universal Dependencies and WikiANN."""
        for split in SPLITS:
            for task, make in (("udpos", tagging.tagging_clause), ("panx", tagging.naming_clause)):
                teller = self.babel.teller(task, split)
                count = self.babel.size(task, split)
                clauses = self.babel.fresh(task, count, lambda: make(teller), lambda clause: (clause,))  # noqa: B023
                for language in self.config.of_task(task) if split != "train" else [SOURCE]:
                    said = tagging.sentences(self.babel, clauses, language, f"{task}-{split}")
                    if task == "panx":
                        self.put(f"wikiann/{language}/{split}", tagging.wikiann(said, language))
                        continue
                    name = self.babel.languages[language].settings.name
                    text = tagging.conllu(said, self.babel.rng("ud", split, language), f"{split}")
                    self.put(f"ud/UD_{name}-Babel/{language}_babel-ud-{split}.conllu", text)

    def answers(self) -> None:
        """SQuAD 1.1 and 2.0, XQuAD, XQuAD-R and MLQA; no passage occurs twice in any of them."""
        sizes = self.config.sizes
        for split in ("train", "dev"):
            made = questions.make(self.babel, "squad", split, self.babel.size("squad", split))
            self.put_json(f"squad/{split}-v1.1.json", questions.squad(self.babel, made, SOURCE, f"squad-{split}"))
            made = questions.make(self.babel, "squad", f"{split}-2", self.babel.size("squad2", split))
            self.put_json(f"squad/{split}-v2.0.json", questions.squad_v2(self.babel, made, SOURCE, f"squad2-{split}"))
        made = questions.make(self.babel, "squad", "test", 3 * sizes.passages)
        for language in self.config.of_task("xquad"):
            self.put_json(f"xquad/xquad.{language}.json", questions.squad(self.babel, made, language, "xquad"))
        for language in self.config.of_task("lareqa"):
            self.put_json(f"lareqa/xquad-r/{language}.json", questions.xquad_r(self.babel, made, language, "xquad"))
        languages = self.config.of_task("mlqa")
        crossed = [code for code in languages if code != SOURCE][:3]
        asked = [(code, code) for code in languages]
        asked += [(SOURCE, code) for code in crossed] + [(code, SOURCE) for code in crossed]
        for split, passages in (("dev", max(2, sizes.passages // 4)), ("test", sizes.passages)):
            made = questions.make(self.babel, "squad", f"mlqa-{split}", 3 * passages)
            for context, question in asked:
                name = f"mlqa/MLQA_V1/{split}/{split}-context-{context}-question-{question}.json"
                document = questions.squad(
                    self.babel, made, context, f"mlqa-{split}", question if question != context else ""
                )
                self.put_json(name, document)

    def tydiqa(self) -> None:
        """TyDiQA-GoldP: English training file, a development file per language."""
        folder = "tydiqa/tydiqa-goldp-v1.1-{split}/tydiqa.goldp.{language}.{split}.json"
        train = questions.make(self.babel, "tydiqa", "train", self.babel.size("tydiqa", "train"), per_passage=2)
        document = questions.squad(self.babel, train, SOURCE, "tydiqa-train")
        self.put_json(folder.format(split="train", language=SOURCE), document)
        test = questions.make(self.babel, "tydiqa", "test", self.config.sizes.test, per_passage=2)
        for language in self.config.of_task("tydiqa"):
            document = questions.squad(self.babel, test, language, f"tydiqa-dev-{language}")
            self.put_json(folder.format(split="dev", language=language), document)

    def bitexts(self) -> None:
        """Tatoeba and BUCC."""
        for language in self.config.of_task("tatoeba"):
            if language == SOURCE:
                continue
            clauses = retrieval.sentences(self.babel, f"tatoeba-{language}", self.config.sizes.test)
            for code, written in ((language, language), (SOURCE, "eng")):
                lines = [self.babel.say(clause, code, "tatoeba", index) + "\n" for index, clause in enumerate(clauses)]
                self.put(f"tatoeba/v1/tatoeba.{language}-eng.{written}", "".join(lines))
        for language in self.config.of_task("bucc2018"):
            if language == SOURCE:
                continue
            for split in ("dev", "test"):
                files = retrieval.bucc(self.babel, split, language, self.config.sizes.test)
                name = f"bucc2018/{language}-{SOURCE}.{split}"
                self.put(f"{name}.{language}", files.source)
                self.put(f"{name}.{SOURCE}", files.target)
                self.put(f"{name}.gold", files.gold)

    def linking(self) -> None:
        """Mewsli-X."""
        babel, languages = self.babel, self.config.of_task("mewslix")
        entities = babel.world.entities
        rows = [
            retrieval.entity_record(babel, entity, retrieval.candidate_language(languages, position))
            for position, entity in enumerate(entities)
        ]
        self.put("mewsli_x/candidate_set_entities.jsonl", _lines(rows))
        for split in ("train", "dev"):
            found = []
            for number, meaning in enumerate(retrieval.mentions(babel, split, babel.size("mewslix", split))):
                record = retrieval.mention_record(babel, meaning, SOURCE, f"{split}-{number}")
                found.append(retrieval.pair_record(babel, record, meaning.entity))
            self.put(f"mewsli_x/wikipedia_pairs-{split}.jsonl", _lines(found))
        for split in ("dev", "test"):
            made = retrieval.mentions(babel, "news-dev" if split == "dev" else "test", babel.size("mewslix", split))
            rows = [
                retrieval.mention_record(babel, meaning, language, f"{split}-{number}")
                for language in languages
                for number, meaning in enumerate(made)
            ]
            self.put(f"mewsli_x/wikinews_mentions-{split}.jsonl", _lines(rows))

    def raw(self) -> None:
        """Monolingual text."""
        settings = self.config.corpus
        for code, language in self.babel.languages.items():
            count = round(settings.documents * language.settings.text)
            self.put(f"raw/{code}.txt", corpus.documents(self.babel, code, count))
