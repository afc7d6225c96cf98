"""Language codes: XTREME-R's list, the owners' names, and a registered world."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlt import languages
from xlt.errors import InputError


def test_xtreme_r_has_fifty_languages() -> None:
    assert len(languages.XTREME_R) == 50
    assert {"en", "wo", "ht", "qu", "pa", "lt"} <= set(languages.XTREME_R)


def test_codes_are_unique_in_both_directions() -> None:
    known = [languages.language(code) for code in languages.XTREME_R]
    assert len({entry.tatoeba for entry in known}) == 50
    assert len({entry.name for entry in known}) == 50


@pytest.mark.parametrize(("code", "three"), [("sw", "swh"), ("zh", "cmn"), ("fa", "pes"), ("ar", "ara"), ("et", "est")])
def test_tatoeba_names_individual_languages(code: str, three: str) -> None:
    assert languages.tatoeba_code(code) == three


def test_names_family_and_script() -> None:
    assert languages.name("yo") == "Yoruba"
    assert languages.family("ta") == "Dravidian"
    assert languages.script("kk") == "Cyrillic"


def test_unknown_code_is_an_input_error() -> None:
    with pytest.raises(InputError, match="'xx'"):
        languages.name("xx")


def test_registered_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "_registered", {})
    file = tmp_path / "languages.yaml"
    file.write_text("languages:\n  qaa: {name: Arva, family: A, script: Latin, shift: 0.2}\n", encoding="utf-8")
    assert languages.register(file) == ("qaa",)
    assert languages.name("qaa") == "Arva"
    assert languages.tatoeba_code("qaa") == "qaa"


def test_official_entry_wins_over_a_registered_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "_registered", {})
    file = tmp_path / "languages.yaml"
    file.write_text("languages:\n  en: {name: Other, family: A, script: Latin}\n", encoding="utf-8")
    languages.register(file)
    assert languages.name("en") == "English"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("languages: [qaa]\n", "expected a mapping"),
        ("languages:\n  qaa: {name: A, script: B}\n", "lacks family"),
        ("languages: {\n", "expected YAML"),
    ],
)
def test_register_refuses_another_shape(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "languages.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        languages.register(file)


def test_register_without_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="generate the world"):
        languages.register(tmp_path / "none.yaml")
