"""How noisy each timestep is and how much its loss counts. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def alphas_cumprod(scheduler: Mapping[str, Any]) -> Tensor:
    """ᾱ_t for t = 0 … T−1 in fp32, from the fields of a diffusers scheduler_config.json.

    With `rescale_betas_zero_snr` the table is the rescaled one (Lin et al. 2023, algorithm 1), so everything
    derived from it is too.
    """
    count = int(scheduler.get("num_train_timesteps", 1000))
    start, end = float(scheduler.get("beta_start", 0.00085)), float(scheduler.get("beta_end", 0.012))
    kind = scheduler.get("beta_schedule", "scaled_linear")
    if scheduler.get("trained_betas") is not None:
        betas = torch.tensor(scheduler["trained_betas"], dtype=torch.float64)
    elif kind == "scaled_linear":
        betas = torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    elif kind == "linear":
        betas = torch.linspace(start, end, count, dtype=torch.float64)
    else:
        raise ValueError(f"the noise schedule {kind} is not known")
    cumulative = torch.cumprod(1 - betas, dim=0)
    if scheduler.get("rescale_betas_zero_snr"):
        root = cumulative.sqrt()
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        cumulative = root**2
    return cumulative.float()


def snr(alphas: Tensor) -> Tensor:
    """Signal-to-noise ratio ᾱ / (1 − ᾱ) per timestep."""
    return alphas / (1 - alphas)


def min_snr(ratio: Tensor, gamma: float, prediction: str) -> Tensor:
    """Min-SNR weights (Hang et al. 2023): `min(SNR, γ) / SNR` for epsilon, `min(SNR, γ) / (SNR + 1)` for v."""
    clipped = ratio.clamp(max=gamma)
    if prediction == "v_prediction":
        return clipped / (ratio + 1)
    # SNR is 0 at the last timestep of a zero-terminal-SNR schedule; the limit of the quotient is 1.
    return torch.where(ratio > 0, clipped / ratio.clamp(min=torch.finfo(ratio.dtype).tiny), 1.0)
