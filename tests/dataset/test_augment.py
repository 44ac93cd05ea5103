"""Mirrored copies and views, splits, repeats by group, crops by hand, and the folder that kohya's trainers read."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.dataset import groups, kohya
from engine.dataset.augment import mirror, split, split_boxes
from engine.dataset.crop import crop
from engine.dataset.crop_by_hand import set_crop, suggest
from engine.dataset.manifest import freeze, thaw
from engine.dataset.mirroring import mirrored_words
from engine.dataset.plan import make_plan
from engine.dataset.scan import Dataset, ImageFile, find, scan
from engine.dataset.undo import take_back
from engine.protocol.datasets import SetCrop
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.protocol.records import Crop
from tests.dataset import make


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    root = tmp_path / "set"
    make.image(root / "10_face/a.png", 96, 64, caption="mira, Left hand up, text")
    make.image(root / "10_face/b.jpg", 64, 80, caption="mira")
    make.image(root / "wide.png", 300, 64)
    return scan(root)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_mirrored_files_bring_caption_crop_and_repeat(dataset: Dataset) -> None:
    set_crop(dataset, find(dataset, "10_face/a.png"), SetCrop(path="", image="", size="32x32", point=(20, 30)), None)
    groups.set_repeat(scan(dataset.path), 3, images=["10_face/a.png"])
    dataset = scan(dataset.path)
    report = mirror(dataset, dataset.images[:1])
    assert (report.made, report.count) == (["10_face/a_mirror.png"], 1)
    assert [finding.code for finding in report.notices] == ["flip_asymmetry", "mirror_words"]
    again = scan(dataset.path)
    made, original = find(again, "10_face/a_mirror.png"), find(again, "10_face/a.png")
    assert (made.caption, made.own_repeat) == ("mira, Right hand up, text", 3)
    assert original.crop is not None
    assert made.crop is not None
    left, top, right, bottom = original.crop.box
    assert made.crop.box == (96 - right, top, 96 - left, bottom)
    assert np.array_equal(pixels(made.path), pixels(original.path)[:, ::-1])
    assert mirror(again, again.images).made == ["10_face/b_mirror.jpg", "wide_mirror.png"]
    take_back(dataset.path)
    take_back(dataset.path)
    assert len(scan(dataset.path).images) == 3


def test_parts_cover_the_picture_and_overlap(dataset: Dataset) -> None:
    report = split(dataset, dataset.images, overlap=0.25, ratio=2, repeat=2)
    assert len(report.made) == 6
    assert all(name.startswith("wide_part") for name in report.made)
    parts = [find(scan(dataset.path), name) for name in report.made]
    assert {(part.width, part.height, part.own_repeat) for part in parts} == {(64, 64, 2)}
    boxes = split_boxes((300, 64), (1, 1), 0.25, 1.5)
    assert (boxes[0][0], boxes[-1][2]) == (0, 300)
    assert all(one[2] - two[0] >= 16 for one, two in itertools.pairwise(boxes))
    assert np.array_equal(pixels(parts[2].path), pixels(dataset.path / "wide.png")[:, boxes[2][0] : boxes[2][2]])
    assert split_boxes((1000, 1001), (512, 512), 0.2, 1.5) == []
    assert split_boxes((64, 300), (512, 768), 0.2, 1.5)[-1][3] == 300
    take_back(dataset.path)
    assert len(scan(dataset.path).images) == 3


def test_mirrored_views_train_and_survive_the_manifest(dataset: Dataset) -> None:
    warnings = groups.set_flip(dataset, dataset.images, on=True, repeat=None)
    assert [(finding.code, finding.file) for finding in warnings] == [("flip_asymmetry", "10_face/a.png")]
    groups.set_flip(dataset, [dataset.images[2]], on=True, repeat=1)
    params = BakeParams(repeat=4, epochs=1, resolution=64)
    plan = make_plan(scan(dataset.path), None, params)
    views = [(item.image.name, item.flip, item.repeat) for item in plan.items]
    assert views == [
        ("10_face/a.png", False, 10),
        ("10_face/a.png", True, 10),
        ("10_face/b.jpg", False, 10),
        ("10_face/b.jpg", True, 10),
        ("wide.png", False, 4),
        ("wide.png", True, 1),
    ]
    assert plan.items[1].image.caption == "mira, Right hand up, text"
    assert (plan.image_views, sum(row.images for row in plan.buckets)) == (45, 3)
    thawed = thaw(freeze(plan), params)
    assert [(item.image.name, item.flip, item.repeat, item.image.caption) for item in thawed.items] == [
        (item.image.name, item.flip, item.repeat, item.image.caption or "") for item in plan.items
    ]
    groups.set_flip(dataset, dataset.images, on=False, repeat=None)
    assert not any(item.flip for item in make_plan(scan(dataset.path), None, params).items)


def test_words_that_name_sides() -> None:
    assert mirrored_words("LEFT, Right eye, leftover, bright") == "RIGHT, Left eye, leftover, bright"


def test_an_images_repeat_beats_its_marks_beats_its_folders(dataset: Dataset) -> None:
    def repeats() -> list[int | None]:
        return [image.set_repeat for image in scan(dataset.path).images]

    def again() -> Dataset:
        return scan(dataset.path)

    assert groups.set_repeat(dataset, 6, folder="10_face/") == ["10_face/a.png", "10_face/b.jpg"]
    assert repeats() == [6, 6, None]
    groups.set_mark(again(), again().images[1:], "f", on=True)
    groups.set_mark(again(), again().images[1:2], "b", on=True)
    groups.set_repeat(again(), 2, mark="f")
    groups.set_repeat(again(), 9, mark="b")
    assert repeats() == [6, 9, 2]
    groups.set_repeat(again(), 0, images=["10_face/b.jpg"])
    assert repeats() == [6, 0, 2]
    assert [image.marks for image in again().images] == ["", "bf", "f"]
    groups.set_repeat(again(), None, folder="10_face")
    assert repeats() == [10, 0, 2]
    for wrong in ("", "ab", "!"):
        with pytest.raises(EngineError):
            groups.set_mark(again(), again().images, wrong, on=True)
    with pytest.raises(EngineError, match="No image"):
        groups.set_repeat(again(), 3, folder="nowhere")


def test_a_crop_placed_by_hand_outlives_a_batch(dataset: Dataset) -> None:
    def of(name: str) -> Crop:
        image: ImageFile = find(scan(dataset.path), name)
        assert image.crop is not None
        return image.crop

    def hand(name: str, **asked: object) -> None:
        again = scan(dataset.path)
        set_crop(again, find(again, name), SetCrop(path="", image=name, **asked), None)  # type: ignore[arg-type]

    hand("wide.png", size="64x64", point=(290, 5))
    assert (of("wide.png").box, of("wide.png").mode) == ((236, 0, 300, 64), "point")
    hand("10_face/b.jpg", box=(1, 2, 33, 34), accepted=True)
    assert (of("10_face/b.jpg").size, of("10_face/b.jpg").accepted) == ((32, 32), True)
    again = scan(dataset.path)
    kept, _ = crop(again, again.images, (32, 64), "center")
    assert kept == 2
    assert of("wide.png").box == (268, 0, 300, 64)
    assert of("10_face/b.jpg").box == (0, 0, 40, 80)
    hand("10_face/a.png", box=of("10_face/a.png").box, accepted=True)
    assert (of("10_face/a.png").mode, of("10_face/a.png").accepted) == ("center", True)
    with pytest.raises(EngineError, match="does not lie"):
        hand("10_face/a.png", box=(0, 0, 97, 64))
    hand("10_face/a.png")
    assert find(scan(dataset.path), "10_face/a.png").crop is None
    take_back(dataset.path)
    assert of("10_face/a.png").accepted
    choices = suggest(again, find(again, "wide.png"), "64x64", None).choices
    assert {choice.why for choice in choices} <= {"salient", "center"}
    assert (118, 0, 182, 64) in {choice.box for choice in choices}


def test_export_for_kohya(dataset: Dataset, tmp_path: Path) -> None:
    make.rotated(dataset.path / "turned.jpg", 80, 60, 6)
    groups.set_flip(dataset, [find(dataset, "10_face/b.jpg")], on=True, repeat=2)
    set_crop(dataset, find(dataset, "wide.png"), SetCrop(path="", image="", size="32x48", point=(9, 9)), None)
    reg = tmp_path / "reg"
    make.image(reg / "r.png", 70, 70)
    out = tmp_path / "out"
    params = BakeParams(repeat=3, resolution=64, batch_size=2, shuffle_caption=True, keep_tokens=1)
    report = kohya.export(scan(dataset.path), scan(reg), params, out)
    assert report.failed == []
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == [
        "dataset.toml",
        "img/10_set/10_face__a.png",
        "img/10_set/10_face__a.txt",
        "img/10_set/10_face__b.jpg",
        "img/10_set/10_face__b.txt",
        "img/2_set/10_face__b_mirror.jpg",
        "img/2_set/10_face__b_mirror.txt",
        "img/3_set/turned.jpg",
        "img/3_set/wide.png",
        "reg/1_reg/r.png",
    ]
    assert (out / "img/10_set/10_face__a.png").stat().st_ino == (dataset.path / "10_face/a.png").stat().st_ino
    assert pixels(out / "img/3_set/wide.png").shape == (48, 32, 3)
    assert pixels(out / "img/3_set/turned.jpg").shape == (60, 80, 3)
    told = tomllib.loads((out / "dataset.toml").read_text())
    (entry,) = told["datasets"]
    assert (entry["resolution"], entry["batch_size"], entry["max_bucket_reso"]) == (64, 2, 128)
    assert [(Path(s["image_dir"]).name, s["num_repeats"], s.get("is_reg", False)) for s in entry["subsets"]] == [
        ("10_set", 10, False),
        ("2_set", 2, False),
        ("3_set", 3, False),
        ("1_reg", 1, True),
    ]
    assert all((s["shuffle_caption"], s["keep_tokens"]) == (True, 1) for s in entry["subsets"])
    # And such folders open as they are.
    assert [image.set_repeat for image in scan(out / "img").images] == [2, 3, 3, 10, 10]
    for wrong in (out, dataset.path / "inside"):
        with pytest.raises(EngineError):
            kohya.export(scan(dataset.path), None, params, wrong)
