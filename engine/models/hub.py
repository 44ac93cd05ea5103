"""Downloads a base model of the catalogue from the Hugging Face hub, with progress, to be cancelled and resumed.

What is missing is decided by `catalogue`; here it is brought to the models folder. The access token, if the machine has
one, is huggingface_hub's own business: it is neither read nor shown here.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import home
from engine.models.vocabulary import find_vocabulary
from engine.presets import Base
from engine.protocol.errors import EngineError

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all, a few times a second; may raise to cancel."""

VOCABULARY = ("openai/clip-vit-large-patch14", ("vocab.json", "merges.txt"))
_SECONDS = 0.5
_MARGIN = 1 << 28
_WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}


def fetch(base: Base, progress: Progress) -> Path:
    """Bring the model to the models folder and return its path; what an earlier attempt brought is not read again.

    A single file where the catalogue names one, and CLIP's vocabulary with it where this machine has none; else the
    needed files of a diffusers repository. Raises EngineError `model_download`, and whatever `progress` raises.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # The other transfer runs in threads of its own, which a cancelled bake could not stop.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    single = bool(base.hub and base.file)
    target = home.models_dir() / (f"{base.name}.safetensors" if single else base.name)
    partial = home.models_dir() / f".{base.name}.part"
    try:
        import huggingface_hub as hub

        wanted = [(base.hub, base.file)] if single else _parts(hub, base.diffusers)
        counter = _Counter(base.bytes, progress)
        if shutil.disk_usage(home.models_dir()).free < base.bytes + _MARGIN - _size(partial):
            raise OSError(28, "not enough space on the disk")
        for repository, file in wanted:
            hub.hf_hub_download(repository, file, local_dir=partial, tqdm_class=counter.bar)
        if single:
            os.replace(partial / base.file, target)
            _vocabulary(hub, target)
        else:
            shutil.rmtree(partial / ".cache", ignore_errors=True)
            os.replace(partial, target)
        shutil.rmtree(partial, ignore_errors=True)
        progress(base.bytes, base.bytes)
    except ImportError:
        raise _failed(base, "huggingface_hub is not installed") from None
    except (OSError, ValueError, RuntimeError) as error:  # its errors, and httpx's, are among these
        raise _failed(base, _reason(error)) from None
    return target


def _parts(hub: Any, repository: str) -> list[tuple[str, str]]:
    """The files of a diffusers repository that a bake reads: configs, tokenizers, one set of weights per part."""
    there = set(hub.HfApi().list_repo_files(repository))
    wanted = [
        file
        for file in sorted(there)
        if file == "model_index.json"
        or file.partition("/")[0] in ("tokenizer", "tokenizer_2", "scheduler")
        or (file.partition("/")[0] in _WEIGHTS and file.endswith("/config.json"))
    ]
    for part, stem in _WEIGHTS.items():
        names = (f"{part}/{stem}.safetensors", f"{part}/{stem}.fp16.safetensors")
        wanted += [name for name in names if name in there][:1]
    return [(repository, file) for file in wanted]


def _vocabulary(hub: Any, model: Path) -> None:
    try:
        find_vocabulary(model)
    except EngineError:
        for file in VOCABULARY[1]:
            hub.hf_hub_download(VOCABULARY[0], file, local_dir=home.models_dir() / "tokenizer")
        shutil.rmtree(home.models_dir() / "tokenizer" / ".cache", ignore_errors=True)


class _Counter:
    """Bytes over all files, told at most twice a second."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done = total, progress, 0
        self._told = 0.0
        counter = self

        class Bar:
            """The part of tqdm's interface that huggingface_hub uses."""

            def __init__(self, *_: Any, initial: float = 0, **options: Any) -> None:
                self.n, self.total = initial, options.get("total")
                counter.add(int(initial))

            def update(self, count: float | None = 1) -> None:
                self.n += count or 0
                counter.add(int(count or 0))

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def __getattr__(self, name: str) -> Callable[..., None]:
                if name.startswith("_"):
                    raise AttributeError(name)
                return lambda *_, **__: None

        self.bar = Bar

    def add(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._told > _SECONDS:
            self._told = time.monotonic()
            self._progress(self._done, max(self._total, self._done))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0


def _failed(base: Base, reason: str) -> EngineError:
    source = base.hub or base.diffusers
    return EngineError("model_download", name=base.name, source=source, reason=reason, models=home.models_dir())


def _reason(error: BaseException) -> str:
    """The first line of what the library says, without anything that looks like a token."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return " ".join("…" if word.strip("'\"").startswith("hf_") else word for word in line.split()).rstrip(".")
