"""The user's own editor on a piece of text, with the app standing aside meanwhile."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported


def edit_text(app: App[Any], text: str, *, suffix: str) -> str | None:
    """The text after $VISUAL or $EDITOR (vi without them) was closed; None when none could be run.

    The editor works on a private copy; whoever asked writes the result where it belongs.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="lorabake-") as folder:
        copy = Path(folder) / f"text{suffix}"
        copy.write_text(text, encoding="utf-8")
        try:
            with app.suspend():
                done = subprocess.run([*command, str(copy)], check=False)
        except (SuspendNotSupported, OSError):
            return None
        if done.returncode != 0:
            return None
        edited = copy.read_text(encoding="utf-8", errors="replace")
    # Editors end the last line; a caption that had no end of line keeps having none.
    return edited if text.endswith("\n") else edited.removesuffix("\n")
