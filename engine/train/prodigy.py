"""Prodigy: Adam whose learning rate follows from an estimate of the distance to the solution."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Prodigy(torch.optim.Optimizer):
    """Mishchenko & Defazio 2023, “Prodigy” (arXiv:2306.06101), algorithm 4 with the authors' own advice for
    diffusion models: decoupled weight decay, Adam's bias correction, and warm-up kept out of the denominator.

    With γ = d·η·√(1 − β₂ᵏ)/(1 − β₁ᵏ), β₃ = √β₂, η the rate of a group (1 is meant), x₀ the starting point, c `d_coef`:
    r ← β₃·r + (d/d₀)·γ·⟨g, x₀ − x⟩;  s ← β₃·s + (d/d₀)·d·g;  d ← max(d, c·r/‖s‖₁);
    m ← β₁·m + (1 − β₁)·d·g;  v ← β₂·v + (1 − β₂)·d²·g²;  x ← x − γ·λ·x − γ·m/(√v + d·ε), with γ of the old d.

    One d for all groups; `shared` holds it (`d`), its numerator r (`numerator`) and k (`count`) as 0-d tensors, on
    the device of the weights, so that no step waits for it.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        d0: float = 1e-6,
        d_coef: float = 1.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})
        device = self.param_groups[0]["params"][0].device
        self.d0 = d0
        self.d_coef = d_coef
        self.shared = {
            "d": torch.tensor(d0, dtype=torch.float64, device=device),
            "numerator": torch.zeros((), dtype=torch.float64, device=device),
            "count": torch.zeros((), dtype=torch.int64),
        }

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; with a rate of 0 everywhere (the first step of a warm-up) nothing moves, as in the original."""
        active = [(g, p) for g in self.param_groups if g["lr"] > 0 for p in g["params"] if p.grad is not None]
        if not active:
            return
        d, count = self.shared["d"], int(self.shared["count"])
        numerator = self.shared["numerator"] * math.sqrt(self.param_groups[0]["betas"][1])
        denominator = torch.zeros_like(numerator)
        for group, p in active:
            gradient: Tensor = p.grad
            state = self.state[p]
            if not state:
                state["start"] = p.detach().clone()
                state |= {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq", "slope")}
            first, second = group["betas"]
            reach = torch.sum(gradient * (state["start"] - p), dtype=torch.float64)
            numerator += d / self.d0 * _rate(group, d, count) * reach
            state["exp_avg"].mul_(first).add_(gradient * (d * (1 - first)))
            state["exp_avg_sq"].mul_(second).add_(gradient.square() * (d * d * (1 - second)))
            state["slope"].mul_(math.sqrt(second)).add_(gradient * (d / self.d0 * d))
            denominator += state["slope"].abs().sum(dtype=torch.float64)
        guess = torch.where(denominator > 0, self.d_coef * numerator / denominator, d)
        larger = torch.maximum(d, guess)
        for group, p in active:
            rate, state = _rate(group, d, count), self.state[p]
            update = state["exp_avg"] / (state["exp_avg_sq"].sqrt() + larger * group["eps"])
            p.sub_(p * (rate * group["weight_decay"])).sub_(update * rate)
        self.shared = {"d": larger, "numerator": numerator, "count": torch.tensor(count + 1)}


def _rate(group: dict[str, Any], d: Tensor, count: int) -> Tensor:
    """γ of a group; `count` steps are taken."""
    first, second = group["betas"]
    return d * (group["lr"] * math.sqrt(1 - second ** (count + 1)) / (1 - first ** (count + 1)))
