"""A home of its own for every test of the commands, and a way to run the real program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine_processes import Home

ROOT = Path(__file__).resolve().parents[2]


class Lorabake:
    """Runs `python -m lorabake_tui` as a process of its own, in English, with its own home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.engine = Home(home, rate=500)
        kept = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "LC_MESSAGES", "NO_COLOR", "COLUMNS")}
        self.env = {
            **kept,
            "LORABAKE_HOME": str(home),
            "LORABAKE_LANG": "en",
            "LORABAKE_FAKE_RATE": "500",
            "LORABAKE_DEVICE": "cpu",
            "LORABAKE_GRACE": "0.5",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "lorabake_tui", *words]

    def run(self, *words: str, timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*words),
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture
def lorabake(tmp_path: Path) -> Iterator[Lorabake]:
    program = Lorabake(tmp_path / "home")
    yield program
    program.engine.clean()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four small pictures with captions."""
    from PIL import Image

    folder = tmp_path / "mira"
    folder.mkdir()
    for index in range(4):
        Image.new("RGB", (72, 64), (40 * index, 90, 200 - 40 * index)).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"mira, solo, picture {index}", encoding="utf-8")
    return folder
