"""The learning rate of a step as a pure function; nothing to save, nothing to restore."""

from __future__ import annotations

import math

from engine.protocol.params import BakeParams


def warmup_steps(params: BakeParams, total: int) -> int:
    """Optimizer steps of warm-up: below 1 a share of `total`, from 1 on a count."""
    wanted = params.lr_warmup * total if params.lr_warmup < 1 else params.lr_warmup
    return min(int(wanted), total)


def factor(params: BakeParams, step: int, total: int) -> float:
    """What learning rates are multiplied by at optimizer step `step` (1 … `total`), as in diffusers' schedulers.

    Step 1 uses the schedule's value at 0, so a warm-up of n steps starts at 0 and is complete at step n + 1.
    """
    done, warmup = step - 1, warmup_steps(params, total)
    if done < warmup:
        return done / warmup
    if params.lr_scheduler == "constant":
        return 1.0
    progress = (done - warmup) / max(1, total - warmup)
    if params.lr_scheduler == "linear":
        return max(0.0, 1 - progress)
    if params.lr_scheduler == "cosine":
        return max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))
    return max(0.0, 0.5 * (1 + math.cos(math.pi * ((params.lr_scheduler_cycles * progress) % 1.0))))
