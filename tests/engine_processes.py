"""Real hosts, runners and workers for tests: a home of their own, waiting with deadlines, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.protocol.events import Event, Finished
from engine.protocol.files import lock_holder
from engine.protocol.journal import JournalReader
from engine.protocol.records import RunRow
from engine.runs.folder import RunFolder
from engine.runs.state import Runs

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]


def until(condition: Callable[[], T], what: str, seconds: float = 120.0) -> T:
    """The first true value of `condition`; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)  # looking costs as well: at processes, at journals
    return value


class Home:
    """One LORABAKE_HOME and every process that belongs to it (told by their environment)."""

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        self._runs = Runs()
        self._strangers = _pids()  # older than the home, so none of its processes: they need not be looked at
        self.env = {
            **os.environ,
            "LORABAKE_HOME": str(path),
            "LORABAKE_DEVICE": "cpu",
            "LORABAKE_FAKE_RATE": str(rate),
            "LORABAKE_GRACE": "0.5",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """`python -m engine …` in this home."""
        return subprocess.Popen([sys.executable, "-X", "faulthandler", "-m", "engine", *words], env=self.env, **options)

    def processes(self, kind: str = "") -> dict[int, list[str]]:
        """Process id → words of the engine's processes of this home: all, or the hosts, runners or workers."""
        mark = f"LORABAKE_HOME={self.path}".encode()
        found = {}
        for pid in _pids() - self._strangers:
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                mine = "engine" in words and (kind or "engine") in words
                if mine and mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found[pid] = words
        return found

    def kill(self, kind: str = "") -> list[int]:
        """SIGKILL the processes of a kind (all kinds by default); returns their ids once they are gone."""
        pids = list(self.processes(kind))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not set(pids) & set(self.processes(kind)), f"{kind or 'everything'} is gone")
        return pids

    def clean(self) -> None:
        """End everything of this home."""
        until(lambda: not (self.kill() or self.processes()), "nothing is left of the home")

    def rows(self) -> list[RunRow]:
        """The runs as any viewer would see them."""
        return self._runs.rows()

    def row(self, run: RunFolder) -> RunRow:
        """One of them."""
        return next(row for row in self.rows() if row.id == run.id)

    def reaches(self, run: RunFolder, *states: str, seconds: float = 120.0) -> RunRow:
        """Wait until the run is in one of `states`."""
        return until(
            lambda: row if (row := self.row(run)).state in states else None,
            f"{run.id} is {' or '.join(states)} (it is {self.row(run).state})",
            seconds,
        )

    def quiet(self) -> None:
        """Wait until no runner and no worker of this home is left."""
        until(
            lambda: not any({"worker", "runner"} & set(words) for words in self.processes().values()),
            "runner and workers have left",
        )


def _pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A fresh home, in this process's environment too; whatever runs in it is ended afterwards."""
    made = Home(tmp_path / "home", rate=400)
    for name in ("LORABAKE_HOME", "LORABAKE_DEVICE", "LORABAKE_FAKE_RATE", "LORABAKE_GRACE"):
        monkeypatch.setenv(name, made.env[name])
    yield made
    made.clean()


def slower(home: Home, monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    """Fake workers started from now on take `rate` steps per second."""
    home.env["LORABAKE_FAKE_RATE"] = str(rate)
    monkeypatch.setenv("LORABAKE_FAKE_RATE", str(rate))


class Host:
    """A real `engine host` and its client end, without asyncio: calls wait, pushes are collected."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.process = home.start("host", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.messages: list[dict[str, Any]] = []
        self.lines: list[bytes] = []
        self._ids = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self.messages.append(json.loads(line))

    @property
    def hello(self) -> dict[str, Any]:
        """The greeting."""
        return until(lambda: self.messages[:1], "the host greets")[0]

    def write(self, data: bytes) -> None:
        """Raw bytes to the host."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def ask(self, method: str, **params: Any) -> int:
        """Send a request; returns its id."""
        self._ids += 1
        message = {"type": "request", "id": self._ids, "method": method, "params": params}
        self.write(json.dumps(message).encode() + b"\n")
        return self._ids

    def reply(self, number: int) -> dict[str, Any]:
        """The reply with an id, waited for; a host that owes it for too long shows what its threads do."""

        def found() -> dict[str, Any] | None:
            ended = self.process.poll() is not None
            answer = next((m for m in self.messages if m["type"] == "reply" and m["id"] == number), None)
            assert answer or not ended or self._reader.is_alive(), "the host has ended"
            return answer

        try:
            return until(found, f"a reply to request {number}")
        except AssertionError as error:
            self.process.send_signal(signal.SIGABRT)
            assert self.process.stderr is not None
            raise AssertionError(f"{error}\n{self.process.stderr.read().decode()}") from None

    def call(self, method: str, **params: Any) -> Any:
        """The result of a method; fails on an error."""
        answer = self.reply(self.ask(method, **params))
        assert "error" not in answer, answer
        return answer.get("result")

    def fails(self, method: str, **params: Any) -> str:
        """The code of the error that a method ends in."""
        return str(self.reply(self.ask(method, **params))["error"]["code"])

    def submit(self, **params: Any) -> RunFolder:
        """Queue a fake bake."""
        row = self.call("runs.submit", **{"dataset": "", "kind": "fake", "name": "mira", **params})
        return RunFolder(Path(row["dir"]))

    def events(self, run: RunFolder) -> list[dict[str, Any]]:
        """All events pushed for a run so far."""
        return [e for m in list(self.messages) if m["type"] == "batch" and m["run"] == run.id for e in m["events"]]

    def close(self) -> int:
        """End of input; the exit status."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait(timeout=90)


@pytest.fixture
def host(home: Home) -> Iterator[Host]:
    """A host in a fresh home."""
    made = Host(home)
    yield made
    made.close()


def journal(run: RunFolder) -> list[Event]:
    """Every event of a run."""
    return JournalReader(run.journal).read_all()


def assert_whole(run: RunFolder) -> list[Event]:
    """The journal counts 1, 2, 3, … and ends with `finished`; nobody holds the run."""
    events = journal(run)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1], Finished)
    until(lambda: lock_holder(run.lock) is None, "its worker has left")
    return events
