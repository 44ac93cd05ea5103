"""A new user at 80×24: pictures added, three bad files found and mended, crops reviewed, repeats set, by shown keys."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.terminal import Terminal, until

pytestmark = pytest.mark.timeout(600)

SIDE_BY_SIDE = (900, 768)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four good pictures with captions in ~/pics, and three bad files: unreadable, stored lying, wrong ending."""
    folder = tmp_path / "pics"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png", "c.png", "d.png", "lying.jpg", "ending.png")):
        picture = Image.new("RGB", SIDE_BY_SIDE, (30 * number, 120, 60))
        picture.paste((240, 200, 180), (500, 200 + 40 * number, 760, 640))
        exif = Image.Exif()
        if name == "lying.jpg":
            exif[0x112] = 6
        picture.save(folder / name, "PNG" if name in ("a.png", "b.png", "c.png", "d.png") else "JPEG", exif=exif)
        (folder / name).with_suffix(".txt").write_text(f"mira, part {number}")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "bad.txt").write_text("mira")
    return folder


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """The app in an 80×24 terminal of 256 colours, started with nothing but a home folder."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LORABAKE_HOME": str(tmp_path / "home"),
        "LORABAKE_LANG": "en",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with Terminal([sys.executable, "-m", "lorabake_tui"], env, columns=80, rows=24) as started:
        yield started


def _press_shown(terminal: Terminal, *hints: str) -> None:
    """Press keys, each only once its hint (`key Verb`) stands on the screen."""
    for hint in hints:
        terminal.wait_for(hint)
        key = hint.split()[0]
        terminal.press({"Enter": "enter", "Esc": "escape", "space": " "}.get(key, key))


def _facts(dataset: Path) -> dict:
    path = dataset / ".lorabake" / "dataset.json"
    return json.loads(path.read_bytes()) if path.exists() else {}


def test_first_day(terminal: Terminal, pictures: Path) -> None:
    originals = {path.name: path.read_bytes() for path in pictures.iterdir()}
    dataset = pictures.with_name("pics-lora")

    _press_shown(terminal, "i Add")
    terminal.wait_for("Add images: a file, a folder, or a zip", "~/")
    terminal.press("pics")
    _press_shown(terminal, "Enter OK")
    terminal.wait_for("New dataset", "as copies")
    _press_shown(terminal, "Enter OK")
    until(lambda: (dataset / "d.png").exists(), "the pictures are added")
    terminal.wait_for("left out", "bad.png")  # what is no picture is not taken, and told
    _press_shown(terminal, "Esc Back")
    (dataset / "bad.png").write_bytes(originals["bad.png"])
    (dataset / "bad.txt").write_bytes(originals["bad.txt"])

    _press_shown(terminal, "w Findings")
    terminal.wait_for("Findings ·")
    _press_shown(terminal, "c Check")
    terminal.wait_for("3 can be mended", "unreadable", "stored lying", "wrong ending")
    _press_shown(terminal, "F Fix all")
    until(lambda: (dataset / "ending.jpg").exists(), "all three are mended")
    terminal.wait_for("6 images")
    assert not (dataset / "bad.png").exists()
    assert (dataset / "ending.jpg").exists()

    _press_shown(terminal, "c Crop")
    terminal.wait_for("64 × 96", "the subject", "↓ Down")  # the embedded base's own sizes come first
    terminal.press("down", "512x768")
    terminal.wait_for("512 × 768", "None would be enlarged")
    _press_shown(terminal, "Enter OK")
    terminal.wait_for("Crops · 6", "1/6")
    for place in range(1, 7):
        terminal.wait_for(f"{place}/6")
        _press_shown(terminal, "Enter Accept")
    terminal.wait_for("That was the last one")
    _press_shown(terminal, "Esc Back", "space Mark", "r Repeat")
    terminal.wait_for("Repeat of a.png")
    terminal.press("12", "enter")
    until(lambda: _facts(dataset).get("repeats") == {"a.png": 12}, "the repeat is kept")

    crops = _facts(dataset)["crops"]
    assert len(crops) == 6
    assert all(crop["size"] == [512, 768] and crop["accepted"] for crop in crops.values())
    left, _top, right, _bottom = crops["a.png"]["box"]
    assert left <= 500 < 760 <= right
    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == originals
