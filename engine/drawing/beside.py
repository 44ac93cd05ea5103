"""Draws a test beside what holds the device: on the GPU of a paused bake, which needs it no more, or the processor.

Such a worker holds a seat of its own instead of a device, leaves as soon as a device is free, and makes way at once for
a bake that goes on. Torch-free; drawing is `session`'s.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from engine.drawing import history
from engine.models.catalogue import locate
from engine.protocol.drawing import Drawn
from engine.protocol.errors import EngineError
from engine.protocol.files import lock_holder
from engine.runs import launch, queue
from engine.runs.devices import Device, devices
from engine.runs.folder import RunFolder, run_folder
from engine.runs.tail import Tail

_SEAT = "beside"
"""What such a worker locks instead of a device: there is one at a time."""
_DEVICE, _BAKE = "LORABAKE_BESIDE", "LORABAKE_BESIDE_BAKE"
"""Tell the worker which device it does without, and whose bake is paused on the one it uses."""
_ROOM = 2
"""A model takes so many times its files in the processor's memory, where half precision becomes single."""
_workers: list[subprocess.Popen[bytes]] = []


def now(ident: str) -> Drawn:
    """Let the worker that a waiting test waits for begin at once; a test that waits no more stays as it is.

    Raises EngineError `test_unknown`, `beside_taken` when another base is drawn with beside the bake already,
    `beside_room` where memory is short, `home_unwritable`.
    """
    drawn = history.find(ident)
    _workers[:] = [worker for worker in _workers if worker.poll() is None]
    with queue.locked():
        run = run_folder(drawn.run)
        if drawn.state != "waiting" or not any(item.run.id == run.id for item in queue.waiting()):
            return drawn
        if lock_holder(run.lock) is not None or any(lock_holder(device.lock) is None for device in devices()):
            return drawn  # it begins by itself
        seat = _seat()
        if lock_holder(seat.lock) is not None:
            raise EngineError("beside_taken", test=drawn.id)
        if seat.env.get("CUDA_VISIBLE_DEVICES") == "":
            _check_room(drawn.base)
        queue.change(run, "held")  # so that the runner does not start it as well
        try:
            _workers.append(launch.start_worker(run, seat))
        except OSError as error:
            queue.change(run, "queued")
            raise EngineError("home_unwritable", path=run.path, reason=error.strerror or error) from None
    return drawn


def a_bake_is_paused() -> bool:
    """Whether every device is held, and one of them by a bake that is paused."""
    return bool(_paused()) and all(lock_holder(device.lock) is not None for device in devices())


def is_guest() -> bool:
    """In a worker: whether it was started beside a bake."""
    return bool(os.environ.get(_DEVICE))


def over() -> bool:
    """In a worker beside a bake: whether it has to leave, since a device is free or its bake goes on."""
    return lock_holder(Device(os.environ.get(_DEVICE, "")).lock) is None or bake_goes_on()


def bake_goes_on() -> bool:
    """In a worker: whether the bake on whose device it draws is paused no more."""
    bake = os.environ.get(_BAKE, "")
    return bool(bake) and not Tail(run_folder(bake).journal).refresh().paused


def on_processor() -> bool:
    """In a worker: whether it draws on the processor because the GPU is not free."""
    return os.environ.get(_DEVICE, "").startswith("cuda") and os.environ.get("CUDA_VISIBLE_DEVICES") == ""


def _seat() -> Device:
    for device, run in _paused():
        return Device(_SEAT, {**device.env, _DEVICE: device.name, _BAKE: run.id})
    return Device(_SEAT, {"CUDA_VISIBLE_DEVICES": "", _DEVICE: devices()[0].name})


def _paused() -> list[tuple[Device, RunFolder]]:
    """The devices whose bake is paused, with it."""
    runs = {pid: run for run, pid in queue.live_runs()}
    held = [(device, runs.get(lock_holder(device.lock) or 0)) for device in devices()]
    return [(device, run) for device, run in held if run is not None and Tail(run.journal).refresh().paused]


def _check_room(base: str) -> None:
    import psutil  # type: ignore[import-untyped]

    path = locate(base).path
    files = [path] if path.is_file() else [file for file in Path(path).rglob("*") if file.is_file()]
    need, free = _ROOM * sum(file.stat().st_size for file in files), int(psutil.virtual_memory().available)
    if need > free:
        raise EngineError("beside_room", base=base, need=_gib(need), free=_gib(free))


def _gib(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"
