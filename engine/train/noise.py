"""The noise that is added to latents, one sample at a time. Pure functions of tensors and a generator."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def plain(shape: tuple[int, int, int], generator: Generator) -> Tensor:
    """Standard normal noise [C, h, w]."""
    return torch.randn(shape, generator=generator)


def with_offset(noise: Tensor, strength: float | Tensor, generator: Generator) -> Tensor:
    """`n + k · N(0, 1)` per channel: shifts whole channels, so that very dark and very bright become possible.

    `strength` k is a number or [C, 1, 1].
    """
    return noise + strength * torch.randn((noise.shape[0], 1, 1), generator=generator)


def adaptive_strength(strength: float, scale: float, latent: Tensor) -> Tensor:
    """The offset's strength by channel [C, 1, 1], `max(0, k + s · |mean of the channel|)`, as in kohya."""
    return (strength + scale * latent.mean(dim=(1, 2), keepdim=True).abs()).clamp(min=0)


def random_share(generator: Generator) -> float:
    """A strength of its own for every sample, uniform in 0 … 1."""
    return float(torch.rand((), generator=generator))


def perturbed(noise: Tensor, gamma: float, generator: Generator) -> Tensor:
    """`n + γ · N(0, 1)`: what the model sees in place of n, which stays its target (Ning et al. 2023, “Input
    Perturbation Reduces Exposure Bias in Diffusion Models”)."""
    return noise + gamma * torch.randn(noise.shape, generator=generator)


def pyramid(noise: Tensor, iterations: int, discount: float, generator: Generator) -> Tensor:
    """Multires noise as in kohya (custom_train_functions.py, after wandb's "multi-resolution noise").

    For i = 0, 1, …: r ~ U(2, 4), add `discount^i` × bilinearly enlarged noise of size (h / r^i, w / r^i), and
    stop at one cell. The sum is divided by its own standard deviation. Layer 0 is a second draw at full size.
    """
    _, height, width = noise.shape
    total = noise
    for i in range(iterations):
        ratio = float(torch.rand((), generator=generator)) * 2 + 2
        h, w = max(1, int(height / ratio**i)), max(1, int(width / ratio**i))
        layer = torch.randn((1, noise.shape[0], h, w), generator=generator)
        total = total + torch.nn.functional.interpolate(layer, (height, width), mode="bilinear")[0] * discount**i
        if h == 1 or w == 1:
            break
    return total / total.std()


def add_noise(latents: Tensor, noise: Tensor, alphas_cumprod: Tensor, timesteps: Tensor) -> Tensor:
    """`√ᾱ_t · x + √(1 − ᾱ_t) · n` for a batch [B, C, h, w] (Ho et al. 2020, eq. 4)."""
    alpha = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise


def velocity(latents: Tensor, noise: Tensor, alphas_cumprod: Tensor, timesteps: Tensor) -> Tensor:
    """The target of v-prediction, `√ᾱ_t · n − √(1 − ᾱ_t) · x` (Salimans & Ho 2022)."""
    alpha = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
