"""Where LoRABake keeps its files: LORABAKE_HOME, or the user's data folder by the XDG rules.

Only names folders and makes them private; what lies in them belongs to `runs`, `dataset` and `models`.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.protocol.errors import EngineError
from engine.protocol.files import make_private_dir


def home() -> Path:
    """The one folder that everything is kept in (0700). Raises EngineError `home_unwritable`."""
    named = os.environ.get("LORABAKE_HOME", "")
    if named:
        return _made(Path(os.path.expanduser(named)).absolute())
    from platformdirs import user_data_path

    try:
        path = user_data_path("lorabake", appauthor=False).absolute()
    except RuntimeError as error:  # a user without an entry and without HOME, as in some containers
        raise EngineError("home_unwritable", path="~", reason=error) from None
    return _made(path)


def runs_dir() -> Path:
    """One folder per run."""
    return _made(home() / "runs")


def cache_dir() -> Path:
    """Latents, text embeddings and thumbnails by content hash; can be deleted at any time."""
    return _made(home() / "cache")


def models_dir() -> Path:
    """Base models and taggers by name."""
    return _made(home() / "models")


def _made(path: Path) -> Path:
    try:
        return make_private_dir(path)
    except OSError as error:
        raise EngineError("home_unwritable", path=path, reason=error.strerror or error) from None
