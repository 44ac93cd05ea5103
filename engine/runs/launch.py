"""Starts runner and workers so that they outlive whoever asked, and ends a worker that does not listen.

Detached means: a session of its own, no terminal, no inherited descriptor, output to a file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from engine import home
from engine.protocol.errors import EngineError
from engine.protocol.files import FILE_MODE, lock_holder
from engine.protocol.telling import Moment
from engine.runs import queue, telling
from engine.runs.devices import Device
from engine.runs.folder import RunFolder

GRACE_SECONDS = 10.0
"""How long a worker may take over each rung of being ended (LORABAKE_GRACE overrides it)."""
_LOG_BYTES = 1024 * 1024

REST_SECONDS = 10.0
"""A runner that could not work (its words are in runner.log) is not started again at once."""

_children: list[subprocess.Popen[bytes]] = []
_runner: subprocess.Popen[bytes] | None = None
_rest_until = 0.0


def grace() -> float:
    """Seconds between the rungs stop now, SIGTERM and SIGKILL."""
    with contextlib.suppress(ValueError):
        return max(0.0, float(os.environ.get("LORABAKE_GRACE", "")))
    return GRACE_SECONDS


def start_worker(run: RunFolder, device: Device) -> subprocess.Popen[bytes]:
    """Start the worker of `run` on `device`; its output goes to console.log. Raises OSError."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    asked = {"LORABAKE_ASKED_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "")}
    env = {**offline, **os.environ, **asked, **device.env, "LORABAKE_WORKER_DEVICE": device.name}
    return _detached(["worker", str(run.path)], run.console, run.path, env)


def ensure_runner(*, survivor: bool = False) -> bool:
    """Start the runner when queued jobs wait and none is at work; True when one was started.

    Jobs left over from a crash are held first. A worker that outlived its runner passes `survivor`: its being
    here shows that there was no crash of the machine, and it must not look at its own lock.
    """
    global _runner
    reap()
    with queue.locked():
        if time.monotonic() < _rest_until or lock_holder(queue.runner_lock()) is not None:
            return False
        if not survivor:
            queue.judge_crash()
        if not any(item.goes for item in queue.waiting()):
            return False
        queue.mark_runner(False)
        log = home.home() / "runner.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.unlink()
        _runner = _detached(["runner"], log, home.home(), dict(os.environ))
        _children.append(_runner)
        return True


def tell(run: RunFolder, moment: Moment) -> None:
    """Let a person's command and webhook know, in a process that nobody waits for; never raises."""
    with contextlib.suppress(OSError, EngineError):
        if telling.wanted(moment):
            words = ["tell", str(run.path), moment]
            _children.append(_detached(words, home.home() / "tell.log", home.home(), dict(os.environ)))


def reap() -> None:
    """Let go of runners that ended, so that no zombie stays behind in a long-lived host."""
    global _rest_until
    for child in [child for child in _children if child.poll() is not None]:
        _children.remove(child)
        if child.returncode > 0 and child is _runner:
            _rest_until = time.monotonic() + REST_SECONDS


def ask_to_end(pid: int) -> None:
    """SIGTERM: finish the step, save, end. A process that is gone is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """SIGKILL to everything the worker started; `pid` leads its own group, which is checked."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def _detached(words: list[str], log: Path, cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # -P keeps the working directory off sys.path, so that a file lying about cannot pose as a library.
    root = Path(__file__).resolve().parents[2]
    added = [] if root.name in ("site-packages", "dist-packages") else [str(root)]
    path = os.pathsep.join([*added, *filter(None, [env.get("PYTHONPATH", "")])])
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-X", "faulthandler", "-m", "engine", *words],
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**env, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            close_fds=True,
            umask=0o077,
        )
    finally:
        os.close(fd)
