"""The text that the world's encoder is pre-trained on, as files, and the hash that ties a committed encoder to its dials."""

from __future__ import annotations

import tempfile
from pathlib import Path

from xlt.babel import corpus
from xlt.babel.context import Babel
from xlt.babel.dials import BabelConfig
from xlt.files import digest, sha256_file, write_atomic


def write_corpus(out: Path, config: BabelConfig) -> None:
    """Write the text that the world's encoder is pre-trained on as ``out/raw``, a function of the config alone.

    Monolingual text as the world's own, and code-switched and paired text, which only pre-training reads.
    """
    babel, settings = Babel(config), config.corpus
    for code, language in babel.languages.items():
        count = round(settings.documents * language.settings.text)
        write_atomic(out / f"raw/{code}.txt", corpus.documents(babel, code, count))
    write_atomic(out / "raw/mixed.txt", corpus.mixed_documents(babel, settings.mixed_documents))
    write_atomic(out / "raw/parallel.tsv", corpus.parallel(babel, settings.parallel))
    write_atomic(out / "raw/pairs.tsv", "".join(pair.row() for pair in corpus.pairs(babel, settings.pairs)))


def corpus_key(config: BabelConfig) -> str:
    """A hash of what an encoder is pre-trained on and how: all dials, and the beginning of each kind of text.

    The text is a function of dials and code; its beginning shows a change of either, and takes a second to write.
    """
    begun = {"documents": 20, "mixed_documents": 50, "pairs": 500, "parallel": 200}
    short = config.model_copy(update={"corpus": config.corpus.model_copy(update=begun)})
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), short)
        texts = {path.name: sha256_file(path) for path in sorted((Path(folder) / "raw").iterdir())}
    dials = config.model_dump(mode="json", include={"seed", "languages", "world", "corpus", "encoder"})
    return digest({"dials": dials, "texts": texts})
