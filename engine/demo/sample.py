"""A person's own copy of the sample dataset: what is tried on it stays out of the installed files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from engine.demo.paths import DATASET
from engine.home import home
from engine.protocol.errors import EngineError


def own_sample() -> Path:
    """The copy in LoRABake's home, made when it is first asked for. Raises EngineError `home_unwritable`."""
    copy = home() / "sample"
    if copy.is_dir():
        return copy
    try:
        with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".sample-") as made:
            whole = Path(made) / "dataset"
            shutil.copytree(DATASET, whole, ignore=shutil.ignore_patterns(".lorabake"))
            os.rename(whole, copy)
    except OSError as error:
        if not copy.is_dir():  # another viewer may have been faster
            raise EngineError("home_unwritable", path=copy, reason=error.strerror or error) from None
    return copy
