"""The kinds of tables: each is made from its inputs and has a document, a CSV, a JSON and further files.

A new kind is a class with these, and an entry in ``KINDS``.
"""

from __future__ import annotations

from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.grid_table import GridTable
from xlt.results.groups_table import GroupsTable
from xlt.results.language_table import LanguageTable
from xlt.results.lexical_table import LexicalTable
from xlt.results.pairs_table import PairsTable
from xlt.results.score_table import ConfiguredTable
from xlt.results.sizes_table import SizesTable

KINDS: dict[str, type[ConfiguredTable]] = {
    "benchmark": BenchmarkTable,
    "languages": LanguageTable,
    "grid": GridTable,
    "lexical": LexicalTable,
    "pairs": PairsTable,
    "groups": GroupsTable,
    "sizes": SizesTable,
}
