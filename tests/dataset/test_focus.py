"""Focus crops keep the subject: drawn figures on many backgrounds, faces by their boxes, and nothing by chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from engine.dataset.buckets import Box
from engine.dataset.crop import centre_box, crop, focus_box
from engine.dataset.focus import Subject, prominence, subject
from engine.dataset.scan import reread, scan
from engine.demo.paths import where
from tests.dataset import make

NOTHING = np.zeros((8, 8), dtype=np.float32)
SIZES = ((512, 512), (512, 768), (768, 512), (1024, 768))


def background(kind: str, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    first, second = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
    if kind == "plain":
        return Image.new("RGB", (width, height), tuple(int(part) for part in first))
    share = np.linspace(0, 1, height)[:, None, None] * np.ones((1, width, 1))
    pixels = first * (1 - share) + second * share
    if kind == "mottled":
        spots = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        pixels = pixels * 0.6 + np.asarray(Image.fromarray(spots).resize((width, height))) * 0.4
    return Image.fromarray(pixels.astype(np.uint8))


def holds(box: Box, thing: Box, slack: float) -> bool:
    return (
        box[0] <= thing[0] + slack
        and box[1] <= thing[1] + slack
        and box[2] >= thing[2] - slack
        and box[3] >= thing[3] - slack
    )


def test_figures_stay_whole_where_the_middle_would_cut_them() -> None:
    """72 figures of the sample dataset at known places; the centre crop's share stands beside it."""
    rng = np.random.default_rng(11)
    figures = sorted(path for path in Path(where()["dataset"]).iterdir() if path.suffix in (".png", ".jpg"))
    focus, centre = [], []
    for number in range(72):
        width, height = ((900, 400), (400, 900))[number % 2]
        picture = background(("plain", "gradient", "mottled")[number % 3], width, height, rng)
        side = int(rng.integers(140, 240))
        with Image.open(figures[number % len(figures)]) as figure:
            pasted = figure.convert("RGB").resize((side, side))
        disc = Image.new("L", (side, side))
        ImageDraw.Draw(disc).ellipse((0, 0, side - 1, side - 1), fill=255)
        left, top = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        picture.paste(pasted, (left, top), disc)
        thing = (left, top, left + side, top + side)
        size = SIZES[number % len(SIZES)]
        focus.append(holds(focus_box(picture.size, size, subject(picture, None))[0], thing, side * 0.05))
        centre.append(holds(centre_box(picture.size, size), thing, side * 0.05))
    print(f"whole: focus {np.mean(focus):.0%}, centre {np.mean(centre):.0%}")
    assert np.mean(focus) >= 0.95
    assert np.mean(centre) < 0.6


@given(st.integers(200, 3000), st.integers(200, 3000), st.sampled_from(SIZES), st.data())
def test_one_face_is_never_cut_when_it_fits(
    width: int, height: int, size: tuple[int, int], data: st.DataObject
) -> None:
    left, top = data.draw(st.integers(0, width - 2)), data.draw(st.integers(0, height - 2))
    face = (left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height)))
    box, cut = focus_box((width, height), size, Subject([face], NOTHING))
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height
    fits = face[2] - face[0] < box[2] - box[0] and face[3] - face[1] < box[3] - box[1]
    assert not (fits and cut)
    assert cut == (not holds(box, face, 0))


def test_all_faces_if_they_fit_else_the_largest() -> None:
    large, small = (900, 200, 1000, 320), (100, 220, 150, 280)
    near = (700, 220, 760, 280)
    box, cut = focus_box((1400, 600), (512, 512), Subject([large, near], NOTHING))
    assert (holds(box, large, 0), holds(box, near, 0), cut) == (True, True, False)
    box, cut = focus_box((1400, 600), (512, 512), Subject([large, small], NOTHING))
    assert (holds(box, large, 0), holds(box, small, 0), cut) == (True, False, True)


def test_there_is_room_above_a_head() -> None:
    face = (250, 500, 350, 620)
    box, _ = focus_box((600, 2000), (512, 512), Subject([face], NOTHING))
    assert box[1] <= 500 - 0.6 * 120
    middle = (500 + 620) / 2
    assert 0.3 < (middle - box[1]) / (box[3] - box[1]) < 0.5


@pytest.mark.parametrize("size", SIZES)
def test_where_nothing_stands_out_the_middle_is_taken(size: tuple[int, int]) -> None:
    plain = Image.new("RGB", (900, 300), (40, 90, 200))
    assert float(prominence(plain).max()) == 0
    assert focus_box(plain.size, size, subject(plain, None)) == (centre_box(plain.size, size), False)


@given(st.integers(1, 60), st.integers(1, 400))
def test_pictures_of_any_shape_have_a_map(width: int, height: int) -> None:
    seen = prominence(make.gradient(width, height))
    assert np.isfinite(seen).all()
    box, _ = focus_box((width, height), (512, 768), Subject([], seen))
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height


def test_boxes_are_in_the_upright_picture_and_damage_is_told(tmp_path: Path) -> None:
    picture = Image.new("RGB", (800, 300), (120, 140, 120))
    picture.paste((200, 60, 40), (620, 90, 740, 210))
    exif = Image.Exif()
    exif[make.ORIENTATION] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    picture.save(tmp_path / "gone.png")
    dataset = scan(tmp_path)
    (tmp_path / "gone.png").write_bytes(b"")
    _, failed = crop(dataset, dataset.images, (512, 512), "focus")
    assert [(finding.file, finding.code) for finding in failed] == [("gone.png", "image_unreadable")]
    found = {image.name: image.crop for image in reread(dataset, ["turned.jpg", "gone.png"]).images}
    turned = found["turned.jpg"]
    assert turned is not None
    assert (turned.of, turned.mode, turned.faces) == ((800, 300), "focus", 0)
    assert holds(turned.box, (620, 90, 740, 210), 0)
    assert found["gone.png"] is None
