"""The faults of the chaos bench, each a real one: signals to real processes, a disk that is full, torn files, a clock
that jumps. What must hold afterwards is `chaos`'s business."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from engine.protocol.control import send
from engine.protocol.files import lock_holder
from engine.runs import queue
from engine.runs.folder import RunFolder, all_runs

_CLOCK = """import os, time
_real, _path = time.time, os.environ.get("LORABAKE_CHAOS_CLOCK", "")
def _jumping():
    try:
        with open(_path) as handle:
            return _real() + float(handle.read() or 0)
    except (OSError, ValueError):
        return _real()
if _path:
    time.time = _jumping
"""
_FILL = 1 << 20


class Faults:
    """What can be done to a home. `small` says that its disk is small enough to be filled."""

    def __init__(self, home: Path, scratch: Path, chance: random.Random, *, small: bool, slow: float = 1.0) -> None:
        self.home, self.chance, self.small, self.slow = home, chance, small, slow
        self.clock = scratch / "clock"
        (scratch / "clock_jumps").mkdir()
        (scratch / "clock_jumps" / "sitecustomize.py").write_text(_CLOCK)
        self.path = str(scratch / "clock_jumps")
        self.kinds: dict[str, Callable[[], bool]] = {
            "kill -9 viewer": lambda: self._signal(signal.SIGKILL, "tools.bench._viewer"),
            "kill -9 host": lambda: self._signal(signal.SIGKILL, "host"),
            "kill -9 runner": lambda: self._signal(signal.SIGKILL, "runner"),
            "kill -9 worker": lambda: self._signal(signal.SIGKILL, "worker"),
            "kill -9 runner and worker": lambda: self._signal(signal.SIGKILL, "runner", "worker"),
            "kill -9 everything": lambda: self._signal(signal.SIGKILL, "engine", "tools.bench._viewer"),
            "SIGHUP": lambda: self._signal(signal.SIGHUP, self.chance.choice(["host", "runner", "worker"])),
            "SIGTERM worker": lambda: self._signal(signal.SIGTERM, "worker"),
            "SIGSTOP, SIGCONT": self._freeze,
            "full disk": self._fill if small else self._limit,
            "read-only folder": self._read_only,
            "clock jump": self._jump,
            "torn journal": self._tear_journal,
            "torn queue file": self._tear_queue,
            "pause, resume": self._pause,
            "save now": lambda: self._ask("save_now"),
        }

    def processes(self, *kinds: str) -> list[int]:
        """The processes of this home whose command line has one of `kinds` (all when none is named)."""
        mark = f"LORABAKE_HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                mine = ("engine" in words or "tools.bench._viewer" in words) and (not kinds or set(kinds) & set(words))
                if mine and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def _wait(self, least: float, most: float) -> None:
        time.sleep(self.chance.uniform(least, most) * self.slow)

    def _signal(self, number: int, *kinds: str) -> bool:
        pids = self.processes(*kinds)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(pids)

    def _freeze(self) -> bool:
        pids = self.processes(self.chance.choice(["host", "runner", "worker", "engine"]))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self._wait(0.1, 0.6)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return bool(pids)

    def _fill(self) -> bool:
        """Take every block of the small disk, and give them back a little later."""
        filler = self.home / ".filler"
        try:
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as handle:
                size = _FILL
                while size:
                    try:
                        handle.write(b"\0" * size)
                    except OSError:
                        size //= 2
            self._wait(0.1, 0.6)
        finally:
            filler.unlink(missing_ok=True)
        return True

    def _limit(self) -> bool:
        """Let no file of a worker grow, as a quota does."""
        pids = self.processes("worker")
        before = resource.RLIM_INFINITY
        for pid in pids:
            with contextlib.suppress(OSError):
                before = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before))
        self._wait(0.1, 0.6)
        for pid in pids:
            with contextlib.suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (before, before))
        return bool(pids)

    def _read_only(self) -> bool:
        live = self._live()
        folder = self.chance.choice([self.home, self.home / "runs", *([live.path] if live is not None else [])])
        folder.chmod(0o500)
        try:
            self._wait(0.1, 0.6)
        finally:
            folder.chmod(0o700)
        return True

    def _jump(self) -> bool:
        self.clock.write_text(str(self.chance.choice([-86400.0, -3600.0, -7.0, 7.0, 3600.0, 86400.0])))
        return True

    def _tear_journal(self) -> bool:
        """What a crash in the middle of a write leaves: half a line, and nobody there to close it."""
        live = self._live()
        if live is None:
            return False
        self._signal(signal.SIGKILL, "worker")
        end = time.monotonic() + 5
        while lock_holder(live.lock) is not None and time.monotonic() < end:
            time.sleep(0.005)
        if lock_holder(live.lock) is not None:
            return False
        path = self.chance.choice([live.journal, live.control])
        with contextlib.suppress(OSError), open(path, "ab") as handle:
            handle.write(b'{"type":"step","run":"' + live.id.encode()[: self.chance.randrange(8)])
        return True

    def _tear_queue(self) -> bool:
        path = queue.queue_path()
        with contextlib.suppress(OSError), queue.locked():
            data = path.read_bytes()
            path.write_bytes(data[: self.chance.randrange(len(data) or 1)])
            return True
        return False

    def _pause(self) -> bool:
        if not self._ask("pause"):
            return False
        self._wait(0.2, 1.0)
        self._ask("resume")
        return True

    def _ask(self, action: str) -> bool:
        live = self._live()
        if live is None:
            return False
        with contextlib.suppress(OSError):
            send(live.control, action)  # type: ignore[arg-type]
            return True
        return False

    def _live(self) -> RunFolder | None:
        with contextlib.suppress(OSError):
            return next((run for run in all_runs() if lock_holder(run.lock) is not None), None)
        return None
