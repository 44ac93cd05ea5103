"""The way from noise to pixels that previews and tests share, and the PNG file that carries its settings.

Which prompts become which embedding, and how a batch is made up, is the caller's business.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.drawing.samplers import RANDOM, make_sampler
from engine.models.model import DiffusionModel, Embedding, Frame
from engine.train.device import Compute


@torch.no_grad()
def denoise(
    model: DiffusionModel,
    embedding: Embedding,
    *,
    seeds: Sequence[int],
    size: tuple[int, int],
    sampler: str,
    steps: int,
    cfg: float,
    compute: Compute,
    tick: Callable[[], None],
) -> Tensor:
    """Latents [len(seeds), C, h, w] of pictures of `size` (width, height in pixels), drawn as one batch.

    `embedding` has the prompts, and before them, where `cfg` is above 1, as many of what is not wanted. The noise of
    each picture is drawn on the processor from its seed. `tick` is called before every step and may raise.
    """
    chosen = make_sampler(sampler, model.scheduler)
    chosen.set_timesteps(steps, device=model.device)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    width, height = size
    channels = int(model.unet.config.in_channels)  # type: ignore[union-attr, arg-type]
    shape = (1, channels, height // model.vae_factor, width // model.vae_factor)
    noise = torch.cat([torch.randn(shape, generator=generator) for generator in generators])
    latents: Tensor = noise.to(model.device) * chosen.init_noise_sigma
    guided = cfg > 1
    frames = [Frame(original=(height, width), crop=(0, 0), target=(height, width))] * len(embedding.hidden)
    options = {"generator": generators} if sampler in RANDOM else {}
    for timestep in chosen.timesteps:
        tick()
        doubled = torch.cat([latents, latents]) if guided else latents
        scaled = chosen.scale_model_input(doubled, timestep).to(model.dtype)
        with compute.autocast():
            predicted = model.predict(scaled, timestep.expand(len(scaled)), embedding, frames).float()
        if guided:
            without, with_words = predicted.chunk(2)
            predicted = without + cfg * (with_words - without)
        latents = chosen.step(predicted, timestep, latents, return_dict=False, **options)[0]
    return latents


@torch.no_grad()
def png(model: DiffusionModel, latent: Tensor, text: str) -> bytes:
    """The PNG file of one picture's latents [C, h, w], with `text` where A1111 and its relatives look for settings."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    # Decoded alone, so that nothing drawn beside it can change a bit of it.
    pixels = (model.decode(latent[None])[0].permute(1, 2, 0) * 255).round().to("cpu", torch.uint8)
    info = PngInfo()
    info.add_itxt("parameters", text)
    buffer = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
