"""The learning rate of a step as a pure function; nothing to save, nothing to restore."""

from __future__ import annotations

import math

from engine.protocol.params import BakeParams


def warmup_steps(params: BakeParams, total: int) -> int:
    """Optimizer steps of warm-up: below 1 a share of `total`, from 1 on a count; none with `constant`."""
    if params.lr_scheduler == "constant":
        return 0
    wanted = params.lr_warmup * total if params.lr_warmup < 1 else params.lr_warmup
    return min(int(wanted), total)


def factor(params: BakeParams, step: int, total: int) -> float:
    """What learning rates are multiplied by at optimizer step `step` (1 … `total`), as in the schedulers of diffusers
    and transformers.

    Step 1 uses the schedule's value at 0, so a warm-up of n steps starts at 0 and is complete at step n + 1.
    """
    done, warmup = step - 1, warmup_steps(params, total)
    if done < warmup:
        return done / warmup
    progress = min(1.0, (done - warmup) / max(1, total - warmup))
    match params.lr_scheduler:
        case "constant" | "constant_with_warmup":
            return 1.0
        case "linear":
            return 1 - progress
        case "polynomial":
            # diffusers' ends at 1e-7 instead of 0, which is a share of the rate only by accident.
            return (1 - progress) ** params.lr_scheduler_power
        case "cosine":
            return _cosine(progress)
        case "cosine_with_min_lr":
            lowest = params.lr_scheduler_min_lr_ratio
            return lowest + (1 - lowest) * _cosine(progress)
        case "cosine_with_restarts":
            return _cosine((params.lr_scheduler_cycles * progress) % 1.0)


def _cosine(progress: float) -> float:
    return max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))
