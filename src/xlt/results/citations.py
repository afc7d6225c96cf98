"""Whom the reader of a table should cite: the papers of its data sets and its encoder, as their configs name them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from xlt.config.benchmark import Model, Recipe, Task, load, load_all, parse
from xlt.config.yaml_files import load_yaml
from xlt.files import SOURCE_ROOT
from xlt.names import visible
from xlt.results.render import escape_latex
from xlt.results.run_folders import FinishedRun, Loose, Plan, RegimeRuns

OWN = "this artifact"
ENCODER = "the encoder"
FORM = re.compile(r"(?P<authors>[^,]+) (?P<year>\d{4}), (?P<title>.+), (?P<venue>[^,]+)")
"""A citation in a config, one of several with semicolons between them: ``Conneau et al. 2018, XNLI: ..., EMNLP``."""
JOURNALS = {"TACL", "Computational Linguistics"}
NOT_PROCEEDINGS = {"LINDAT/CLARIAH-CZ", "Quora"}


Cited = Mapping["Citation", list[str]]
"""By paper, what is used of it: titles of data sets, or the encoder."""


class ManifestFile(Loose):
    """A file, or a pattern of files, of a data set."""

    path: str


class CitedSet(Loose):
    """What a manifest of ``configs/data`` says of a data set: its title, whom to cite, and its files."""

    name: str
    title: str
    citation: str
    files: list[ManifestFile] = Field(default=[])


class Citation(NamedTuple):
    """A paper as a config names it; ``authors`` is the first author, both, or the first with ``et al.``"""

    authors: str
    year: str
    title: str
    venue: str

    @property
    def key(self) -> str:
        """Its name in BibTeX, e.g. ``conneau2018xnli``."""
        first = self.authors.removesuffix(" et al.").split(" and ")[0]
        plain = unicodedata.normalize("NFKD", first.split()[-1] + self.year + re.split(r"\W", self.title)[0])
        return "".join(character for character in plain.lower() if character.isascii() and character.isalnum())

    def bibtex(self) -> str:
        """Its entry, with the authors that are named."""
        kind, venue = "inproceedings", {"booktitle": self.venue}
        if self.venue in JOURNALS:
            kind, venue = "article", {"journal": self.venue}
        elif self.venue.startswith("arXiv "):
            kind, venue = "misc", {"eprint": self.venue.removeprefix("arXiv "), "archiveprefix": "arXiv"}
        elif self.venue in NOT_PROCEEDINGS:
            kind, venue = "misc", {"howpublished": self.venue}
        authors, title = self.authors.replace(" et al.", " and others"), f"{{{escape_latex(self.title)}}}"
        return _entry(kind, self.key, {"author": authors, "title": title, "year": self.year, **venue})


def parsed(text: str) -> list[Citation]:
    """The papers that a config's ``citation`` names; none where it names no paper (``see docs/methods.md``)."""
    return [Citation(**found.groupdict()) for part in text.split("; ") if (found := FORM.fullmatch(part))]


def to_cite(
    plan: Plan, tasks: Mapping[str, Task], regimes: Mapping[str, RegimeRuns], configs: Path, world: bool
) -> Cited:
    """By paper, what a table uses of it: data sets of its finished tasks and of their training, and the encoder.

    Args:
        plan: the plan of the runs.
        tasks: the table's columns.
        regimes: its rows; none for a table of sizes, which uses no encoder.
        configs: the folder of all configs.
        world: whether the data are those of the generated world, which is this artifact's own.
    """
    found: dict[Citation, list[str]] = {}
    for each in [] if world else _sets(tasks, regimes, configs):
        for citation in parsed(each.citation):
            found.setdefault(citation, []).append(each.title)
    path = configs / "models" / f"{plan.model}.yaml"
    for citation in parsed(load(Model, path).citation) if regimes and path.exists() else []:
        found.setdefault(citation, []).append(ENCODER)
    return found


def _sets(tasks: Mapping[str, Task], regimes: Mapping[str, RegimeRuns], configs: Path) -> list[CitedSet]:
    """The data sets whose files finished runs read; those of all tasks and runs where none is finished."""
    runs = [run for own in regimes.values() for run in own.serving(tasks).runs]
    finished = [run for run in runs if isinstance(run, FinishedRun)]
    scored = {name for run in finished for name in run.planned.tasks} & set(tasks) or set(tasks)
    names = [] if runs else [task.recipe for task in tasks.values()]
    for run in finished or runs:
        intermediate, robustness = run.config.regime.intermediate, run.config.regime.robustness
        names += [stage.recipe.name for stage in run.config.stages] + (intermediate.recipes if intermediate else [])
        names += ["synonyms"] * (robustness is not None and robustness.kind == "synonyms")
    recipes = load_all(Recipe, configs / "recipes")
    used: list[Task | Recipe] = [*(tasks[name] for name in scored), *(recipes[n] for n in {*names} & {*recipes})]
    paths = {source.path for each in used for sources in each.sources.values() for source in sources}
    manifests = [parse(CitedSet, load_yaml(path), path) for path in visible(configs / "data", "*.yaml")]
    return [each for each in manifests if each.name in {*names, *scored} or paths & {file.path for file in each.files}]


def note(found: Cited, goal: str) -> str:
    """The line below a table."""
    papers = [f"{each.authors} {each.year} ({', '.join(what)})" for each, what in found.items()]
    return f"To cite: {'; '.join([OWN, *papers])}. BibTeX: make cite TABLE={goal}."


def bibtex(found: Iterable[Citation]) -> str:
    """The entries of this artifact and of the papers."""
    own: dict[str, Any] = load_yaml(SOURCE_ROOT / "CITATION.cff")
    authors = " and ".join(f"{{{author['name']}}}" for author in own["authors"])
    fields = {"author": authors, "title": f"{{{own['title']}}}", "note": f"version {own['version']}"}
    entries = dict.fromkeys([_entry("misc", "xlt", fields), *(each.bibtex() for each in found)])
    return "% Authors as the configs name them: the first, and others.\n" + "\n".join(entries)


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}\n"])
