"""Text of users made safe for a terminal: control characters shown instead of sent, widths counted in cells.

Every caption, file name, prompt and log line passes through here before it is painted.
"""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size

_C0 = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡", 0x0A: "⏎", 0x0D: "␍", 0x09: "⇥"}
_C1 = {code: f"⟨{code:02x}⟩" for code in range(0x80, 0xA0)}
# Marks that reorder or hide what stands beside them, and halves of surrogate pairs, which no terminal can print.
_HIDDEN = re.compile(
    "[\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_CONTROLS = {**_C0, **_C1}
_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60"
_OPENING, _CLOSING = "（《「“", "，。；：、！？）》」”"
# A word or a wide character with the punctuation that must not be parted from it, or a stretch of spaces.
_PIECES = re.compile(
    rf"[{_OPENING}]+[^\s{_WIDE}]+[{_CLOSING}]*|[{_OPENING}]*[{_WIDE}][{_CLOSING}]*|[^\s{_WIDE}]+[{_CLOSING}]*|\s+"
)


def plain(text: str) -> str:
    """`text` on one line with every control, direction and invisible character replaced by a visible sign."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(lambda match: f"⟨{ord(match[0]):x}⟩", text.translate(_CONTROLS))


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells: cut with an ellipsis, or padded on the right (the left when `right`)."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        text = clip(text, width)
        length = cell_len(text)
    space = " " * (width - length)
    return space + text if right else text + space


def clip(text: str, width: int) -> str:
    """`text` in at most `width` cells, ending in an ellipsis where something was cut off."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    if width == 1:
        return "…"
    # set_cell_size pads a double-width character cut in two with a space, which would stand before the ellipsis.
    cut = set_cell_size(text, width - 1).rstrip()
    head, space, tail = cut.rpartition(" ")
    # Better no part of a word than half of one, where that does not cost much of the line.
    if space and len(tail) <= max(3, width // 3) and text[len(cut) : len(cut) + 1].strip():
        cut = head.rstrip(" ,;:·")
    return cut + "…"


def wrap(text: str, width: int) -> list[str]:
    """`text` broken into lines of at most `width` cells: at spaces, and anywhere between wide characters."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for piece in _PIECES.findall(paragraph):
            if cell_len(line) + cell_len(piece.rstrip()) <= width:
                line += piece
                continue
            if line.strip():
                lines.append(line.rstrip())
            line = piece.lstrip()
            while cell_len(line) > width:
                # At least one character, also where a wide one does not fit.
                head = set_cell_size(line, width).rstrip() or line[0]
                lines.append(head)
                line = line[len(head) :]
        lines.append(line.rstrip())
    return lines


def restore(shown: str, original: str) -> str:
    """`shown`, edited from `plain(original)`, with the visible signs turned back into the characters they stood for."""
    for character in set(original):
        sign = plain(character)
        if sign != character and sign not in original:
            shown = shown.replace(sign, character)
    return shown
