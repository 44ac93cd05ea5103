"""One look at the machine: processor, memory, disk, and the GPUs if a driver answers. Nothing is made up.

Who asks how often is the host's business.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine import home
from engine.protocol.records import DeviceSample, Gpu


class Telemetry:
    """Keeps the connection to the driver open between samples."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._looked = False

    def sample(self, mine: Callable[[], set[int]] = set) -> DeviceSample:
        """The machine now; `cpu_percent` is since the previous sample (0 at the first). `mine` gives the process ids of
        this home's workers, which are not others."""
        import psutil

        memory = psutil.virtual_memory()
        return DeviceSample(
            t=time.time(),
            cpu_percent=psutil.cpu_percent(interval=None),
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            disk_free=shutil.disk_usage(home.home()).free,
            gpus=self._shared(self.gpus(), mine),
        )

    def _shared(self, gpus: list[Gpu], mine: Callable[[], set[int]]) -> list[Gpu]:
        """The GPUs with what others take of them."""
        if not gpus:
            return gpus
        foreign = strangers(self.users(), mine())
        return [
            msgspec.structs.replace(
                gpu,
                others=sum(index == gpu.index for index, _pid, _used in foreign),
                others_memory=sum(used for index, _pid, used in foreign if index == gpu.index),
            )
            for gpu in gpus
        ]

    def gpus(self) -> list[Gpu]:
        """What the driver says of each GPU; [] without one. A fact that a card does not report stays 0."""
        nvml = self._driver()
        if nvml is None:
            return []
        try:
            return [_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
        except nvml.NVMLError:
            self._nvml, self._looked = None, False
            return []

    def users(self) -> list[tuple[int, int, int]]:
        """(gpu, process, bytes) of every computing process; in a container the ids may be those of the host."""
        nvml = self._driver()
        found: list[tuple[int, int, int]] = []
        if nvml is not None:
            with contextlib.suppress(nvml.NVMLError):
                for index in range(nvml.nvmlDeviceGetCount()):
                    handle = nvml.nvmlDeviceGetHandleByIndex(index)
                    rows = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
                    found += [(index, int(row.pid), int(row.usedGpuMemory or 0)) for row in rows]
        return found

    def _driver(self) -> Any:
        if not self._looked:
            self._looked = True
            try:
                import pynvml

                pynvml.nvmlInit()
                self._nvml = pynvml
            except Exception:  # no library, no driver, no permission: all mean that nothing can be said of GPUs
                self._nvml = None
        return self._nvml


def strangers(users: list[tuple[int, int, int]], mine: set[int]) -> list[tuple[int, int, int]]:
    """Those of `users` (gpu, process, bytes) that are not ours.

    In a container the driver names processes by ids that mean nothing here; while a bake of ours is at work they may
    be ours.
    """
    return [row for row in users if row[1] not in mine and not (mine and not Path(f"/proc/{row[1]}").exists())]


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    name = nvml.nvmlDeviceGetName(handle)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    facts: dict[str, Any] = {}
    for key, ask in (
        ("utilisation", lambda: int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
        ("temperature", lambda: int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
        ("power", lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000.0),
    ):
        with contextlib.suppress(nvml.NVMLError):
            facts[key] = ask()
    return Gpu(
        index=index,
        name=name.decode() if isinstance(name, bytes) else str(name),
        memory_used=int(memory.used),
        memory_total=int(memory.total),
        **facts,
    )
