"""What a bake can run on: each GPU, or the processor where there is none. One bake per device at a time.

A worker holds its device's lock for life, so that the device is known to be busy whoever started the worker.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine import home


class Device(msgspec.Struct, frozen=True):
    """A device by name (`cpu`, `cuda:0`), and the environment that shows a worker this device alone."""

    name: str
    env: dict[str, str] = {}

    @property
    def lock(self) -> Path:
        """Held by the worker that runs on the device."""
        return home.home() / f"device-{self.name.replace(':', '-')}.lock"


def devices() -> list[Device]:
    """The devices of this machine. LORABAKE_DEVICE=cpu leaves the GPUs alone; CUDA_VISIBLE_DEVICES is respected."""
    if os.environ.get("LORABAKE_DEVICE", "") == "cpu":
        return [Device("cpu", {"CUDA_VISIBLE_DEVICES": ""})]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        indices = [part.strip() for part in visible.split(",") if part.strip() not in ("", "-1")]
    else:
        indices = [str(index) for index in range(gpu_count())]
    if not indices:
        return [Device("cpu")]
    if len(indices) == 1:
        return [Device("cuda:0")]
    return [Device(f"cuda:{place}", {"CUDA_VISIBLE_DEVICES": index}) for place, index in enumerate(indices)]


def gpu_count() -> int:
    """How many GPUs the NVIDIA driver reports; 0 without a driver."""
    try:
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
        try:
            return int(pynvml.nvmlDeviceGetCount())
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # no library, no driver, no permission: every such failure means no usable GPU
        return 0
