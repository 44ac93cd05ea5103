"""Writes what the training bench trains on: a full-size SD 1.5 of random numbers, and five pictures of noise.

    python -m tools.bench._random_base FOLDER

Half precision on disk, as such models are shipped. The words are the demo's; a real vocabulary would cost the same.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.modeling_utils import no_init_weights
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image
from torch import nn
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel

from engine.demo.paths import BASE
from engine.models.families.sd15 import FILE_CONFIGS

PICTURES, SIDE = 5, 256


def random_base(folder: Path) -> None:
    """A diffusers folder of SD 1.5's shapes with small random weights; 2 GB."""
    generator = torch.Generator().manual_seed(0)
    with no_init_weights():
        _write(UNet2DConditionModel(**FILE_CONFIGS["unet"]), folder / "unet", generator)
        _write(AutoencoderKL(**FILE_CONFIGS["vae"]), folder / "vae", generator)
        _write(CLIPTextModel(CLIPTextConfig(**FILE_CONFIGS["text_encoder"])), folder / "text_encoder", generator)
    (folder / "scheduler").mkdir()
    scheduler = FILE_CONFIGS["scheduler"] | {"_class_name": "DDIMScheduler"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    shutil.copytree(BASE / "tokenizer", folder / "tokenizer")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps(index))


@torch.no_grad()
def _write(module: nn.Module, folder: Path, generator: torch.Generator) -> None:
    for name, tensor in module.named_parameters():
        if "norm" in name and name.endswith("weight"):
            tensor.fill_(1.0)
        else:
            tensor.normal_(0.0, 0.02, generator=generator)
    module.half().save_pretrained(folder)  # type: ignore[operator]


def pictures(folder: Path) -> None:
    """A kohya folder `1_noise` of PNG and caption pairs."""
    inner = folder / "1_noise"
    inner.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = chance.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(inner / f"{number}.png")
        (inner / f"{number}.txt").write_text(f"1girl, noise {number}")


if __name__ == "__main__":
    random_base(Path(sys.argv[1]) / "base")
    pictures(Path(sys.argv[1]) / "dataset")
