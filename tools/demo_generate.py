"""Generates pictures from a demo-sized base with plain diffusers parts, and draws the contact sheet of 32 prompts.

This is the judge's own sampler, apart from the product's previews, so that it can also judge those.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

from tools.demo_architecture import LATENT, tokenize
from tools.demo_data import draw
from tools.demo_sheet import contact_sheet

SAMPLERS = {
    "ddim": lambda folder: DDIMScheduler.from_pretrained(folder),
    "euler_a": lambda folder: EulerAncestralDiscreteScheduler.from_pretrained(folder),
    "dpm++": lambda folder: DPMSolverMultistepScheduler.from_pretrained(folder, use_karras_sigmas=True),
}


@dataclass
class Base:
    """The parts of a loaded base, fp32 on the CPU."""

    tokenizer: CLIPTokenizer
    text: CLIPTextModel
    vae: AutoencoderKL
    unet: UNet2DConditionModel
    folder: Path


def load_base(folder: Path) -> Base:
    """Load a diffusers folder in fp32."""
    return Base(
        CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval(),
        AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval(),
        UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval(),
        folder,
    )


@torch.no_grad()
def generate(
    base: Base, prompts: list[str], seed: int = 0, steps: int = 20, guidance: float = 4.0, sampler: str = "euler_a"
) -> np.ndarray:
    """uint8 pictures [len(prompts), 64, 64, 3]; picture i starts from noise (seed, i), whatever its neighbours."""
    scheduler = SAMPLERS[sampler](base.folder / "scheduler")
    scheduler.set_timesteps(steps)
    count = len(prompts)
    states = base.text(tokenize(base.tokenizer, prompts + [""] * count)).last_hidden_state
    generators = [torch.Generator().manual_seed(seed * 100_003 + i) for i in range(count)]
    x = torch.stack([torch.randn(4, LATENT, LATENT, generator=g) for g in generators]) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t)
        with_text, without = base.unet(torch.cat([scaled, scaled]), t, states, return_dict=False)[0].chunk(2)
        guess = without + guidance * (with_text - without)
        extra = {"generator": generators} if sampler == "euler_a" else {}
        x = scheduler.step(guess, t, x, return_dict=False, **extra)[0]
    pictures = torch.cat([base.vae.decode(part / base.vae.config.scaling_factor).sample for part in x.split(16)])
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def sheet_prompts(count: int = 32, seed: int = 77) -> list[str]:
    """Full captions of drawings nobody was trained on: what the contact sheet asks for."""
    styles = ("ink", "ink", "ink", "ink", "ink", "voxel", "voxel", "toon")
    return [", ".join(draw(seed, i, styles[i % len(styles)]).tags) for i in range(count)]


def main() -> None:
    """Draw the contact sheet."""
    parser = argparse.ArgumentParser(description="A contact sheet of 32 prompts from the demo base.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", type=Path, default=Path("engine/demo/base"))
    parser.add_argument("--sampler", choices=list(SAMPLERS), default="euler_a")
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--count", type=int, default=32)
    args = parser.parse_args()
    prompts = sheet_prompts(args.count)
    pictures = generate(load_base(args.base), prompts, guidance=args.guidance, sampler=args.sampler)
    contact_sheet([Image.fromarray(p) for p in pictures], prompts, 8, 160).save(args.out)


if __name__ == "__main__":
    main()
