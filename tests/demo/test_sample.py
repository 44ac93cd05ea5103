"""The shipped sample dataset and regularisation set: what a newcomer's first bake starts from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.demo.paths import DATASET, REG, TRIGGER

PICTURES = sorted(p for p in DATASET.iterdir() if p.suffix in (".png", ".jpg"))


def tags_of(picture: Path) -> list[str]:
    return picture.with_suffix(".txt").read_text(encoding="utf-8").strip().split(", ")


def test_every_picture_has_a_caption_that_begins_with_the_trigger():
    assert 16 <= len(PICTURES) <= 24
    assert all(tags_of(p)[0] == TRIGGER for p in PICTURES)
    assert all(len(tags_of(p)) == len(set(tags_of(p))) >= 5 for p in PICTURES)


def test_captions_leave_the_bound_traits_to_the_trigger():
    named = {tag for p in PICTURES for tag in tags_of(p)}
    assert not named & {"aqua hair", "cat ears", "long hair"}
    assert {"glasses", "close-up", "portrait"} <= named


def test_sizes_and_formats_vary():
    sizes = {p.name: Image.open(p).size for p in PICTURES}
    assert {p.suffix for p in PICTURES} == {".png", ".jpg"}
    assert any(w != h for w, h in sizes.values())
    assert any(min(size) > 64 for size in sizes.values())
    assert all(min(size) >= 64 for size in sizes.values())


def test_aqua_marks_the_character_and_nobody_of_the_regularisation_set():
    def aqua(path: Path) -> float:
        hue, saturation, value = np.asarray(Image.open(path).convert("HSV").resize((64, 64))).transpose(2, 0, 1)
        return ((hue >= 118) & (hue <= 138) & (saturation > 120) & (value > 120)).mean()

    assert min(aqua(p) for p in PICTURES) > 0.08
    assert max(aqua(p) for p in REG.glob("*.png")) < 0.01


def test_regularisation_pictures_have_captions_without_the_trigger():
    pictures = sorted(REG.glob("*.png"))
    assert len(pictures) >= 16
    assert all(TRIGGER not in p.with_suffix(".txt").read_text() for p in pictures)


def test_the_package_needs_neither_torch_nor_pictures():
    code = "import sys, engine.demo as d; d.where(); print([m for m in ('torch', 'PIL', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_drawings_are_a_function_of_seed_and_index():
    data = pytest.importorskip("tools.demo_data", reason="needs the demo-models extra")
    first, again, other = data.draw(5, 3), data.draw(5, 3), data.draw(5, 4)
    assert first == again != other
    assert data.render(first.svg).tobytes() == data.render(again.svg).tobytes()
    assert not {t for i in range(100) for t in data.draw(5, i).tags} & {"aqua hair", "cat ears", "pixel style"}
