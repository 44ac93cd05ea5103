"""One look at the machine: processor, memory, disk, and the GPUs if a driver answers. Nothing is made up.

Who asks how often is the host's business.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import Any

from engine import home
from engine.protocol.records import DeviceSample, Gpu


class Telemetry:
    """Keeps the connection to the driver open between samples."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._looked = False

    def sample(self) -> DeviceSample:
        """The machine now; `cpu_percent` is since the previous sample (0 at the first)."""
        import psutil

        memory = psutil.virtual_memory()
        return DeviceSample(
            t=time.time(),
            cpu_percent=psutil.cpu_percent(interval=None),
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            disk_free=shutil.disk_usage(home.home()).free,
            gpus=self.gpus(),
        )

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
