"""How long work on many files tells how far it is, and learns that it shall end."""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[int, int], None]
"""Told (done, total) after every file; may raise EngineError `cancelled`, which ends the work between two files."""


def silent(done: int, total: int) -> None:
    """For callers that want to hear nothing."""
