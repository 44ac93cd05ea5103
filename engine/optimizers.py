"""What is known of each optimizer without starting it: its memory, its name in kohya's files, what it needs.

Torch-free, for estimates and for refusing a bake before it starts; made and run they are in `train.optim`.
"""

from __future__ import annotations

import importlib.util

import msgspec

from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams, Optimizer


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """`kohya`: the class that kohya's own runs name; `memory`: bytes kept per trained weight; `betas`: its own;
    `library`: what has to be installed for it, as the extra `extra` of this package."""

    kohya: str
    memory: int
    betas: tuple[float, float] = (0.9, 0.999)
    library: str = ""
    extra: str = ""


OPTIMIZERS: dict[Optimizer, Kind] = {
    "AdamW": Kind(kohya="torch.optim.adamw.AdamW", memory=8),
    # Two moments of one byte; their scales, one number for 256 of them, are not worth counting.
    "AdamW8bit": Kind(kohya="bitsandbytes.optim.adamw.AdamW8bit", memory=2, library="bitsandbytes", extra="cuda8bit"),
    "Lion": Kind(kohya="lion_pytorch.lion_pytorch.Lion", memory=4, betas=(0.9, 0.99)),
    # Both moments, the sum of slopes, and where every weight began.
    "Prodigy": Kind(kohya="prodigyopt.prodigy.Prodigy", memory=16),
    # Rows and columns instead of a second moment.
    "Adafactor": Kind(kohya="transformers.optimization.Adafactor", memory=0),
}


def memory(params: BakeParams) -> int:
    """Bytes the optimizer keeps per trained weight under these parameters."""
    first_moment = 4 if params.optimizer == "Adafactor" and params.beta1 else 0
    return OPTIMIZERS[params.optimizer].memory + first_moment


def betas(params: BakeParams) -> tuple[float, float]:
    """The optimizer's own, where `params` leaves them to it."""
    first, second = OPTIMIZERS[params.optimizer].betas
    return params.beta1 or first, params.beta2 or second


def check_installed(name: Optimizer) -> None:
    """Raises EngineError `optimizer_missing` where the library of the optimizer `name` is not installed."""
    kind = OPTIMIZERS[name]
    if kind.library and importlib.util.find_spec(kind.library) is None:
        raise EngineError("optimizer_missing", name=name, library=kind.library, extra=kind.extra)
