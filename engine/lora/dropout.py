"""kohya's three dropouts on an adapted layer: of inner values, of whole ranks, of the whole layer.

Chance is a function of (seed of the micro-batch, layer) and not of history: a resumed bake, and a forward that
gradient checkpointing runs again, drop the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.dataset.chance import rng, seed_for
from engine.protocol.params import BakeParams


@dataclass
class Dropouts:
    """The shares of one bake (all 0 ≤ p < 1), and the seed of the micro-batch under way."""

    inner: float
    rank: float
    module: float
    seed: int = 0

    @classmethod
    def of(cls, params: BakeParams) -> Dropouts:
        """As the parameters have them."""
        return cls(params.network_dropout, params.rank_dropout, params.module_dropout)

    def __bool__(self) -> bool:
        return self.inner > 0 or self.rank > 0 or self.module > 0

    def skips(self, key: str) -> bool:
        """Whether the layer with this file key is left out of the micro-batch under way."""
        return self.module > 0 and rng(self.seed, "module", key).random() < self.module


class InnerDropout:
    """A forward hook on `down`: inner values, then ranks (networks/lora.py, `LoRAModule.forward`).

    Each value of `down(x)` falls out with `inner`, each rank of a sample with `rank`; what stays is divided by
    1 − p. PEFT's own dropout would fall on `x`.
    """

    def __init__(self, key: str, shares: Dropouts) -> None:
        self.key = key
        self.shares = shares

    def __call__(self, down: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        """The output of `down`, with gaps while training."""
        shares = self.shares
        if not down.training:
            return output
        generator = torch.Generator(output.device).manual_seed(seed_for(shares.seed, "inner", self.key))
        if shares.inner:
            output = output * _kept(output.shape, shares.inner, output, generator)
        if shares.rank:
            # Ranks are the last axis of a Linear's output and the second of a convolution's.
            place = 1 if output.dim() == 4 else output.dim() - 1
            shape = [n if axis in (0, place) else 1 for axis, n in enumerate(output.shape)]
            output = output * _kept(torch.Size(shape), shares.rank, output, generator)
        return output


def _kept(shape: torch.Size, share: float, like: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(shape, generator=generator, device=like.device)
    return (drawn >= share).to(like.dtype) / (1 - share)
