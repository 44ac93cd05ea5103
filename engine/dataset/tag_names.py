"""How tags compare: opaque text that is never changed, and the form in which two spellings of one tag are equal.

Splitting and joining captions is in `captions`.
"""

from __future__ import annotations

import re
from functools import lru_cache

_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What would end a line or a file's encoding; everything else may stand in a tag."""
_ESCAPED = re.compile(r"\\([()\[\]\\])")

KAOMOJI = frozenset(
    [
        "0_0",
        "(o)_(o)",
        "+_+",
        "+_-",
        "._.",
        "<o>_<o>",
        "<|>_<|>",
        "=_=",
        ">_<",
        "3_3",
        "6_9",
        ">_o",
        "@_@",
        "^_^",
        "o_o",
        "u_u",
        "x_x",
        "|_|",
        "||_||",
    ]
)
"""Tags whose underscore is no space (the taggers' own list)."""


@lru_cache(maxsize=1 << 16)
def key_of(tag: str, *, trimmed: bool = True) -> str:
    """The form in which spellings of a tag are equal: any case, underscores as spaces, prompt escapes undone."""
    text = tag.casefold()
    if "\\" in text:
        text = _ESCAPED.sub(r"\1", text)
    if "_" in text and text not in KAOMOJI:
        text = text.replace("_", " ")
    return text.strip() if trimmed else text


def escaped(tag: str) -> str:
    """A tag for a prompt box, where parentheses weigh and a backslash takes that from them."""
    return re.sub(r"([\\()\[\]])", r"\\\1", tag)


def clean(text: str) -> list[str]:
    """The tags in what a person typed or a tagger said: split at commas, one line, trimmed, none empty."""
    return [tag for part in _BREAKS.sub(" ", text).split(",") if (tag := part.strip())]
