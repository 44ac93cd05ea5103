"""Gathers every string a person can read, merges them into the catalogues, compiles the .mo files (`make locale`).

Strings come from the terminal's sources and from the protocol's tables (sentences, parameters), which the engine
sends in English; translations are written by hand into the .po files. `--check` changes nothing.
"""

from __future__ import annotations

import ast
import io
import string
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from engine.protocol import fields
from engine.protocol.errors import SENTENCES, SINGULAR

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "lorabake_tui"
LOCALE = SOURCES / "locale"
LANGUAGES = ("zh_CN",)
DOMAIN = "lorabake"
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""A fixed date in the header: a catalogue changes when its words do, not when the tool runs."""

Message = tuple[str | tuple[str, str], str, str]
"""The msgid (or singular and plural), the place it comes from, a comment for the translator."""


def gather() -> list[Message]:
    """Every message, in a stable order."""
    return [*_marked(), *_sentences(), *_parameters(), *_presets(), *_checks()]


def _marked() -> Iterator[Message]:
    found = extract_from_dir(SOURCES, [("**.py", "python")], keywords=KEYWORDS)
    for name, _line, message, _comments, _context in sorted(found, key=lambda row: (row[0], row[1])):
        if isinstance(message, (tuple, list)):
            yield (message[0], message[1]), f"lorabake_tui/{name}", ""
        elif message:
            yield message, f"lorabake_tui/{name}", ""


def _sentences() -> Iterator[Message]:
    for code, sentence in SENTENCES.items():
        for text in sentence:
            if text:
                yield text, "engine/protocol/errors.py", code
    for code, text in SINGULAR.items():
        yield text, "engine/protocol/errors.py", f"{code}, count = 1"


def _parameters() -> Iterator[Message]:
    for field in fields.fields().values():
        for text in (field.title, field.help, field.group, field.unit, field.level):
            if text:
                yield text, "engine/protocol/params.py", field.name


def _presets() -> Iterator[Message]:
    from engine import presets
    from engine.tagging import contracts

    for text in [*presets.translatable(), *contracts.notes()]:
        if text:
            yield text, "presets", ""


def _checks() -> Iterator[Message]:
    """The doctor's words: the constant names, texts and hints of its checks."""
    found: list[str] = []
    for node in ast.walk(ast.parse((ROOT / "engine/doctor.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check":
            found += [
                str(k.value.value) for k in node.keywords if k.arg != "state" and isinstance(k.value, ast.Constant)
            ]
        elif (
            isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        ):
            found += [node.value.value for target in node.targets if getattr(target, "id", "") == "hint"]
    for text in dict.fromkeys(found):
        yield text, "engine/doctor.py", ""


def template() -> Catalog:
    """All messages without translations."""
    catalog = _empty(None)
    for message, place, comment in gather():
        catalog.add(message, locations=[(place, 0)], auto_comments=[comment] if comment else [])
    return catalog


def _empty(language: str | None) -> Catalog:
    return Catalog(
        locale=language,
        domain=DOMAIN,
        project="LoRABake",
        creation_date=_NO_DATE,
        revision_date=_NO_DATE,
        last_translator="LoRABake",
        language_team="LoRABake",
        fuzzy=False,
    )


def po_path(language: str) -> Path:
    """The catalogue that people edit."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def merged(language: str) -> Catalog:
    """The template with the translations that the .po file has; messages that are gone are left out."""
    catalog = _empty(language)
    path = po_path(language)
    known = read_po(io.BytesIO(path.read_bytes()), locale=language) if path.exists() else catalog
    for message in template():
        if not message.id:
            continue
        old = known.get(message.id)
        same_shape = old is not None and isinstance(old.id, str) == isinstance(message.id, str)
        catalog.add(
            message.id,
            old.string if old is not None and same_shape else None,
            locations=message.locations,
            auto_comments=message.auto_comments,
            flags=message.flags,
        )
    return catalog


def po_bytes(catalog: Catalog) -> bytes:
    """The text form, one message per line, places without line numbers."""
    out = io.BytesIO()
    write_po(out, catalog, width=0, include_lineno=False, ignore_obsolete=True)
    return out.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """The compiled form that gettext reads."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def untranslated(catalog: Catalog) -> list[str]:
    """The messages without a translation."""
    missing = []
    for message in catalog:
        strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        if message.id and not all(strings):
            missing.append(message.id if isinstance(message.id, str) else message.id[0])
    return missing


def placeholders(text: str) -> set[str]:
    """The `{names}` and `%` conversions of a template."""
    named = {name for _text, name, _spec, _conversion in string.Formatter().parse(_plain_percent(text)) if name}
    return named | {word for word in ("%s", "%r") if word in text} | _percent_names(text)


def _plain_percent(text: str) -> str:
    return text if "%(" not in text else ""


def _percent_names(text: str) -> set[str]:
    return {part.partition(")")[0] for part in text.split("%(")[1:]}


def main(words: list[str]) -> int:
    """Write the catalogues and tell what is missing; with `--check` only tell, 1 when something is not as written."""
    check = "--check" in words
    stale = False
    for language in LANGUAGES:
        catalog = merged(language)
        po = po_path(language)
        for path, data in ((po, po_bytes(catalog)), (po.with_suffix(".mo"), mo_bytes(catalog))):
            if path.exists() and path.read_bytes() == data:
                continue
            stale = True
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        missing = untranslated(catalog)
        print(f"{language}: {len(catalog)} messages, {len(missing)} without translation")
        for text in missing:
            print(f"  {text}")
        stale = stale or bool(missing)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
