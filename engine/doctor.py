"""The quick truths about this machine that decide whether a bake will work and survive; torch-free.

Only looks; it changes nothing and leaves the slow questions (does the GPU compute?) to a bake.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from engine.home import home
from engine.protocol.errors import EngineError
from engine.protocol.records import Check, DoctorReport
from engine.runs import logout
from engine.runs.queue import live_runs
from engine.telemetry import Telemetry, strangers

_LOW_DISK = 10 * 1024**3
_SMALL_SHM = 1024**3
_GIB = 1024**3
_MIN_PYTHON = (3, 11)


def examine(telemetry: Telemetry) -> DoctorReport:
    """Every check, the important ones first."""
    checks = [
        _python(),
        _home(),
        _disk(),
        _package("torch", "bakes cannot run"),
        _package("diffusers", "bakes cannot run"),
        _gpu(telemetry),
        _gpu_users(telemetry),
        _demo(),
        _logout(),
        _session(),
        _init(),
        _memory_disk(),
        _shm(),
    ]
    return DoctorReport(checks=[check for check in checks if check is not None])


def _python() -> Check:
    text = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _MIN_PYTHON:
        return Check(name="python", state="fail", text=text, hint="LoRABake needs Python 3.11 or newer.")
    return Check(name="python", state="ok", text=text)


def _home() -> Check:
    try:
        folder = home()
        with tempfile.TemporaryFile(dir=folder):
            pass
    except EngineError as error:
        return Check(name="home", state="fail", text=error.info.message, hint=error.info.hint)
    except OSError as error:
        return Check(
            name="home",
            state="fail",
            text=f"{folder}: {error.strerror or error}",
            hint="Set LORABAKE_HOME to a folder on a disk with space.",
        )
    return Check(name="home", state="ok", text=str(folder))


def _disk() -> Check | None:
    with contextlib.suppress(EngineError, OSError):
        usage = shutil.disk_usage(home())
        text = f"{usage.free / _GIB:.1f} GiB free of {usage.total / _GIB:.1f} GiB"
        if usage.free < _LOW_DISK:
            hint = "A bake of a real base needs some gigabytes; free space or move LORABAKE_HOME."
            return Check(name="disk", state="warn", text=text, hint=hint)
        return Check(name="disk", state="ok", text=text)
    return None


def _package(name: str, loss: str) -> Check:
    try:
        return Check(name=name, state="ok", text=metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name=name, state="fail", text=f"not installed, {loss}", hint=f"pip install {name}")


def _gpu(telemetry: Telemetry) -> Check:
    gpus = telemetry.gpus()
    if not gpus:
        return Check(
            name="gpu",
            state="warn",
            text="no NVIDIA driver answers; bakes run on the processor",
            hint="Fine for the demo. For real bases use a machine with an NVIDIA GPU.",
        )
    text = "; ".join(f"{gpu.index}: {gpu.name}, {gpu.memory_total / _GIB:.0f} GiB" for gpu in gpus)
    return Check(name="gpu", state="ok", text=text)


def _gpu_users(telemetry: Telemetry) -> Check | None:
    if not telemetry.gpus():
        return None
    others = strangers(telemetry.users(), _workers())
    if not others:
        return Check(name="gpu users", state="ok", text="no other process computes on the GPU")
    text = ", ".join(f"process {pid} on GPU {gpu} ({used / _GIB:.1f} GiB)" for gpu, pid, used in others[:5])
    hint = "It takes memory and time from a bake; end it if it is yours."
    return Check(name="gpu users", state="warn", text=text, hint=hint)


def _workers() -> set[int]:
    """The process ids of this home's live workers."""
    with contextlib.suppress(OSError, EngineError):
        return {pid for _, pid in live_runs()}
    return set()


def _demo() -> Check:
    hint = "Build it with `make demo-models`, or name another base."
    try:
        from engine.models.catalogue import locate

        located = locate("demo")
    except (EngineError, ImportError) as error:
        return Check(name="demo base", state="warn", text=str(error), hint=hint)
    return Check(name="demo base", state="ok", text=str(located.path))


