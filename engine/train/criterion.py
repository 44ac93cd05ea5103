"""How far an answer is from its target, and what part of the picture counts. Pure functions.

How much a timestep counts is `weighting`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.protocol.params import BakeParams, LossType


def thresholds(params: BakeParams, alphas: Tensor) -> Tensor:
    """The threshold c of the pseudo-Huber losses at each timestep [T] (Khrapov et al. 2024, “Improving Diffusion
    Models's Data-Corruption Resistance using Scheduled Pseudo-Huber Loss”).

    With C = huber_c, s = huber_scale, σ² = (1 − ᾱ) / ᾱ: constant is s·C; exponential s·C^(t / T), from 1 down to C;
    snr s·((1 − C) / (1 + σ)² + C). kohya leaves s out of the last.
    """
    count, c, scale = len(alphas), params.huber_c, params.huber_scale
    if params.huber_schedule == "constant":
        return torch.full_like(alphas, c * scale)
    if params.huber_schedule == "exponential":
        share = torch.arange(count, device=alphas.device, dtype=alphas.dtype) / count
        return torch.exp(math.log(c) * share) * scale
    sigma = ((1 - alphas) / alphas).sqrt()
    return ((1 - c) / (1 + sigma).square() + c) * (1.0 if params.kohya_compat else scale)


def distance(kind: LossType, difference: Tensor, threshold: Tensor) -> Tensor:
    """The loss of each number of `difference` [B, C, h, w]; `threshold` [B] is c of the pseudo-Huber losses.

    l2: d²; l1: |d|; huber: 2c·(√(d² + c²) − c), which is d² near 0; smooth_l1: 2·(√(d² + c²) − c), which is 2|d| far
    from it.
    """
    if kind == "l2":
        return difference.square()
    if kind == "l1":
        return difference.abs()
    c = threshold.view(-1, 1, 1, 1)
    beyond = 2 * ((difference.square() + c.square()).sqrt() - c)
    return c * beyond if kind == "huber" else beyond


def picture_mean(losses: Tensor, masks: Sequence[Tensor | None], *, kohya: bool = False) -> Tensor:
    """The mean of `losses` [B, C, h, w] over each picture [B], or over its masked part.

    A mask [1, h, w] holds weights from 0 to 1. Divided by the mask's area, a small subject is learned as fast as a
    large one; kohya divides by the picture's.
    """
    if all(mask is None for mask in masks):
        return losses.mean(dim=(1, 2, 3))
    whole = torch.ones((1, *losses.shape[2:]))
    weights = torch.stack([whole if mask is None else mask for mask in masks]).to(losses.device)
    masked = (losses * weights).mean(dim=(1, 2, 3))
    return masked if kohya else masked / weights.mean(dim=(1, 2, 3))
