"""About how many tokens CLIP makes of a caption, without its vocabulary.

Words are cut as CLIP's tokenizer cuts them; how many pieces a word becomes is estimated from its length.
"""

from __future__ import annotations

import math
import re

_PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)\b|[^\W\d_]+|\d|(?:[^\w\s]|_)+", re.IGNORECASE)
"""CLIP's own pattern: runs of letters, single digits, runs of other signs (the underscore is one of these)."""
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WORD = 8
"""Common English words of up to this many letters are one token; longer ones are cut about every six."""


def about_tokens(text: str) -> int:
    """The estimated number of tokens, start and end not counted; right within about a tenth for English tags."""
    return sum(_of_piece(piece) for piece in _PIECES.findall(text))


def _of_piece(piece: str) -> int:
    wide = len(_WIDE.findall(piece))
    rest = len(piece) - wide
    # A Chinese, Japanese or Korean sign is three bytes, and few of them were merged when CLIP was trained.
    tokens = 2 * wide
    if rest:
        tokens += 1 if rest <= _WORD or not piece[0].isalpha() else math.ceil(rest / 6)
    return tokens
