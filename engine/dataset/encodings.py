"""Guesses which encoding a caption that is not UTF-8 was saved in; says nothing rather than something doubtful."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import NamedTuple

_SURE = 0.8
_ACCENTS = 0.4
_PLAIN = frozenset("…—–‘’“”•·「」『』、。，！？：；（）～☆★♪")


class Guess(NamedTuple):
    """An encoding by Python's name, and the text it gives."""

    encoding: str
    text: str


def guess(raw: bytes) -> Guess | None:
    """The likeliest reading of `raw`: UTF-16, Japanese, Chinese, or Western; None when none convinces."""
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if raw.startswith(mark):
            return _read(raw, "utf-16")
    if b"\0" in raw:
        return _unmarked(raw)
    candidates = [
        (score, candidate)
        for encoding, common in (("gb18030", _common_chinese), ("cp932", _common_japanese), ("cp1252", _western))
        if (candidate := _read(raw, encoding)) is not None and (score := _score(candidate.text, common)) >= _SURE
    ]
    # Of equally good readings the first wins: Chinese captions are the commoner ones.
    return max(candidates, key=lambda row: row[0])[1] if candidates else None


def _unmarked(raw: bytes) -> Guess | None:
    """UTF-16 without its mark, where nearly every second byte is zero, as in English tags."""
    pairs = len(raw) // 2
    for encoding, high, low in (("utf-16-le", raw[1::2], raw[::2]), ("utf-16-be", raw[::2], raw[1::2])):
        if len(raw) % 2 == 0 and high.count(0) >= _SURE * pairs and 0 not in low:
            return _read(raw, encoding)
    return None


def _read(raw: bytes, encoding: str) -> Guess | None:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return None
    return Guess(encoding, text) if all(sign.isprintable() or sign in "\r\n\t" for sign in text) else None


def _score(text: str, common: Callable[[str], bool]) -> float:
    odd = [sign for sign in text if ord(sign) > 127]
    if common is _western and len(odd) > _ACCENTS * sum(sign.isalpha() for sign in text):
        return 0.0  # Cyrillic or Greek taken for accents
    return sum(sign in _PLAIN or common(sign) for sign in odd) / len(odd) if odd else 0.0


def _lead(sign: str, encoding: str) -> int:
    try:
        return sign.encode(encoding)[0]
    except UnicodeEncodeError:
        return 0


def _common_chinese(sign: str) -> bool:
    """The 3,755 signs of GB 2312's first level."""
    return 0xB0 <= _lead(sign, "gb2312") <= 0xD7


def _common_japanese(sign: str) -> bool:
    """Kana, and the 2,965 kanji of JIS X 0208's first level."""
    return "\u3040" <= sign <= "\u30ff" or 0x88 <= _lead(sign, "shift_jis") <= 0x97


def _western(sign: str) -> bool:
    return sign.isalpha() and ord(sign) < 0x180
