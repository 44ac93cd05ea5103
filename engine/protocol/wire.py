"""JSON lines: one object per line, UTF-8, no NaN. Encoding, decoding, and the size limits both sides keep.

Knows nothing of what the objects mean (`messages`) or where they are stored (`journal`).
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

MAX_EVENT_BYTES = 64 * 1024
"""No journal line is longer than this."""
MAX_LINE_BYTES = 4 * 1024 * 1024
"""A reader accepts lines up to this length and skips longer ones."""

_encoder = msgspec.json.Encoder()


def encode(message: Any) -> bytes:
    """One line with its newline. msgspec writes a NaN or an infinity as null, which keeps the JSON valid."""
    return _encoder.encode(message) + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """The object on a line, or None when the line is not a JSON object (noise, a torn line, a bare value)."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None


def finite(value: float) -> float | None:
    """`value`, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None
