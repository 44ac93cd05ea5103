"""Lion: one momentum, and only the sign of the update."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, “Symbolic Discovery of Optimization Algorithms” (arXiv:2302.06675), algorithm 2:

    c = β₁·m + (1 − β₁)·g;  θ ← θ − η·(sign(c) + λ·θ);  m ← β₂·m + (1 − β₂)·g.
    """

    def __init__(
        self, params: Iterable[Any], *, lr: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.99)
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every tensor that has a gradient."""
        for group in self.param_groups:
            weights: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            grads = [p.grad for p in weights]
            for p in weights:
                if not self.state[p]:
                    self.state[p]["exp_avg"] = torch.zeros_like(p)
            moments = [self.state[p]["exp_avg"] for p in weights]
            first, second = group["betas"]
            mixed = torch._foreach_mul(moments, first)
            torch._foreach_add_(mixed, grads, alpha=1 - first)
            torch._foreach_sign_(mixed)
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, mixed, alpha=-group["lr"])
            torch._foreach_mul_(moments, second)
            torch._foreach_add_(moments, grads, alpha=1 - second)
