"""Reads the VAE of a base model, always in fp32: SDXL's overflows in fp16. The families say with which config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from engine.models import folder, ldm, single_file


def from_folder(path: Path) -> AutoencoderKL:
    """That of a diffusers folder; raises ValueError when tensors are missing."""
    return folder.part(AutoencoderKL, path, "vae", torch.float32)


def from_file(path: Path, config: dict[str, Any]) -> AutoencoderKL:
    """That of a single file; raises ValueError when tensors are missing or have another shape."""
    with torch.device("meta"):
        vae = AutoencoderKL(**config)
    single_file.fill(vae, path, lambda name: (ldm.vae_name(name),), torch.float32)
    return vae
