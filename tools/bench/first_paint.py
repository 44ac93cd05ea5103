"""First paint of `lorabake` beside that of Textual's own demo, each in a 120×36 pseudo-terminal; and key to paint.

A paint counts when the alternate screen shows at least sixty visible characters. Runs alternate, so that both meet
the same load; the best of each is compared, for anything above it is the machine's doing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

ROUNDS = 8
KEYS = 60
ROWS = 10_000
_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?<=>]*[A-Za-z]|[()=>78][B0]?|\][^\x07\x1b]*(?:\x07|\x1b\\)|P[^\x1b]*\x1b\\)")


class Terminal:
    """A program in a pseudo-terminal of its own."""

    def __init__(self, module: str, *words: str, home: Path) -> None:
        self.started = time.perf_counter()
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "LORABAKE_HOME": str(home), "LORABAKE_LANG": "en"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
        )
        os.close(slave)

    def read(self, seconds: float) -> bytes:
        """What came within some seconds, b"" when nothing did."""
        if not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self.master, 1 << 16)
        except OSError:
            return b""

    def until_painted(self) -> float:
        """Seconds from the start of the process to its first paint."""
        seen = b""
        while time.perf_counter() - self.started < 60:
            seen += self.read(1)
            shown = seen.partition(b"\x1b[?1049h")[2]
            if len(re.sub(rb"\s", b"", _ESCAPES.sub(b"", shown))) >= 60:
                return time.perf_counter() - self.started
        raise SystemExit("nothing was painted within a minute")

    def until_says(self, text: bytes) -> None:
        """Wait until a text was written."""
        seen, limit = b"", time.perf_counter() + 120
        while text not in seen:
            if time.perf_counter() > limit:
                raise SystemExit(f"{text!r} was not painted within two minutes")
            seen = seen[-4096:] + self.read(1)

    def key_to_paint(self, key: bytes) -> float:
        """Seconds from a key to the first bytes painted for it."""
        while self.read(0.05):
            pass
        pressed = time.perf_counter()
        os.write(self.master, key)
        self.read(10)
        return time.perf_counter() - pressed

    def end(self) -> None:
        """Kill the program and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


def first_paint(module: str, home: Path) -> float:
    """One start of a module."""
    terminal = Terminal(module, home=home)
    try:
        return terminal.until_painted()
    finally:
        terminal.end()


def keys_over(rows: int, home: Path) -> list[float]:
    """Times from key to paint while moving through a dataset of some rows (one picture under many names)."""
    folder = home / "images"
    folder.mkdir()
    first = folder / "000000.png"
    from PIL import Image

    Image.new("RGB", (64, 64), (90, 60, 30)).save(first)
    for number in range(1, rows):
        os.link(first, folder / f"{number:06}.png")
    terminal = Terminal("lorabake_tui", str(folder), home=home)
    try:
        terminal.until_says(f"{rows} images".encode())
        return [terminal.key_to_paint(b"j" if number % 5 else b"\x1b[6~") for number in range(KEYS)]
    finally:
        terminal.end()


def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="lorabake-bench-"))
    try:
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(first_paint("lorabake_tui", folder / "home"))
            theirs.append(first_paint("textual", folder / "home"))
        print(f"first paint: lorabake {min(ours) * 1000:.0f} ms, textual's demo {min(theirs) * 1000:.0f} ms")
        print(f"ratio of the best {min(ours) / min(theirs):.2f}")
        print(f"ratio of the medians {statistics.median(ours) / statistics.median(theirs):.2f}")
        times = sorted(keys_over(ROWS, folder))
        p95 = times[int(len(times) * 0.95)]
        print(f"key to paint, {ROWS} images: median {statistics.median(times) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
