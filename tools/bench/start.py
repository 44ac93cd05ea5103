"""How long commands that need no screen take to answer, as multiples of a bare Python that imports argparse."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

ROUNDS = 7
YARDSTICK = [sys.executable, "-c", "import argparse; argparse.ArgumentParser().parse_args([])"]
COMMANDS: dict[str, list[str]] = {
    "lorabake --version": ["--version"],
    "lorabake --help": ["--help"],
    "lorabake bake --help": ["bake", "--help"],
    "lorabake params": ["params"],
}


def seconds(command: Sequence[str]) -> float:
    """Wall time of one run."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the median of `ROUNDS` interleaved runs, in milliseconds and as a ratio."""
    rows = {"python, argparse": YARDSTICK} | {
        name: [sys.executable, "-m", "lorabake_tui", *words] for name, words in COMMANDS.items()
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, command in rows.items():
            times[name].append(seconds(command))
    yardstick = statistics.median(times["python, argparse"])
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"{name:24} {middle * 1000:7.0f} ms  {middle / yardstick:5.2f} ×")


if __name__ == "__main__":
    main()
