"""Reads one part of a diffusers folder with nothing missing, and puts a part in place, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from diffusers.models.modeling_utils import no_init_weights
from torch import nn

from engine.models import single_file
from engine.models.sniff import weights_of

M = TypeVar("M", bound=nn.Module)


def part(kind: type[M], path: Path, name: str, dtype: torch.dtype) -> M:
    """The part `name` of the folder `path` as a model of class `kind` in `dtype`.

    Raises ValueError when tensors are missing: both libraries would go on with random numbers in their place.
    """
    if name.startswith("text_encoder"):
        return _text_encoder(kind, path, name, dtype)
    if name == "unet":
        return _unet(kind, path, dtype)
    module, info = kind.from_pretrained(  # type: ignore[attr-defined]
        path / name,
        torch_dtype=dtype,
        variant="fp16" if ".fp16." in weights_of(path, name).name else None,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"{name} lacks {len(missing)} tensors ({missing[0]})")
    found: M = module
    return found


def _unet(kind: type[M], path: Path, dtype: torch.dtype) -> M:
    # diffusers maps the file: its pages would lie in memory beside the converted weights, and each is a page fault.
    config = kind.load_config(path / "unet", local_files_only=True)  # type: ignore[attr-defined]
    with torch.device("meta"):
        module: M = kind.from_config(config)  # type: ignore[attr-defined]
    single_file.fill(module, weights_of(path, "unet"), lambda name: (name,), dtype)
    return module


def _text_encoder(kind: type[M], path: Path, name: str, dtype: torch.dtype) -> M:
    # transformers' from_pretrained builds on the meta device, where torch needs a second of symbolic algebra.
    config = kind.config_class.from_pretrained(path / name, local_files_only=True)  # type: ignore[attr-defined]
    with no_init_weights():
        module: M = kind._from_config(config, dtype=dtype, attn_implementation="sdpa")  # type: ignore[attr-defined]
    single_file.fill(module, weights_of(path, name), _text_names, dtype)
    return module


def _text_names(name: str) -> tuple[str, ...]:
    # Older releases of transformers wrote one level more.
    return name, f"text_model.{name}", name.removeprefix("text_model.")


def frozen(module: M, device: torch.device, *, convolutions: bool = False) -> M:
    """The part on the device, without gradients and dropout; `convolutions` marks a U-Net."""
    # Channels last is what tensor cores want; on a processor it only costs conversions (measured: 10 %).
    last = convolutions and device.type == "cuda"
    layout = torch.channels_last if last else torch.preserve_format
    return module.requires_grad_(False).eval().to(device, memory_format=layout)  # type: ignore[call-overload, no-any-return]
