"""Draws one picture by its settings, alone in its batch, so that nothing drawn beside it can change a bit of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch

from engine import __version__
from engine.drawing.encode import encode
from engine.drawing.prompt import pieces
from engine.drawing.samplers import RANDOM, make_sampler
from engine.models.model import DiffusionModel, Frame
from engine.protocol.drawing import SAMPLERS, Shot
from engine.train.device import Compute


@torch.no_grad()
def draw(model: DiffusionModel, base: str, shot: Shot, compute: Compute, tick: Callable[[], None]) -> bytes:
    """The PNG file of a shot, its settings and the name of the base in the text `parameters`. `tick` is called before
    every step.

    The noise is that of the bake's previews: drawn on the processor from the seed.
    """
    sampler = make_sampler(shot.sampler, model.scheduler)
    sampler.set_timesteps(shot.steps, device=model.device)
    generator = torch.Generator().manual_seed(shot.seed)
    factor = model.vae_factor
    channels = int(model.unet.config.in_channels)  # type: ignore[union-attr, arg-type]
    shape = (1, channels, shot.height // factor, shot.width // factor)
    latents = torch.randn(shape, generator=generator).to(model.device) * sampler.init_noise_sigma
    guided = shot.cfg > 1
    texts = [shot.negative, shot.prompt] if guided else [shot.prompt]
    with compute.autocast():
        embedding = encode(model, [pieces(text) for text in texts], shot.clip_skip)
    side = (shot.height, shot.width)
    frames = [Frame(original=side, crop=(0, 0), target=side)] * len(texts)
    options = {"generator": generator} if shot.sampler in RANDOM else {}
    for timestep in sampler.timesteps:
        tick()
        doubled = torch.cat([latents, latents]) if guided else latents
        scaled = sampler.scale_model_input(doubled, timestep).to(model.dtype)
        with compute.autocast():
            predicted = model.predict(scaled, timestep.expand(len(scaled)), embedding, frames).float()
        if guided:
            without, with_words = predicted.chunk(2)
            predicted = without + shot.cfg * (with_words - without)
        latents = sampler.step(predicted, timestep, latents, return_dict=False, **options)[0]
    pixels = (model.decode(latents)[0].permute(1, 2, 0) * 255).round().to("cpu", torch.uint8)
    return _png(pixels, infotext(shot, base))


def _png(pixels: torch.Tensor, text: str) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("parameters", text)
    buffer = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


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
