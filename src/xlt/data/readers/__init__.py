"""Readers for the owners' file formats and XTREME's processed ones; ``docs/data-layout.md`` describes them all.

``READERS[format](path, language)`` gives a list of records, ``BITEXT`` and ``MINING`` the two retrieval forms. The
readers in ``LABELLED`` take a third argument, the labels that are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from xlt.data.readers import choice, mewslix, pairs, retrieval, span, tagging
from xlt.data.readers.files import Labels
from xlt.data.records import Mining, Pair, ParallelText, Record, Tagged


class LabelledReader(Protocol):
    """A reader that checks labels while it still knows their line."""

    def __call__(self, path: Path, language: str, labels: Labels = None) -> Sequence[Pair | Tagged]:
        """Read ``path``; a label that is not among ``labels`` is an InputError (``files.check_label``)."""


LABELLED: dict[str, LabelledReader] = {
    "xnli-tsv": pairs.xnli_tsv,
    "xnli-mt-tsv": pairs.xnli_mt_tsv,
    "glue-tsv": pairs.glue_tsv,
    "pawsx-tsv": pairs.pawsx_tsv,
    "pair-tsv": pairs.pair_tsv,
    "pair-json": pairs.pair_json,
    "nli-jsonl": pairs.nli_jsonl,
    "anli-jsonl": pairs.anli_jsonl,
    "tags-tsv": tagging.tags_tsv,
    "tags-spaced": tagging.tags_spaced,
    "wikiann": tagging.wikiann,
    "conllu": tagging.conllu,
    "conllu-words": tagging.conllu_words,
}

_UNLABELLED: dict[str, Callable[[Path, str], Sequence[Record]]] = {
    "copa-jsonl": choice.copa_jsonl,
    "siqa-jsonl": choice.siqa_jsonl,
    "siqa-lst": choice.siqa_lst,
    "hellaswag-jsonl": choice.hellaswag_jsonl,
    "cosmosqa-csv": choice.cosmosqa_csv,
    "cosmosqa-jsonl": choice.cosmosqa_jsonl,
    "commonsenseqa-jsonl": choice.commonsenseqa_jsonl,
    "squad": span.squad,
    "squad-rows": span.squad_rows,
    "tydiqa": span.tydiqa,
    "tydiqa-xtreme": span.tydiqa_xtreme,
    "xquad-r": retrieval.xquad_r,
    "squad-passages": retrieval.squad_passages,
    "mewslix-mentions": mewslix.mewslix_mentions,
    "mewslix-pairs": mewslix.mewslix_pairs,
}

READERS: dict[str, Callable[[Path, str], Sequence[Record]]] = {**LABELLED, **_UNLABELLED}

BITEXT: dict[str, Callable[[Path, str], ParallelText]] = {
    "tatoeba": retrieval.tatoeba,
    "tatoeba-xtreme": retrieval.tatoeba_xtreme,
}
MINING: dict[str, Callable[[Path, str], Mining]] = {"bucc": retrieval.bucc}

FORMATS = frozenset({*READERS, *BITEXT, *MINING})

# The files that are read beside the one a source names.
COMPANIONS: dict[str, tuple[Callable[[Path], Path], ...]] = {
    "siqa-lst": (choice.siqa_labels_file,),
    "tatoeba": (retrieval.tatoeba_english,),
    "tatoeba-xtreme": (retrieval.tatoeba_english, retrieval.tatoeba_gold),
    "bucc": (retrieval.bucc_english, retrieval.bucc_gold),
    "mewslix-mentions": (lambda path: path.with_name(mewslix.CANDIDATES),),
}
