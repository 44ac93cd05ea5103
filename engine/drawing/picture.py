"""Draws one picture by its settings, alone in its batch, so that nothing drawn beside it can change a bit of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from engine import __version__
from engine.drawing.denoise import denoise, png
from engine.drawing.encode import encode
from engine.drawing.prompt import pieces
from engine.models.model import DiffusionModel
from engine.protocol.drawing import SAMPLERS, Shot
from engine.train.device import Compute


@torch.no_grad()
def draw(model: DiffusionModel, base: str, shot: Shot, compute: Compute, tick: Callable[[], None]) -> bytes:
    """The PNG file of a shot, its settings and the name of the base in the text `parameters`. `tick` is called before
    every step."""
    texts = [shot.negative, shot.prompt] if shot.cfg > 1 else [shot.prompt]
    with compute.autocast():
        embedding = encode(model, [pieces(text) for text in texts], shot.clip_skip)
    latents = denoise(
        model,
        embedding,
        seeds=[shot.seed],
        size=(shot.width, shot.height),
        sampler=shot.sampler,
        steps=shot.steps,
        cfg=shot.cfg,
        compute=compute,
        tick=tick,
    )
    return png(model, latents[0], infotext(shot, base))


def infotext(shot: Shot, base: str) -> str:
    """The settings as A1111 and its relatives read them out of a picture; LoRAs stand in the prompt, as there."""
    tags = "".join(f"<lora:{lora.name}:{_weights(lora.weight, lora.te_weight)}>" for lora in shot.loras)
    prompt = f"{shot.prompt} {tags}".strip()
    rows = [
        f"Steps: {shot.steps}",
        f"Sampler: {SAMPLERS[shot.sampler]}",
        f"CFG scale: {shot.cfg:g}",
        f"Seed: {shot.seed}",
        f"Size: {shot.width}x{shot.height}",
        f"Model: {Path(base).name.removesuffix('.safetensors')}",
        f"Clip skip: {shot.clip_skip}",
    ]
    if shot.loras:
        hashes = ", ".join(f"{lora.name}: {lora.sha256[:12]}" for lora in shot.loras)
        rows.append(f'Lora hashes: "{hashes}"')
    rows.append(f"Version: LoRABake {__version__}")
    negative = f"Negative prompt: {shot.negative}\n" if shot.negative else ""
    return f"{prompt}\n{negative}{', '.join(rows)}"


def _weights(weight: float, te_weight: float | None) -> str:
    return f"{weight:g}" if te_weight is None else f"{te_weight:g}:{weight:g}"
