"""Params with 1,000 images in a 120×36 pseudo-terminal: opening the section, and a key to the estimate it changes.

What is timed lies between the key's byte and the words on the screen; the best and the median of several rounds.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from tools.bench.first_paint import Terminal

ROUNDS = 15
STARTS = 4
IMAGES = 1000
_FORM = re.compile(b"Repeats per image")


def until(terminal: Terminal, pattern: re.Pattern[bytes], limit: float = 60.0) -> float:
    """Seconds until something that fits the pattern was painted."""
    began, seen = time.perf_counter(), b""
    while not pattern.search(seen):
        if time.perf_counter() - began > limit:
            raise SystemExit(f"{pattern.pattern!r} was not painted within {limit:.0f} s")
        seen = seen[-4096:] + terminal.read(0.5)
    return time.perf_counter() - began


def quiet(terminal: Terminal) -> None:
    """Wait until nothing more is painted."""
    while terminal.read(0.3):
        pass


def opened(images: Path, home: Path, *, rested: bool) -> float:
    """Seconds from the key to the form in a new app: pressed at its first paint, or once it paints no more."""
    terminal = Terminal("lorabake_tui", str(images), home=home)
    try:
        terminal.until_painted()
        if rested:
            terminal.until_says(f"{IMAGES} images".encode())
            quiet(terminal)
        os.write(terminal.master, b"3")
        return until(terminal, _FORM)
    finally:
        terminal.end()


def _rest(times: list[float]) -> str:
    return ", ".join(f"{time * 1000:.0f}" for time in sorted(times)[1:])


def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="lorabake-bench-"))
    images = folder / "images"
    images.mkdir()
    try:
        from PIL import Image

        first = images / "000000.png"
        Image.new("RGB", (64, 64), (90, 60, 30)).save(first)
        first.with_suffix(".txt").write_text("a, b")
        for number in range(1, IMAGES):
            os.link(first, images / f"{number:06}.png")
            (images / f"{number:06}.txt").write_text("a, b")
        hasty = [opened(images, folder / "home", rested=False) for _ in range(STARTS)]
        calm = [opened(images, folder / "home", rested=True) for _ in range(STARTS - 1)]
        print(f"opened by a key at first paint: best {min(hasty) * 1000:.0f} ms, then {_rest(hasty)}")
        terminal = Terminal("lorabake_tui", str(images), home=folder / "home")
        try:
            terminal.until_says(f"{IMAGES} images".encode())
            quiet(terminal)
            os.write(terminal.master, b"3")
            calm.append(until(terminal, _FORM))
            print(f"first opening of Params: best {min(calm) * 1000:.0f} ms, then {_rest(calm)} (limit 150)")
            quiet(terminal)
            again = []
            for _ in range(ROUNDS):
                quiet(terminal)
                os.write(terminal.master, b"1")
                quiet(terminal)
                os.write(terminal.master, b"3")
                again.append(until(terminal, _FORM))
            print(f"opening it again: best {min(again) * 1000:.0f} ms, median {statistics.median(again) * 1000:.0f} ms")
            # Each step of Epochs changes the image views, which only the engine's answer paints.
            os.write(terminal.master, b"/")
            quiet(terminal)
            os.write(terminal.master, b"epochs\r")
            quiet(terminal)
            times = []
            for number in range(ROUNDS):
                quiet(terminal)
                os.write(terminal.master, b"l" if number % 2 == 0 else b"h")
                times.append(until(terminal, re.compile(rb"\d000")))
            print(
                f"key to new estimate, {IMAGES} images: best {min(times) * 1000:.0f} ms, "
                f"median {statistics.median(times) * 1000:.0f} ms (limit 50)"
            )
        finally:
            terminal.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
