"""Write the whole world as a DATA folder: every task in its owner's file format, dictionaries, synonyms, raw text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from xlt.babel import choices, corpus, pairs, questions, retrieval, tagging, wordlists
from xlt.babel.config import BabelConfig
from xlt.babel.context import SPLITS, Babel
from xlt.babel.language import SOURCE, distance
from xlt.errors import InputError
from xlt.files import atomic_folder, digest, to_json, write_atomic
from xlt.layout import WORLD_STAMP

XNLI_COLUMNS = (
    "language gold_label sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse sentence1 "
    "sentence2 promptID pairID genre label1 label2 label3 label4 label5 sentence1_tokenized sentence2_tokenized match"
)
MNLI_GENRES = ("chronicle", "letter", "gossip")
PARTS = "lexicon inference paraphrases causes intermediate tags answers tydiqa bitexts linking raw"


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
        for part in PARTS.split():
            getattr(writer, part)()
        stamp = {"config": digest(settings.model_dump(mode="json")), "files": sorted(writer.written)}
        write_atomic(new / WORLD_STAMP, to_json(stamp))


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

    def put_json(self, name: str, *documents: Any) -> None:
        """Write JSON documents, a line each."""
        self.put(name, "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents))

    def put_table(self, name: str, rows: Iterable[Iterable[object]]) -> None:
        """Write tab-separated rows."""
        self.put(name, "".join("\t".join(str(cell) for cell in row) + "\n" for row in rows))

    def lexicon(self) -> None:
        """``languages.yaml``, the dictionaries, and the synonyms in the form of Robust-XLT's file."""
        languages = self.babel.languages
        entries = {
            code: language.settings.model_dump(include={"name", "family", "script"})
            | {"distance": distance(language.settings, languages[SOURCE].settings), "order": language.settings.order}
            for code, language in languages.items()
        }
        self.put("languages.yaml", yaml.safe_dump({"languages": entries}, sort_keys=False, allow_unicode=True))
        for code in self.config.foreign():
            self.put_table(f"lexicon/{SOURCE}-{code}.tsv", wordlists.dictionary(languages[code]))
        self.put_json("robust/counterfitted_neighbors.json", wordlists.neighbours())

    def _inference_rows(
        self, meanings: Iterable[pairs.PairMeaning], key: str, language: str = SOURCE
    ) -> list[dict[str, str]]:
        return [
            {
                "gold_label": pair.label,
                "sentence1": self.babel.say(pair.first, language, key, number, "a"),
                "sentence2": self.babel.say(pair.second, language, key, number, "b"),
                "promptID": str(number),
                "pairID": f"{key}-{number}",
                "genre": MNLI_GENRES[number % len(MNLI_GENRES)],
            }
            for number, pair in enumerate(meanings)
        ]

    def inference(self) -> None:
        """XNLI (owner's files, all languages in one), MNLI, its translations, SNLI, ANLI.

        MNLI shares its pool of sentences with XNLI, so that neither repeats the other's.
        """
        babel, columns = self.babel, XNLI_COLUMNS.split()
        for split in ("dev", "test"):
            meanings = pairs.make(babel, "xnli", split, babel.size("xnli", split), pairs.inference)
            rows = [columns]
            for language in self.config.of_task("xnli"):
                for row in self._inference_rows(meanings, f"xnli-{split}", language):
                    row |= {"language": language, "match": "True"}
                    rows.append([row.get(column, "") for column in columns])
            self.put_table(f"XNLI-1.0/xnli.{split}.tsv", rows)
        for task, pool, split, drawn, name in (
            ("mnli", "xnli", "train", "train-train", "multinli_1.0/multinli_1.0_train"),
            ("mnli", "xnli", "dev", "train-dev", "multinli_1.0/multinli_1.0_dev_matched"),
            ("snli", "snli", "train", "train", "snli_1.0/snli_1.0_train"),
            ("snli", "snli", "dev", "dev", "snli_1.0/snli_1.0_dev"),
        ):
            meanings = pairs.make(babel, pool, drawn, babel.size(task, split), pairs.inference)
            labelled = self._inference_rows(meanings, f"{task}-{split}")
            self.put_json(f"{name}.jsonl", *({**row, "annotator_labels": [row["gold_label"]]} for row in labelled))
        shared = self.babel.size("mnli", "train") // len(self.config.foreign("xnli"))
        meanings = pairs.make(babel, "xnli", "train-train", babel.size("mnli", "train"), pairs.inference)[:shared]
        for language in self.config.foreign("xnli"):
            rows = [["premise", "hypo", "label"]]
            for row in self._inference_rows(meanings, "mnli-train", language):
                rows.append([row["sentence1"], row["sentence2"], row["gold_label"]])
            self.put_table(f"XNLI-MT-1.0/multinli/multinli.train.{language}.tsv", rows)
        for number in (1, 2, 3):
            for split in SPLITS:
                self.put_json(f"anli_v1.0/R{number}/{split}.jsonl", *self._adversarial(f"anli-{number}", split))

    def _adversarial(self, task: str, split: str) -> list[dict[str, str]]:
        """Rows of ANLI: a sentence of its own stands before the premise."""
        count = max(3, self.babel.size("anli", split) // 3)
        meanings = pairs.make(self.babel, task, split, count, pairs.inference)
        teller = self.babel.teller(task + "-before", split)
        found = []
        for number, row in enumerate(self._inference_rows(meanings, f"{task}-{split}")):
            before = self.babel.say(teller.clause(optional=0.3), SOURCE, task, split, number)
            texts = {"context": f"{before} {row['sentence1']}", "hypothesis": row["sentence2"]}
            found.append({"uid": row["pairID"], **texts, "label": row["gold_label"][0], "reason": ""})
        return found

    def paraphrases(self) -> None:
        """PAWS-X, its translated training set, and QQP."""
        babel, labels = self.babel, ("0", "1")
        foreign = self.config.foreign("pawsx")
        for split, written in (("train", "train"), ("dev", "dev_2k"), ("test", "test_2k")):
            meanings = pairs.make(babel, "pawsx", split, babel.size("pawsx", split), pairs.paraphrase, labels)
            for language in self.config.of_split("pawsx", split):
                self._paraphrase_table(f"{language}/{written}", meanings, language, split)
            for language in foreign if split == "train" else []:
                shared = meanings[: len(meanings) // len(foreign)]
                self._paraphrase_table(f"{language}/translated_train", shared, language, split)
        for split in ("train", "dev"):
            meanings = pairs.make(babel, "qqp", split, babel.size("qqp", split), pairs.duplicate, labels)
            rows: list[tuple[object, ...]] = [("id", "qid1", "qid2", "question1", "question2", "is_duplicate")]
            for number, pair in enumerate(meanings):
                said = babel.say_all((pair.first, pair.second), SOURCE, "qqp", split, number)
                rows.append((number, 2 * number, 2 * number + 1, *said, pair.label))
            self.put_table(f"glue/QQP/{split}.tsv", rows)

    def _paraphrase_table(self, name: str, meanings: Sequence[pairs.PairMeaning], language: str, split: str) -> None:
        rows: list[tuple[object, ...]] = [("id", "sentence1", "sentence2", "label")]
        for number, pair in enumerate(meanings, start=1):
            said = self.babel.say_all((pair.first, pair.second), language, "pawsx", split, number)
            rows.append((number, *said, pair.label))
        self.put_table(f"x-final/{name}.tsv", rows)

    def causes(self) -> None:
        """XCOPA, COPA and Social IQa."""
        babel = self.babel
        for split, written in (("dev", "val"), ("test", "test"), ("train", "train")):
            meanings = choices.make(babel, "copa", split, babel.size("copa", split))
            for language in self.config.of_split("xcopa", split):
                rows = choices.xcopa(babel, meanings, language, f"copa-{split}")
                if language == SOURCE:
                    self.put_json(f"copa/{written}.jsonl", *rows)
                else:
                    name = f"xcopa/data/{language}/{written}.{language}.jsonl"
                    self.put_json(name, *({**row, "changed": False} for row in rows))
        for split, written in (("train", "trn"), ("dev", "dev")):
            meanings = choices.make(babel, "siqa", split, babel.size("siqa", split), 3)
            self.put_json(f"socialiqa/socialIQa_v1.4_{written}.jsonl", *choices.siqa(babel, meanings, f"siqa-{split}"))

    def intermediate(self) -> None:
        """HellaSwag, Cosmos QA and CommonsenseQA."""
        for split, hellaswag, cosmosqa in (("train", "train", "train"), ("dev", "val", "valid")):
            self.put_json(f"hellaswag/hellaswag_{hellaswag}.jsonl", *choices.hellaswag(self.babel, split))
            rows = choices.cosmosqa(self.babel, split)
            table = io.StringIO()
            written = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
            written.writeheader()
            written.writerows(rows)
            self.put(f"cosmosqa/{cosmosqa}.csv", table.getvalue())
            self.put_json(f"commonsenseqa/{split}_rand_split.jsonl", *choices.commonsenseqa(self.babel, split))

    def tags(self) -> None:
        """Universal Dependencies and WikiANN."""
        for split in SPLITS:
            for task, make in (("udpos", tagging.tagging_clause), ("panx", tagging.naming_clause)):
                teller = self.babel.teller(task, split)
                count = self.babel.size(task, split)
                clauses = self.babel.fresh(task, count, lambda: make(teller), lambda clause: (clause,))  # noqa: B023
                for language in self.config.of_split(task, split):
                    speaker = self.babel.speaker(language, f"{task}-{split}")
                    said = [speaker.sentence(clause) for clause in clauses]
                    if task == "panx":
                        self.put(f"wikiann/{language}/{split}", tagging.wikiann(said, language))
                        continue
                    name = self.babel.languages[language].settings.name
                    text = tagging.conllu(said, self.babel.rng("ud", split, language), split)
                    self.put(f"ud/UD_{name}-Babel/{language}_babel-ud-{split}.conllu", text)

    def answers(self) -> None:
        """SQuAD 1.1 and 2.0, XQuAD, XQuAD-R and MLQA; no passage occurs twice in any of them."""
        babel, passages = self.babel, self.config.sizes.passages
        for split in ("train", "dev"):
            made = questions.make(babel, "squad", split, babel.size("squad", split))
            self.put_json(f"squad/{split}-v1.1.json", questions.squad(babel, made, SOURCE, f"squad-{split}"))
            made = questions.make(babel, "squad", f"{split}-2", babel.size("squad2", split))
            self.put_json(f"squad/{split}-v2.0.json", questions.squad_v2(babel, made, SOURCE, f"squad2-{split}"))
        made = questions.make(babel, "squad", "test", 3 * passages)
        for language in self.config.of_task("xquad"):
            self.put_json(f"xquad/xquad.{language}.json", questions.squad(babel, made, language, "xquad"))
        for language in self.config.of_task("lareqa"):
            self.put_json(f"lareqa/xquad-r/{language}.json", questions.xquad_r(babel, made, language, "xquad"))
        crossed = self.config.foreign("mlqa")[:3]
        asked = [(code, code) for code in self.config.of_task("mlqa")]
        asked += [(SOURCE, code) for code in crossed] + [(code, SOURCE) for code in crossed]
        for split, number in (("dev", max(2, passages // 4)), ("test", passages)):
            made = questions.make(babel, "squad", f"mlqa-{split}", 3 * number)
            for context, question in asked:
                name = f"mlqa/MLQA_V1/{split}/{split}-context-{context}-question-{question}.json"
                self.put_json(name, questions.squad(babel, made, context, f"mlqa-{split}", question))

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
        count = self.config.sizes.test
        for language in self.config.foreign("tatoeba"):
            clauses = retrieval.sentences(self.babel, f"tatoeba-{language}", count)
            for code, written in ((language, language), (SOURCE, "eng")):
                lines = (text + "\n" for text in self.babel.say_all(clauses, code, "tatoeba"))
                self.put(f"tatoeba/v1/tatoeba.{language}-eng.{written}", "".join(lines))
        for language in self.config.foreign("bucc2018"):
            for split in ("dev", "test"):
                files = retrieval.bucc(self.babel, split, language, count)
                for part, rows in zip((language, SOURCE, "gold"), files, strict=True):
                    self.put_table(f"bucc2018/{language}-{SOURCE}.{split}.{part}", rows)

    def linking(self) -> None:
        """Mewsli-X: descriptions are shared out among the languages, as in the owners' candidate set."""
        babel, languages = self.babel, self.config.of_task("mewslix")
        rows = [
            retrieval.entity_record(babel, entity, languages[position % len(languages)])
            for position, entity in enumerate(babel.world.entities)
        ]
        self.put_json("mewsli_x/candidate_set_entities.jsonl", *rows)
        for split in ("train", "dev"):
            made = retrieval.mentions(babel, split, babel.size("mewslix", split))
            rows = [retrieval.pair_record(babel, meaning, f"{split}-{number}") for number, meaning in enumerate(made)]
            self.put_json(f"mewsli_x/wikipedia_pairs-{split}.jsonl", *rows)
        for split in ("dev", "test"):
            made = retrieval.mentions(babel, "news-dev" if split == "dev" else "test", babel.size("mewslix", split))
            rows = [
                retrieval.mention_record(babel, meaning, language, f"{split}-{number}")
                for language in languages
                for number, meaning in enumerate(made)
            ]
            self.put_json(f"mewsli_x/wikinews_mentions-{split}.jsonl", *rows)

    def raw(self) -> None:
        """Monolingual text."""
        for code in self.babel.languages:
            self.put(f"raw/{code}.txt", corpus.documents(self.babel, code))
