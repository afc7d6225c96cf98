"""LAReQA by question and answer language: each question searches the sentences of one language at a time.

Roy et al. 2020 look at LAReQA by the language of the question and of the answer. How their figures are defined could
not be read; chosen here: the pool is cut down to the answers' language, so a cell says how well the two languages are
aligned, whatever else is in the pool. (How far a question prefers its own language when all are in the pool is
``metrics.language_bias``.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xlt.config.benchmark import QUERY_TOKENS
from xlt.data.language_pairs import Search, split_pair
from xlt.evaluation.dual_encoder import DEPTH, Embed, lareqa_candidates
from xlt.evaluation.nearest_neighbors import nearest

Vectors = NDArray[np.float32]


def rank_by_answer_language(
    embed: Embed, searches: Mapping[str, Search], max_length: int
) -> dict[str, dict[str, list[str]]]:
    """For each pair (answers' language first) and query the ``DEPTH`` best sentences of that language.

    Every sentence and every question is embedded once, although each is in as many pairs as there are languages.
    """
    pools: dict[str, tuple[list[str], Vectors]] = {}
    asked: dict[str, Vectors] = {}
    for code, search in searches.items():
        language = split_pair(code)[0]
        if language not in pools:
            candidates = lareqa_candidates(search.passages)
            title, spoken = f"LAReQA answers {language}", [language] * len(candidates)
            vectors = embed(list(candidates.values()), max_length - QUERY_TOKENS, title, spoken)
            pools[language] = (list(candidates), vectors)
        new = {name: text for name, text, _ in search.queries if name not in asked}
        if new:
            spoken = [split_pair(code)[1]] * len(new)
            vectors = embed(list(new.values()), QUERY_TOKENS, f"LAReQA {code}", spoken)
            asked.update(zip(new, vectors, strict=True))
    rankings = {}
    for code, search in searches.items():
        names, pool = pools[split_pair(code)[0]]
        found, _ = nearest(np.stack([asked[name] for name, _, _ in search.queries]), pool, DEPTH)
        rankings[code] = {
            name: [names[i] for i in row] for (name, _, _), row in zip(search.queries, found, strict=True)
        }
    return rankings
