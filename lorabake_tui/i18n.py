"""The language of the words a person sees: gettext catalogues, chosen by LORABAKE_LANG or the locale.

Catalogues are made by `make locale`; marking a string is `_("…")` where it is used, `N_("…")` where it is stored.
"""

from __future__ import annotations

import gettext
import os
from pathlib import Path

from engine.protocol.errors import SENTENCES, ErrorInfo, fill, message_of

LOCALE_DIR = Path(__file__).parent / "locale"
LANGUAGES = {"en": "English", "zh_CN": "简体中文"}

_catalogue: gettext.NullTranslations = gettext.NullTranslations()
_current = "en"


def preferred() -> str:
    """The language asked for by LORABAKE_LANG, else by the locale variables; English when it is none of ours."""
    for variable in ("LORABAKE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "")
        if value:
            return "zh_CN" if value.lower().startswith("zh") else "en"
    return "en"


def use(language: str) -> None:
    """Speak `language` (a key of `LANGUAGES`) from now on."""
    global _catalogue, _current
    _current = language if language in LANGUAGES else "en"
    _catalogue = gettext.translation("lorabake", LOCALE_DIR, languages=[_current], fallback=True)


def current() -> str:
    """The language in use."""
    return _current


def _(text: str) -> str:
    """`text` in the current language."""
    return _catalogue.gettext(text) if text else ""


def N_(text: str) -> str:
    """Marks a string for translation where it is stored; translate it with `_` where it is shown."""
    return text


def ngettext(one: str, many: str, count: int) -> str:
    """`one` or `many` by the plural rule of the current language."""
    return _catalogue.ngettext(one, many, count)


def told(error: ErrorInfo) -> tuple[str, str]:
    """Message and hint of an engine error in the current language."""
    sentence = SENTENCES.get(error.code)
    if sentence is None:
        return error.message, error.hint
    return fill(_(message_of(error.code, error.args)), error.args), fill(_(sentence.hint), error.args)
