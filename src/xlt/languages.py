"""Languages: ISO 639-1 codes with names, families and scripts, and the other names the data owners give them.

The list is XTREME-R's fifty languages with the grouping of its language table (Ruder et al. 2021, arXiv 2104.07412,
appendix; Indo-European is split into branches there, and so here), plus three of the African and American
evaluation sets. Codes of the embedded world are private-use (``qaa`` to ``qtz``); ``register`` reads them from
the world's own ``languages.yaml``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xlt.config.yaml_files import load_yaml
from xlt.errors import InputError


@dataclass(frozen=True, slots=True)
class Language:
    """One language. ``tatoeba`` is the three-letter (ISO 639-3) code under which Tatoeba's files name it.

    ``distance`` from the source language is known of a generated world's languages only.
    """

    code: str
    name: str
    family: str
    script: str
    tatoeba: str
    distance: float | None = None


# code | English name | family | script | three-letter code
_TABLE = """
af | Afrikaans      | IE: Germanic   | Latin      | afr
ar | Arabic         | Afro-Asiatic   | Arabic     | ara
az | Azerbaijani    | Turkic         | Latin      | aze
bg | Bulgarian      | IE: Slavic     | Cyrillic   | bul
bn | Bengali        | IE: Indo-Aryan | Bengali    | ben
de | German         | IE: Germanic   | Latin      | deu
el | Greek          | IE: Greek      | Greek      | ell
en | English        | IE: Germanic   | Latin      | eng
es | Spanish        | IE: Romance    | Latin      | spa
et | Estonian       | Uralic         | Latin      | est
eu | Basque         | Basque         | Latin      | eus
fa | Persian        | IE: Iranian    | Arabic     | pes
fi | Finnish        | Uralic         | Latin      | fin
fr | French         | IE: Romance    | Latin      | fra
gu | Gujarati       | IE: Indo-Aryan | Gujarati   | guj
he | Hebrew         | Afro-Asiatic   | Hebrew     | heb
hi | Hindi          | IE: Indo-Aryan | Devanagari | hin
ht | Haitian Creole | Creole         | Latin      | hat
hu | Hungarian      | Uralic         | Latin      | hun
id | Indonesian     | Austronesian   | Latin      | ind
it | Italian        | IE: Romance    | Latin      | ita
ja | Japanese       | Japonic        | Japanese   | jpn
jv | Javanese       | Austronesian   | Latin      | jav
ka | Georgian       | Kartvelian     | Georgian   | kat
kk | Kazakh         | Turkic         | Cyrillic   | kaz
ko | Korean         | Koreanic       | Hangul     | kor
lt | Lithuanian     | IE: Baltic     | Latin      | lit
ml | Malayalam      | Dravidian      | Malayalam  | mal
mr | Marathi        | IE: Indo-Aryan | Devanagari | mar
ms | Malay          | Austronesian   | Latin      | zsm
my | Burmese        | Sino-Tibetan   | Burmese    | mya
nl | Dutch          | IE: Germanic   | Latin      | nld
pa | Punjabi        | IE: Indo-Aryan | Gurmukhi   | pan
pl | Polish         | IE: Slavic     | Latin      | pol
pt | Portuguese     | IE: Romance    | Latin      | por
qu | Quechua        | Quechuan       | Latin      | que
ro | Romanian       | IE: Romance    | Latin      | ron
ru | Russian        | IE: Slavic     | Cyrillic   | rus
sw | Swahili        | Niger-Congo    | Latin      | swh
ta | Tamil          | Dravidian      | Tamil      | tam
te | Telugu         | Dravidian      | Telugu     | tel
th | Thai           | Kra-Dai        | Thai       | tha
tl | Tagalog        | Austronesian   | Latin      | tgl
tr | Turkish        | Turkic         | Latin      | tur
uk | Ukrainian      | IE: Slavic     | Cyrillic   | ukr
ur | Urdu           | IE: Indo-Aryan | Arabic     | urd
vi | Vietnamese     | Austroasiatic  | Latin      | vie
wo | Wolof          | Niger-Congo    | Latin      | wol
yo | Yoruba         | Niger-Congo    | Latin      | yor
zh | Chinese        | Sino-Tibetan   | Han        | cmn
gn | Guarani        | Tupian         | Latin      | grn
ha | Hausa          | Afro-Asiatic   | Latin      | hau
rw | Kinyarwanda    | Niger-Congo    | Latin      | kin
"""


def _parse(table: str) -> dict[str, Language]:
    rows = ([cell.strip() for cell in line.split("|")] for line in table.strip().splitlines())
    return {row[0]: Language(row[0], row[1], row[2], row[3], row[4]) for row in rows}


_KNOWN = _parse(_TABLE)
_registered: dict[str, Language] = {}

# XTREME-R's fifty languages (section 3.1 of the paper), without the extra ones at the end of the table.
XTREME_R = tuple(sorted(set(_KNOWN) - {"gn", "ha", "rw"}))


def register(path: Path) -> tuple[str, ...]:
    """Add the languages of a world's ``languages.yaml`` and return their codes.

    The file holds ``languages: {code: {name: ..., family: ..., script: ..., distance: ...}}``; ``distance`` (from the
    source language) may be absent, further keys are the world's own. A
    code that is already an official one keeps its official entry. Raises InputError when the file has another shape.
    """
    if not path.is_file():
        raise InputError("expected a languages file, got none; generate the world first", path)
    content = load_yaml(path)
    entries = content.get("languages") if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise InputError("expected a mapping 'languages: {code: {name, family, script}}'; fix the file", path)
    for code, entry in entries.items():
        missing = {"name", "family", "script"} - set(entry if isinstance(entry, dict) else ())
        if missing:
            raise InputError(f"language {code!r} lacks {', '.join(sorted(missing))}; add them", path)
        _registered[str(code)] = Language(
            str(code), entry["name"], entry["family"], entry["script"], str(code), _distance(entry, code, path)
        )
    return tuple(str(code) for code in entries)


def _distance(entry: dict[str, object], code: object, path: Path) -> float | None:
    value = entry.get("distance")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InputError(f"language {code!r}: expected distance to be a number, got {value!r}; fix the file", path)
    return None if value is None else float(value)


def language(code: str) -> Language:
    """The language with a two-letter (or registered private-use) code. Raises InputError when it is not known."""
    found = _KNOWN.get(code) or _registered.get(code)
    if found is None:
        raise InputError(f"expected a known language code, got {code!r}; register the world's languages.yaml first")
    return found


def name(code: str) -> str:
    """English name: ``sw`` is Swahili."""
    return language(code).name


def family(code: str) -> str:
    """Language family, Indo-European by branch: ``ta`` is Dravidian, ``hi`` is IE: Indo-Aryan."""
    return language(code).family


def script(code: str) -> str:
    """Script of the benchmark's files: ``kk`` is Cyrillic."""
    return language(code).script


def tatoeba_code(code: str) -> str:
    """Three-letter code in the names of Tatoeba's files: ``sw`` is swh, ``zh`` is cmn, ``fa`` is pes."""
    return language(code).tatoeba
