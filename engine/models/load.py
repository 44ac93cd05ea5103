"""Loads a base model that `sniff` has recognised, offline and without a word on the console."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import warnings
from pathlib import Path
from typing import cast

import torch

from engine.libraries import importing
from engine.models.convolution import ease
from engine.models.model import DiffusionModel, Source
from engine.models.sniff import sniff, weights_of
from engine.models.vocabulary import find_vocabulary
from engine.protocol.errors import EngineError


def load_model(
    path: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    prediction_type: str = "",
    zero_terminal_snr: bool | None = None,
) -> DiffusionModel:
    """The model at `path` with frozen weights in `dtype` on `device` (the VAE in fp32: SDXL's overflows in fp16).

    `prediction_type` ("epsilon" | "v_prediction") and `zero_terminal_snr` overrule what the model says of itself.
    Raises EngineError `model_not_base`, `model_unsupported`, `model_broken` or `vocabulary_missing`.
    """
    found = sniff(path)
    vocabulary = find_vocabulary(path) if found.layout == "file" else None
    _silence()
    try:
        with importing():
            family = importlib.import_module(f"engine.models.families.{found.family}")
        if vocabulary is not None:
            model = cast(DiffusionModel, family.load_file(Source(path, device, dtype, {}), vocabulary))
        else:
            model = cast(
                DiffusionModel, family.load_folder(Source(path, device, dtype, _scheduler(path), vae_hash(path)))
            )
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # the libraries raise what they like, bare Exception included
        raise EngineError("model_broken", path=path, reason=_first_line(error)) from error
    ease(model.unet)
    model.scheduler["prediction_type"] = prediction_type or found.prediction_type
    model.scheduler["rescale_betas_zero_snr"] = (
        found.zero_terminal_snr if zero_terminal_snr is None else zero_terminal_snr
    )
    return model


def vae_hash(path: Path) -> str:
    """A hash over the VAE's weights in a folder and its config; part of every latent's cache key."""
    digest = hashlib.sha256()
    config = json.loads((path / "vae" / "config.json").read_bytes())
    digest.update(json.dumps(config, sort_keys=True).encode())
    with open(weights_of(path, "vae"), "rb") as handle:
        digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def _scheduler(path: Path) -> dict[str, object]:
    config = json.loads((path / "scheduler" / "scheduler_config.json").read_bytes())
    if not isinstance(config, dict):
        raise ValueError("scheduler_config.json is not an object")
    return config


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _silence() -> None:
    # Both libraries read these at import; their progress bars would fill console.log.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", module=r"(diffusers|transformers|peft|huggingface_hub)\b")
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
