"""Draws previews with the weights in training: four pictures in one batch, seeds fixed over all epochs.

Which prompts, when, and where the files go is the loop's business.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from engine.drawing.samplers import RANDOM, make_sampler
from engine.models.model import DiffusionModel, Embedding, Frame
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
    sampler = make_sampler(params.preview_sampler, model.scheduler)
    sampler.set_timesteps(params.preview_steps, device=model.device)
    generators = [torch.Generator().manual_seed(picture.seed) for picture in wanted]
    cells = side // model.vae_factor
    shape = (1, int(model.unet.config.in_channels), cells, cells)  # type: ignore[union-attr, arg-type]
    noise = torch.cat([torch.randn(shape, generator=g) for g in generators])
    latents = noise.to(model.device) * sampler.init_noise_sigma
    frame = Frame(original=(side, side), crop=(0, 0), target=(side, side))
    prompts = [picture.prompt for picture in wanted]
    guided = params.preview_cfg > 1
    with compute.autocast():
        embedding = words([params.preview_negative] * len(wanted) + prompts if guided else prompts)
    frames = [frame] * len(embedding.hidden)
    was_training = model.unet.training
    model.unet.eval()
    try:
        for timestep in sampler.timesteps:
            tick()
            doubled = torch.cat([latents, latents]) if guided else latents
            scaled = sampler.scale_model_input(doubled, timestep).to(model.dtype)
            with compute.autocast():
                predicted = model.predict(scaled, timestep.expand(len(scaled)), embedding, frames).float()
            if guided:
                without, with_words = predicted.chunk(2)
                predicted = without + params.preview_cfg * (with_words - without)
            options = {"generator": generators} if params.preview_sampler in RANDOM else {}
            latents = sampler.step(predicted, timestep, latents, return_dict=False, **options)[0]
        return [_png(model, latent, picture, params) for latent, picture in zip(latents, wanted, strict=True)]
    finally:
        model.unet.train(was_training)


def _png(model: DiffusionModel, latent: torch.Tensor, picture: Picture, params: BakeParams) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    pixels = (model.decode(latent[None])[0].permute(1, 2, 0) * 255).round().to("cpu", torch.uint8)
    image = Image.fromarray(pixels.numpy())
    info = PngInfo()
    info.add_itxt("parameters", _infotext(picture, params, image.size))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _infotext(picture: Picture, params: BakeParams, size: tuple[int, int]) -> str:
    """The settings in the form that A1111 and its relatives read out of a picture."""
    negative = f"Negative prompt: {params.preview_negative}\n" if params.preview_negative else ""
    return (
        f"{picture.prompt}\n{negative}Steps: {params.preview_steps}, Sampler: {SAMPLERS[params.preview_sampler]}, "
        f"CFG scale: {params.preview_cfg:g}, Seed: {picture.seed}, Size: {size[0]}x{size[1]}, "
        f"Clip skip: {params.clip_skip}"
    )
