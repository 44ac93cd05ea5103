"""Which device and number format a bake computes in, and what makes it repeatable there."""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass

import torch
from torch import nn

from engine.protocol.params import BakeParams

_SMALL = 30_000_000
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Of mallopt(3)."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """The device, the type of the frozen weights and of the arithmetic, and its name as in the parameters."""

    device: torch.device
    dtype: torch.dtype
    precision: str

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Lets fp32 LoRA weights meet half-precision activations; nothing in fp32."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    @property
    def name(self) -> str:
        """The device in words."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"

    def scaler(self) -> torch.amp.GradScaler | None:
        """fp16 gradients vanish unless the loss is scaled up; the other types need nothing."""
        return torch.amp.GradScaler(self.device.type) if self.dtype == torch.float16 else None


def keep_freed_memory() -> None:
    """Let this process use memory it has freed again, in place of handing it back and taking it anew.

    glibc gives every block of over 32 MiB pages of its own, zeroed at each taking; a step on a processor takes such
    blocks by the hundred. Elsewhere than with glibc this does nothing.
    """
    with contextlib.suppress(OSError, AttributeError):
        allocator = ctypes.CDLL(None).mallopt
        allocator(_MMAP_THRESHOLD, 1 << 30)
        allocator(_TRIM_THRESHOLD, (1 << 31) - 1)


def choose(params: BakeParams) -> Compute:
    """The GPU where there is one. `auto` is bf16 on a GPU that has it, fp16 on an older one, fp32 on a processor.

    On a processor this process keeps the memory it frees from then on: models are loaded next.
    """
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cpu":
        keep_freed_memory()
    precision = params.precision
    if precision == "auto":
        precision = "fp32"
        if device.type == "cuda":
            precision = "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    return Compute(device, _DTYPES[precision], precision)


def usable_threads(unet: nn.Module) -> int:
    """Processor threads that are worth using for this U-Net; OMP_NUM_THREADS wins.

    The products of a very small U-Net are too short to be shared: two threads take twice the processor time of one.
    """
    wished = os.environ.get("OMP_NUM_THREADS", "")
    if wished.isdigit() and int(wished) > 0:
        return int(wished)
    small = sum(parameter.numel() for parameter in unet.parameters()) < _SMALL
    return 1 if small else len(os.sched_getaffinity(0))


def make_repeatable(threads: int) -> None:
    """The same sums in the same order every time. The number of threads decides how sums are split."""
    torch.set_num_threads(threads)
    if not torch.cuda.is_available():
        # On a GPU this would forbid the fast attention kernels; there a resumed bake is close, not equal.
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False
    else:
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
