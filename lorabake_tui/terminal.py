"""What must be settled before Textual is imported: its environment switches, for links that are slow or odd."""

from __future__ import annotations

import os

MINIMUM = (60, 16)
"""Columns and rows below which the app only says that it needs more room."""


def prepare() -> None:
    """Set Textual's switches, unless the user has set them."""
    os.environ.setdefault("TEXTUAL_FPS", "30")
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    # iTerm2 drops text composed by an input method while a program reads all keys in kitty's way.
    iterm = "iTerm" in os.environ.get("TERM_PROGRAM", "") + os.environ.get("LC_TERMINAL", "")
    if iterm and "TMUX" not in os.environ:
        os.environ.setdefault("TEXTUAL_DISABLE_KITTY_KEY", "1")
