"""Draws previews with the weights in training: four pictures in one batch, seeds fixed over all epochs.

Which prompts, when, and where the files go is the loop's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from engine.drawing.denoise import denoise, png
from engine.models.model import DiffusionModel, Embedding
from engine.protocol.drawing import SAMPLERS
from engine.protocol.params import BakeParams
from engine.train.device import Compute

_PROMPT_LENGTH = 2000


@dataclass(frozen=True)
class Picture:
    """What to draw: a prompt and the seed of its noise."""

    prompt: str
    seed: int


def pictures(params: BakeParams, captions: Sequence[str], count: int = 4) -> list[Picture]:
    """The previews of every epoch: `preview_prompt`, or the captions of the first images; seed + 1, + 2, …"""
    prompts = [params.preview_prompt] if params.preview_prompt.strip() else list(captions[:count]) or [""]
    return [Picture(prompts[i % len(prompts)][:_PROMPT_LENGTH], params.seed + i + 1) for i in range(count)]


@torch.no_grad()
def draw(
    model: DiffusionModel,
    wanted: Sequence[Picture],
    words: Callable[[Sequence[str]], Embedding],
    params: BakeParams,
    compute: Compute,
    tick: Callable[[], None],
) -> list[bytes]:
    """PNG files of the pictures, drawn as one batch. `tick` is called before every denoising step and may raise."""
    side = max(model.size_multiple, params.resolution // model.size_multiple * model.size_multiple)
    prompts = [picture.prompt for picture in wanted]
    negatives = [params.preview_negative] * len(wanted) if params.preview_cfg > 1 else []
    with compute.autocast():
        embedding = words(negatives + prompts)
    was_training = model.unet.training
    model.unet.eval()
    try:
        latents = denoise(
            model,
            embedding,
            seeds=[picture.seed for picture in wanted],
            size=(side, side),
            sampler=params.preview_sampler,
            steps=params.preview_steps,
            cfg=params.preview_cfg,
            compute=compute,
            tick=tick,
        )
        return [
            png(model, latent, _infotext(picture, params, (side, side)))
            for latent, picture in zip(latents, wanted, strict=True)
        ]
    finally:
        model.unet.train(was_training)


def _infotext(picture: Picture, params: BakeParams, size: tuple[int, int]) -> str:
    """The settings in the form that A1111 and its relatives read out of a picture."""
    negative = f"Negative prompt: {params.preview_negative}\n" if params.preview_negative else ""
    return (
        f"{picture.prompt}\n{negative}Steps: {params.preview_steps}, Sampler: {SAMPLERS[params.preview_sampler]}, "
        f"CFG scale: {params.preview_cfg:g}, Seed: {picture.seed}, Size: {size[0]}x{size[1]}, "
        f"Clip skip: {params.clip_skip}"
    )
