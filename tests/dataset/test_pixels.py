"""Training pixels are exactly their bucket and the right way up; terminal pictures fit and stay inside."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engine.dataset import thumbs
from engine.dataset.buckets import bucket_sizes, cover, fit
from engine.dataset.pixels import load_rgb, picture
from engine.dataset.scan import scan
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.protocol.records import Picture
from tests.dataset import make


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("LORABAKE_HOME", str(home))
    return home


def loaded(path: Path, bucket: tuple[int, int] = (64, 64)) -> NDArray[np.uint8]:
    row = scan(path.parent).images[0]
    return load_rgb(path, cover(row.width, row.height, bucket))


def inflated(shown: Picture) -> NDArray[np.uint8]:
    flat = np.frombuffer(zlib.decompress(shown.data), np.uint8)
    return flat.reshape(shown.height, shown.width, 3)


@pytest.mark.parametrize("size", [(64, 64), (300, 500), (1000, 90), (7, 9), (65, 64)])
@pytest.mark.parametrize("no_upscale", [False, True])
def test_pixels_are_exactly_the_bucket(tmp_path: Path, size: tuple[int, int], no_upscale: bool) -> None:
    path = make.image(tmp_path / "set" / "a.png", *size)
    params = BakeParams(resolution=128, bucket_no_upscale=no_upscale)
    found = fit(*size, bucket_sizes(params), params)
    pixels = load_rgb(path, found)
    assert pixels.shape == (found.bucket[1], found.bucket[0], 3)
    assert pixels.dtype == np.uint8


def test_a_picture_of_the_buckets_size_is_not_touched(tmp_path: Path) -> None:
    path = make.image(tmp_path / "set" / "a.png")
    assert np.array_equal(loaded(path), np.asarray(make.gradient(64, 64)))


def test_the_crop_is_the_centre(tmp_path: Path) -> None:
    path = make.image(tmp_path / "set" / "a.png", 192, 64)
    whole = np.asarray(make.gradient(192, 64))
    assert np.array_equal(loaded(path), whole[:, 64:128])


@pytest.mark.parametrize("size", [(640, 640), (80, 80), (32, 32), (500, 300)])
def test_scaling_keeps_every_place(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make.image(tmp_path / "set" / "a.png", *size)
    pixels = loaded(path).astype(int)
    side = min(size)
    cut = np.asarray(make.gradient(*size).crop(
        ((size[0] - side) // 2, (size[1] - side) // 2, (size[0] + side) // 2, (size[1] + side) // 2)
    ).resize((64, 64), Image.Resampling.BOX))  # fmt: skip
    assert np.abs(pixels - cut).max() <= 8
    assert np.abs(pixels - cut).mean() < 1.5


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    (tmp_path / "set").mkdir()
    path = make.rotated(tmp_path / "set" / f"a{suffix}", 48, 80, orientation)
    pixels = loaded(path, (48, 80)).astype(int)
    assert np.abs(pixels - np.asarray(make.gradient(48, 80))).mean() < 3
    shown = inflated(picture(path.parent, path.name, 48, 80)).astype(int)
    assert np.abs(shown - np.asarray(make.gradient(48, 80))).mean() < 3


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    clear = Image.new("RGBA", (64, 64), (10, 20, 30, 0))
    clear.paste((200, 0, 0, 255), (0, 0, 32, 64))
    clear.save(folder / "rgba.png")
    clear.save(folder / "rgba.webp", lossless=True)
    grey = Image.new("LA", (64, 64), (90, 0))
    grey.paste((90, 255), (0, 0, 32, 64))
    grey.save(folder / "la.png")
    palette = clear.convert("P")
    palette.info["transparency"] = palette.getpixel((60, 60))
    palette.save(folder / "p.png", transparency=palette.getpixel((60, 60)))
    Image.new("RGB", (64, 64), (1, 2, 3)).save(folder / "trns.png", transparency=(1, 2, 3))
    for path in sorted(folder.iterdir()):
        pixels = load_rgb(path, cover(64, 64, (64, 64)))
        assert pixels[30, 60].tolist() == [255, 255, 255], path.name
    assert load_rgb(folder / "rgba.png", cover(64, 64, (64, 64)))[30, 5].tolist() == [200, 0, 0]


def test_other_colour_modes_become_rgb(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(folder / "cmyk.jpg", quality=100)
    Image.new("L", (64, 64), 128).save(folder / "grey.png")
    Image.new("1", (64, 64), 1).save(folder / "bits.png")
    Image.fromarray(np.full((64, 64), 0x8000, np.uint16)).save(folder / "deep.png")
    expected = {"cmyk.jpg": (255, 0, 0), "grey.png": (128,) * 3, "bits.png": (255,) * 3, "deep.png": (128,) * 3}
    for name, colour in expected.items():
        pixels = load_rgb(folder / name, cover(64, 64, (64, 64)))
        assert np.abs(pixels.astype(int) - colour).max() <= 3, name


def test_of_a_moving_picture_the_first_frame_counts(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    frames[0].save(folder / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(folder / "b.png", save_all=True, append_images=frames[1:])
    for image in scan(folder).images:
        assert (image.width, image.height, image.problem) == (64, 64, "")
        assert load_rgb(image.path, cover(64, 64, (64, 64)))[9, 9].tolist() == [200, 0, 0]


def test_large_jpegs_of_every_mode_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for mode, colour in (("CMYK", (0, 255, 255, 0)), ("L", 76), ("RGB", (255, 0, 0))):
        Image.new(mode, (2000, 1000), colour).save(folder / f"{mode}.jpg", quality=95)
        shown = inflated(picture(folder, f"{mode}.jpg", 50, 50))
        assert shown.shape == (25, 50, 3)
        wanted = (76, 76, 76) if mode == "L" else (255, 0, 0)
        assert np.abs(shown[12, 25].astype(int) - wanted).max() <= 3, mode


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    path = folder / "cut.png"
    data = bytearray(make.encoded("PNG", 200, 200))
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(EngineError) as failure:
        load_rgb(path, cover(200, 200, (64, 64)))
    assert (failure.value.info.code, failure.value.info.args["file"]) == ("image_unreadable", "cut.png")
    with pytest.raises(EngineError, match="no longer"):
        load_rgb(folder / "gone.png", cover(64, 64, (64, 64)))


def test_a_picture_that_changed_its_size_is_not_stretched(tmp_path: Path) -> None:
    path = make.image(tmp_path / "set" / "a.png", 100, 50)
    found = cover(100, 50, (64, 64))
    make.image(path, 50, 100)
    with pytest.raises(EngineError) as failure:
        load_rgb(path, found)
    assert failure.value.info.code == "dataset_changed"


@pytest.mark.parametrize(
    ("size", "asked", "given"),
    [
        ((400, 200), (80, 80), (80, 40)),
        ((200, 400), (80, 80), (40, 80)),
        ((10, 10), (80, 60), (60, 60)),
        ((3000, 1), (60, 60), (60, 1)),
        ((100, 100), (0, 0), (1, 1)),
        ((100, 100), (9999, 9999), (1024, 1024)),
    ],
)
def test_a_picture_fits_what_was_asked(
    tmp_path: Path, size: tuple[int, int], asked: tuple[int, int], given: tuple[int, int]
) -> None:
    make.image(tmp_path / "set" / "a.png", *size)
    shown = picture(tmp_path / "set", "a.png", *asked)
    assert (shown.width, shown.height) == given
    assert (shown.full_width, shown.full_height) == size
    assert inflated(shown).shape == (given[1], given[0], 3)


def noisy(path: Path, orientation: int = 1, shift: int = 0) -> Path:
    """A JPEG large enough for the cache: a gradient under noise."""
    noise = np.random.default_rng(0).integers(0, 40, (900, 1200, 3))
    pixels = np.clip(np.asarray(make.gradient(1200, 900)).astype(int) + noise + shift, 0, 255)
    exif = Image.Exif()
    exif[make.ORIENTATION] = orientation
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, exif=exif, quality=95)
    return path


def test_a_large_picture_comes_from_the_cache_the_second_time(tmp_path: Path, own_home: Path) -> None:
    path = noisy(tmp_path / "set" / "big.jpg", orientation=6)
    first = picture(path.parent, path.name, 120, 120)
    assert (first.width, first.height) == (90, 120)
    assert (first.full_width, first.full_height) == (900, 1200)
    cached = list((own_home / "cache" / "thumbs").iterdir())
    assert len(cached) == 1
    # Proof that it is read: what stands there is what is shown.
    entry = cached[0]
    red = Image.new("RGB", (384, 512), (255, 0, 0))
    red.save(entry, "JPEG", comment="900x1200")
    assert inflated(picture(path.parent, path.name, 120, 120))[60, 60].tolist() == [254, 0, 0]
    # A damaged entry is made again.
    entry.write_bytes(b"junk")
    again = inflated(picture(path.parent, path.name, 120, 120)).astype(int)
    assert np.abs(again - inflated(first).astype(int)).max() <= 6
    # A changed file is another picture.
    noisy(path, orientation=1)
    os.utime(path, ns=(5, 5))
    assert picture(path.parent, path.name, 120, 120).width == 120


def test_a_cache_that_cannot_be_written_is_only_slower(tmp_path: Path, own_home: Path) -> None:
    path = noisy(tmp_path / "set" / "big.jpg")
    own_home.mkdir()
    (own_home / "cache").write_text("a file where the folder should be")
    assert picture(path.parent, path.name, 100, 100).width == 100


def test_the_cache_forgets_the_oldest(own_home: Path) -> None:
    for number in range(10):
        thumbs.store(f"{number}", make.gradient(8, 8), (8, 8))
        os.utime(own_home / "cache" / "thumbs" / f"{number}.jpg", ns=(number, number))
    thumbs.prune(10)
    assert len(list((own_home / "cache" / "thumbs").iterdir())) == 10
    thumbs.prune(6)
    assert {entry.name for entry in (own_home / "cache" / "thumbs").iterdir()} == {"7.jpg", "8.jpg", "9.jpg"}
