"""Focus crops of photographs keep what a person said is the subject; the centre crop's share stands beside it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from engine.dataset.buckets import Box
from engine.dataset.crop import centre_box, focus_box, part_size
from engine.dataset.focus import subject
from engine.faces.finder import FaceFinder

PHOTOS = Path(__file__).resolve().parents[1] / "data" / "photos"
SUBJECTS: dict[str, Box] = {
    "astronaut": (133, 55, 223, 148),
    "camera": (121, 48, 258, 164),
    "chelsea": (120, 75, 306, 238),
    "coffee": (115, 12, 273, 190),
    "rocket": (189, 78, 213, 247),
}
"""Face, head and camera, eyes to nose, cup, rocket, in pixels; drawn by hand, no detector was asked."""
SIZES = ((512, 512), (512, 768), (768, 512))
EACH = 15
SLACK = 0.05
ROOM = 1.2
"""The crop is at least so many times as large as the subject, either way."""


def window(whole: tuple[int, int], thing: Box, rng: np.random.Generator) -> tuple[Box, tuple[int, int]]:
    """A part of the photograph that holds the subject somewhere, and more beside it than a crop to the size keeps."""
    while True:
        size = SIZES[int(rng.integers(len(SIZES)))]
        left, top = int(rng.integers(0, thing[0] + 1)), int(rng.integers(0, thing[1] + 1))
        right, bottom = int(rng.integers(thing[2], whole[0] + 1)), int(rng.integers(thing[3], whole[1] + 1))
        width, height = right - left, bottom - top
        part = part_size((width, height), size)
        roomy = part[0] >= ROOM * (thing[2] - thing[0]) and part[1] >= ROOM * (thing[3] - thing[1])
        if roomy and width - part[0] + height - part[1] >= 0.15 * max(width, height):
            return (left, top, right, bottom), size


def test_subjects_of_photographs_stay_whole() -> None:
    """75 crops; with LORABAKE_FACE_MODEL (a YuNet or YOLO file) faces are looked for as well."""
    model = os.environ.get("LORABAKE_FACE_MODEL", "")
    finder = FaceFinder(Path(model)) if model else None
    rng = np.random.default_rng(7)
    focus, centre = [], []
    for name, thing in SUBJECTS.items():
        with Image.open(PHOTOS / f"{name}.jpg") as photograph:
            picture = photograph.convert("RGB")
        for _ in range(EACH):
            (left, top, right, bottom), size = window(picture.size, thing, rng)
            seen = picture.crop((left, top, right, bottom))
            wanted = (thing[0] - left, thing[1] - top, thing[2] - left, thing[3] - top)
            focus.append(holds(focus_box(seen.size, size, subject(seen, finder))[0], wanted))
            centre.append(holds(centre_box(seen.size, size), wanted))
    print(f"whole in {len(focus)} crops: focus {np.mean(focus):.0%}, centre {np.mean(centre):.0%}")
    assert np.mean(focus) >= 0.95
    assert np.mean(centre) < 0.7


def holds(box: Box, thing: Box) -> bool:
    across, down = SLACK * (thing[2] - thing[0]), SLACK * (thing[3] - thing[1])
    return (
        box[0] <= thing[0] + across
        and box[1] <= thing[1] + down
        and box[2] >= thing[2] - across
        and box[3] >= thing[3] - down
    )
