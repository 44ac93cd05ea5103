"""How noisy each timestep is and how much its loss counts. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.protocol.params import BakeParams

_LARGEST_SNR = 1000.0
"""Beyond it a picture is as good as free of noise."""


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


def debiased(ratio: Tensor, prediction: str, *, kohya: bool = False) -> Tensor:
    """Debiased estimation (Yu et al. 2023, “Unmasking Bias in Diffusion Model Training”): `1 / √SNR` on the epsilon
    loss, SNR at most 1000.

    For v the same loss in other words: ε's error is ᾱ = SNR / (SNR + 1) of v's, so the weight is
    `√SNR / (SNR + 1)`. kohya has 1 / (SNR + 1) there.
    """
    clipped = ratio.clamp(max=_LARGEST_SNR)
    if prediction != "v_prediction":
        return clipped.rsqrt()
    if kohya:
        return 1 / (clipped + 1)
    return torch.where(ratio > 0, ratio / (ratio + 1) * clipped.rsqrt(), 0.0)


def as_noise_loss(ratio: Tensor) -> Tensor:
    """What turns the squared error of v into that of epsilon: ᾱ = `SNR / (SNR + 1)`."""
    return ratio / (ratio + 1)


def loss_weights(params: BakeParams, alphas: Tensor, uncorrected: Tensor, prediction: str) -> Tensor:
    """How much the loss of each timestep counts [T], all weights that `params` asks for multiplied.

    `alphas` is the schedule that is trained on. kohya computes its weights before it corrects the schedule for zero
    terminal SNR: with `kohya_compat` they come from `uncorrected`.
    """
    kohya = params.kohya_compat
    ratio = snr(uncorrected if kohya else alphas)
    weights = torch.ones_like(ratio)
    if params.min_snr_gamma:
        weights = weights * min_snr(ratio, params.min_snr_gamma, prediction)
    if params.debiased_estimation:
        weights = weights * debiased(ratio, prediction, kohya=kohya)
    share = as_noise_loss(ratio.clamp(max=_LARGEST_SNR) if kohya else ratio)
    if params.scale_v_pred_loss and prediction == "v_prediction":
        weights = weights * share
    if params.v_pred_like_loss and prediction != "v_prediction":
        weights = weights * (1 + params.v_pred_like_loss / share)
    # At SNR 0 an epsilon model sees its own answer, which tells nothing of the picture: no weight instead of ∞.
    return torch.where(weights.isfinite(), weights, 0.0)
