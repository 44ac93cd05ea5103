"""Both languages are complete and true: nothing missing, nothing fuzzy, placeholders equal, .mo made from .po."""

from __future__ import annotations

import gettext
import importlib
import io

import pytest
from babel.messages.pofile import read_po

from lorabake_tui import i18n

# `tools.locale` is imported by name: a plain `import locale` elsewhere must never find it.
catalogues = importlib.import_module("tools.locale")


@pytest.fixture(params=catalogues.LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def po(language: str):
    return read_po(io.BytesIO(catalogues.po_path(language).read_bytes()), locale=language)


def test_every_message_of_the_sources_is_translated(language: str) -> None:
    catalog = po(language)
    missing = [m.id for m in catalogues.template() if m.id and catalog.get(m.id) is None]
    assert not missing, f"run `make locale`; new: {missing[:5]}"
    assert not catalogues.untranslated(catalog)


def test_nothing_is_fuzzy_or_left_over(language: str) -> None:
    catalog = po(language)
    assert not [m.id for m in catalog if m.id and m.fuzzy]
    assert not catalog.obsolete
    known = {m.id for m in catalogues.template()}
    assert not [m.id for m in catalog if m.id not in known]


def test_placeholders_are_those_of_the_original(language: str) -> None:
    wrong = []
    for message in po(language):
        if not message.id:
            continue
        originals = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string)
        wanted = set().union(*(catalogues.placeholders(text) for text in originals))
        wrong += [text for text in strings if catalogues.placeholders(text) != wanted]
    assert not wrong


def test_compiled_catalogue_equals_its_source(language: str) -> None:
    path = catalogues.po_path(language)
    assert path.with_suffix(".mo").read_bytes() == catalogues.mo_bytes(catalogues.merged(language))
    assert path.read_bytes() == catalogues.po_bytes(catalogues.merged(language))


def test_gettext_reads_the_compiled_catalogue(language: str) -> None:
    translations = gettext.translation("lorabake", i18n.LOCALE_DIR, languages=[language])
    for message in po(language):
        if message.id and isinstance(message.id, str):
            assert translations.gettext(message.id) == message.string


def test_language_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LORABAKE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    assert i18n.preferred() == "en"
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert i18n.preferred() == "zh_CN"
    monkeypatch.setenv("LORABAKE_LANG", "en")
    assert i18n.preferred() == "en"


def test_placeholders_finds_names_and_conversions() -> None:
    assert catalogues.placeholders("{a} and {b:.2f}") == {"a", "b"}
    assert catalogues.placeholders("argument %(x)s: %(y)r") == {"x", "y"}
    assert catalogues.placeholders("need: %s") == {"%s"}
    assert catalogues.placeholders("5 % {n}") == {"n"}
