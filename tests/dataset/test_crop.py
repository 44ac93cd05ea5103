"""Crops are numbers beside the dataset: exact, whole, applied by plan, manifest and pixels, written only on demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from engine.dataset import sidecar
from engine.dataset.buckets import bucket_sizes
from engine.dataset.checks import diagnose
from engine.dataset.crop import centre_box, clear, crop, exact_fit, export, parse_size, part_size
from engine.dataset.manifest import freeze, thaw
from engine.dataset.pixels import load_rgb
from engine.dataset.plan import make_plan
from engine.dataset.scan import Dataset, reread, scan
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.protocol.records import Crop
from tests.dataset import make

SIDES = st.integers(1, 6000)
SIZES = st.tuples(st.integers(16, 2048), st.integers(16, 2048))


def cropped(root: Path, size: tuple[int, int]) -> Dataset:
    dataset = scan(root)
    crop(dataset, dataset.images, size)
    return reread(dataset, [image.name for image in dataset.images])


@given(SIDES, SIDES, SIZES)
@example(1200, 1000, (1024, 512))  # a peer pads this one with black
@example(1000, 1001, (512, 512))  # a peer divides by zero here
@example(1, 6000, (2048, 16))
def test_a_box_lies_in_the_picture_and_has_the_shape(width: int, height: int, size: tuple[int, int]) -> None:
    left, top, right, bottom = box = centre_box((width, height), size)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert width - (right - left) == 0 or height - (bottom - top) == 0
    assert abs((right - left) - (bottom - top) * size[0] / size[1]) <= max(1, size[0] / size[1])
    assert abs(left - (width - right)) <= 1
    assert abs(top - (height - bottom)) <= 1
    fit = exact_fit(Crop(box=box, size=size, of=(width, height)))
    assert fit.bucket == size == (fit.crop[2] - fit.crop[0], fit.crop[3] - fit.crop[1])
    assert fit.crop[0] >= 0 <= fit.crop[1]
    assert fit.crop[2] <= fit.resize[0]
    assert fit.crop[3] <= fit.resize[1]


def test_sizes_as_people_write_them() -> None:
    assert parse_size("512x768") == ((512, 768), None)
    assert parse_size(" 1024 × 768 ")[0] == (1024, 768)
    size, notice = parse_size("512X468")
    assert (size, notice and notice.code) == ((512, 768), "notice_size_alias")
    for text in ("", "512", "0x512", "512x", "-1x512", "99999x99999", "512x768x3", "a\x1b[31mxb"):
        with pytest.raises(EngineError) as raised:
            parse_size(text)
        assert raised.value.info.code == "size_invalid"


def test_a_crop_trains_instead_of_the_picture(tmp_path: Path) -> None:
    make.image(tmp_path / "wide.png", 300, 100)
    params = BakeParams(resolution=64)
    whole = make_plan(scan(tmp_path), None, params).items[0].fit
    dataset = cropped(tmp_path, (64, 64))
    (item,) = make_plan(dataset, None, params).items
    assert whole.bucket[0] > whole.bucket[1]
    assert item.fit.bucket == (64, 64)
    pixels = load_rgb(item.image.path, item.fit)
    assert pixels.shape == (64, 64, 3)
    # Red rises to the right: only the middle third of it is left, green is all there.
    assert 80 < pixels[:, 0, 0].mean() < 92
    assert 163 < pixels[:, -1, 0].mean() < 175
    assert pixels[0, :, 1].mean() < 4
    assert pixels[-1, :, 1].mean() > 251
    (entry,) = manifest = freeze(make_plan(dataset, None, params))
    assert entry.crop == dataset.images[0].crop
    assert thaw(manifest, params).items[0].fit == item.fit
    # What the latent's key is made of differs between two places of one picture.
    assert repr(item.fit) != repr(whole)
    clear(dataset, dataset.images)
    assert make_plan(scan(tmp_path), None, params).items[0].fit == whole


@given(st.integers(20, 400), st.integers(20, 400), st.data())
def test_any_part_fits_every_bucket_choice(width: int, height: int, data: st.DataObject) -> None:
    from engine.dataset.plan import fit_image
    from engine.dataset.scan import ImageFile

    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = (left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height)))
    params = BakeParams(resolution=64, bucket_no_upscale=data.draw(st.booleans()))
    image = ImageFile(
        name="x", path=Path("x"), width=width, height=height, crop=Crop(box=box, size=(64, 64), of=(width, height))
    )
    fit = fit_image(image, tuple(bucket_sizes(params)), params)
    assert fit.source == (width, height)
    assert (fit.crop[2] - fit.crop[0], fit.crop[3] - fit.crop[1]) == fit.bucket
    assert 0 <= fit.crop[0] <= fit.resize[0] - fit.bucket[0]
    assert 0 <= fit.crop[1] <= fit.resize[1] - fit.bucket[1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_those_of_the_upright_picture(tmp_path: Path, orientation: int) -> None:
    make.rotated(tmp_path / "a.jpg", 120, 60, orientation)
    (image,) = cropped(tmp_path, (60, 60)).images
    assert image.crop is not None
    assert (image.crop.of, image.crop.box) == ((120, 60), (30, 0, 90, 60))
    pixels = load_rgb(image.path, exact_fit(image.crop))
    assert 55 < pixels[:, 0, 0].mean() < 75
    assert 180 < pixels[:, -1, 0].mean() < 200


def test_exported_files_are_the_size_and_the_originals_stay(tmp_path: Path) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    make.image(root / "10_mira" / "a.png", 200, 100, caption="mira")
    make.rotated(root / "b.jpg", 90, 180, 6)
    Image.new("RGBA", (70, 70), (255, 0, 0, 0)).save(root / "c.webp")
    (root / "broken.png").write_bytes(b"no")
    sidecar.set_repeat(root, ["b.jpg"], 3)
    before = {path: path.read_bytes() for path in root.rglob("*.*") if path.is_file()}
    dataset = cropped(root, (48, 72))
    count, failed = export(dataset, dataset.images, out)
    assert (count, failed) == (3, [])
    for name in ("10_mira/a.png", "b.jpg", "c.webp"):
        with Image.open(out / name) as picture:
            assert (picture.size, picture.mode) == ((48, 72), "RGB")
    with Image.open(out / "c.webp") as picture:
        assert picture.getpixel((24, 36)) == (255, 255, 255)
    again = scan(out)
    assert {image.name: (image.caption, image.set_repeat) for image in again.images} == {
        "10_mira/a.png": ("mira", 10),
        "b.jpg": (None, 3),
        "c.webp": (None, None),
    }
    after = {path: path.read_bytes() for path in before if ".lorabake" not in path.parts}
    assert after == {path: data for path, data in before.items() if ".lorabake" not in path.parts}


def test_nothing_is_exported_over_a_file_or_into_the_dataset(tmp_path: Path) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    make.image(root / "a.png", 90, 90)
    make.image(root / "b.png", 90, 91)
    with pytest.raises(EngineError) as raised:
        export(scan(root), scan(root).images, out)
    assert raised.value.info.code == "crop_none"
    dataset = cropped(root, (48, 48))
    for inside in (root, root / "cropped", tmp_path):
        with pytest.raises(EngineError) as raised:
            export(dataset, dataset.images, inside)
        assert raised.value.info.code == "export_inside"
    out.mkdir()
    (out / "a.png").write_bytes(b"mine")
    count, failed = export(dataset, dataset.images, out)
    assert (count, [(finding.file, finding.code) for finding in failed]) == (1, [("a.png", "file_exists")])
    assert (out / "a.png").read_bytes() == b"mine"


def test_a_crop_of_another_picture_is_told_and_ignored(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png", 200, 100)
    cropped(tmp_path, (48, 48))
    make.image(tmp_path / "a.png", 100, 200)
    dataset = scan(tmp_path)
    assert (dataset.images[0].crop, dataset.images[0].problem) == (None, "crop_void")
    assert dataset.images[0].usable
    found = diagnose(dataset, None, BakeParams(resolution=64)).findings
    assert ("a.png", "crop_void") in {(finding.file, finding.code) for finding in found}


@pytest.mark.parametrize("box", [(0, 0, 201, 100), (-1, 0, 50, 50), (50, 0, 50, 50), (60, 0, 50, 50)])
def test_impossible_boxes_in_the_sidecar_are_ignored(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    make.image(tmp_path / "a.png", 200, 100)
    sidecar.set_crops(tmp_path, {"a.png": Crop(box=box, size=(48, 48), of=(200, 100))})
    assert scan(tmp_path).images[0].crop is None


def test_repeats_and_crops_live_side_by_side(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png", 200, 100)
    sidecar.set_repeat(tmp_path, ["a.png"], 4)
    dataset = cropped(tmp_path, (48, 48))
    assert (dataset.images[0].own_repeat, dataset.images[0].crop is None) == (4, False)
    clear(dataset, dataset.images)
    assert sidecar.read_sidecar(tmp_path).repeats == {"a.png": 4}


def test_the_doctor_judges_the_part_that_trains(tmp_path: Path) -> None:
    make.image(tmp_path / "strip.png", 640, 80)
    params = BakeParams(resolution=64)
    assert "image_extreme" in {finding.code for finding in diagnose(scan(tmp_path), None, params).findings}
    found = diagnose(cropped(tmp_path, (64, 64)), None, params)
    assert not {finding.code for finding in found.findings} & {"image_extreme", "image_cropped"}
    assert [(row.size, row.kept) for row in found.buckets] == [("64x64", 1.0)]


def test_part_size_takes_all_of_one_side() -> None:
    assert part_size((1200, 1000), (1024, 512)) == (1200, 600)
    assert part_size((1000, 1001), (512, 512)) == (1000, 1000)
    assert np.prod(part_size((3, 1), (512, 768))) >= 1
