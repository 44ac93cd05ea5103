"""Finds CLIP's vocabulary on this machine, which single-file checkpoints lack; torch-free, and never asks a network."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path

from engine import home
from engine.protocol.errors import EngineError

_WORDS = 49408
_MARKS = {"<|startoftext|>": 49406, "<|endoftext|>": 49407}


def find_vocabulary(model: Path) -> Path:
    """A folder with CLIP's own vocab.json and merges.txt, to go with the file `model`.

    Looks beside the file, in the models folder and its diffusers models, then in Hugging Face's cache. Raises
    EngineError `vocabulary_missing`.
    """
    for folder in _places(model):
        vocab = folder / "vocab.json"
        try:
            if _is_clip(str(folder), vocab.stat().st_mtime_ns):
                return folder
        except OSError:
            continue
    raise EngineError("vocabulary_missing", path=model, models=home.models_dir())


def _places(model: Path) -> Iterator[Path]:
    yield model.parent / "tokenizer"
    models = home.models_dir()
    yield models / "tokenizer"
    for folder in sorted(models.iterdir()):
        yield folder
        yield folder / "tokenizer"
    cache = hub_cache()
    yield from sorted(cache.glob("models--openai--clip-vit-large-patch14/snapshots/*"))
    yield from sorted(cache.glob("models--*/snapshots/*/tokenizer"))


def hub_cache() -> Path:
    """Where huggingface_hub keeps what was downloaded through it."""
    # The order in which huggingface_hub reads its variables.
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return Path(os.path.expanduser(named))
    base = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.path.expanduser(base)) / "hub"


@functools.lru_cache(maxsize=64)
def _is_clip(folder: str, _changed: int) -> bool:
    """Whether these are CLIP's words, of which SD 1.5 reads the numbers: another tokenizer would train nonsense."""
    try:
        words = json.loads((Path(folder) / "vocab.json").read_bytes())
        merges = (Path(folder) / "merges.txt").read_bytes().splitlines()
    except (OSError, ValueError):
        return False
    if not isinstance(words, dict) or len(words) != _WORDS or any(words.get(w) != n for w, n in _MARKS.items()):
        return False
    # 256 bytes, each also at the end of a word, one word per merge, two marks; the first line is a comment.
    return len(merges) > _WORDS - len(_MARKS) - 2 * 256