def _logout() -> Check:
    """Whether systemd ends everything a user left running when a session closes."""
    if not logout.SYSTEMD.is_dir():
        return Check(name="logout", state="ok", text="no systemd here: a detached bake survives the end of a session")
    if not logout.ends():
        return Check(name="logout", state="ok", text="a detached bake survives logging out")
    if not logout.lingers():
        return Check(
            name="logout",
            state="warn",
            text="systemd ends all processes of a user at logout",
            hint="Run `loginctl enable-linger` once, so that bakes go on.",
        )
    if not logout.reachable():
        return Check(
            name="logout",
            state="warn",
            text="systemd ends all processes of a user at logout, and your service manager cannot be asked to keep any",
            hint="Install dbus-user-session and log in again, so that bakes go on.",
        )
    return Check(name="logout", state="ok", text="bakes are moved out of the session and survive logging out")


_READY_INITS = frozenset(
    {"systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "s6-svscan", "runit", "launchd", "openrc-init"}
)


def _session() -> Check:
    """What this terminal hangs on; a bake hangs on none of it."""
    if os.environ.get("TMUX") or os.environ.get("STY"):
        return Check(name="session", state="ok", text="within tmux or screen: the view survives a lost connection too")
    if os.environ.get("SSH_CONNECTION"):
        return Check(
            name="session",
            state="ok",
            text="ssh: a lost connection ends the view, not the bake; `lorabake` shows it again",
        )
    return Check(name="session", state="ok", text="a local terminal: closing it ends the view, not the bake")


def _init() -> Check | None:
    """Whether process 1 buries what a detached process leaves behind."""
    with contextlib.suppress(OSError):
        name = Path("/proc/1/comm").read_text("utf-8").strip()
        if name in _READY_INITS:
            return Check(name="init", state="ok", text=f"process 1 is {name}")
        text = f"process 1 is {name}, no init: bakes survive a closed terminal, and end when the container stops"
        return Check(name="init", state="ok", text=f"{text}; they go on from their saved state")
    return None


def _memory_disk() -> Check | None:
    """Folders that lie in memory: gone after a restart, and often small."""
    with contextlib.suppress(EngineError, OSError):
        folders = {str(home()): True, tempfile.gettempdir(): False}
        for folder, ours in folders.items():
            if _file_system(Path(folder)) not in ("tmpfs", "ramfs"):
                continue
            total = shutil.disk_usage(folder).total
            if ours:
                return Check(
                    name="memory disk",
                    state="warn",
                    text=f"{folder} lies in memory ({total / _GIB:.1f} GiB): a restart takes every run with it",
                    hint="Set LORABAKE_HOME to a folder on a disk.",
                )
            if total < _SMALL_SHM:
                return Check(
                    name="memory disk",
                    state="warn",
                    text=f"{folder} lies in memory and has only {total / _GIB:.2f} GiB",
                    hint="Set TMPDIR to a folder on a disk before you unpack archives.",
                )
    return None


def _file_system(folder: Path) -> str:
    """The type of the file system that `folder` lies on; "" where that cannot be told."""
    found, length = "", -1
    for line in Path("/proc/mounts").read_text("utf-8", "replace").splitlines():
        _device, where, kind, *_rest = line.split(" ")
        point = where.encode().decode("unicode_escape", "replace")
        if len(point) > length and (folder == Path(point) or Path(point) in folder.parents):
            found, length = kind, len(point)
    return found


def _shm() -> Check | None:
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError:
        return Check(name="shared memory", state="ok", text="no /dev/shm; LoRABake does not need it")
    text = f"/dev/shm has {usage.total / _GIB:.2f} GiB"
    if usage.total < _SMALL_SHM:
        return Check(name="shared memory", state="ok", text=f"{text}; LoRABake does not need it")
    return Check(name="shared memory", state="ok", text=text)
