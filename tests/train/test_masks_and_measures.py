"""Masks as they lie over pictures, what is measured beside training, and what a base is asked to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from engine.dataset.plan import Item, make_plan
from engine.dataset.scan import scan
from engine.protocol.errors import EngineError
from engine.protocol.events import Finished, Step, Validation, Warning
from engine.protocol.params import BakeParams
from engine.train.masks import digest, mask_files, masks
from tests.tiny import tiny_dataset
from tests.train.conftest import Kitchen, at_step, losses

SHORT = {"epochs": 1, "repeat": 1, "unet_lr": 0.05, "text_encoder_lr": 0.0}


def cutout(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    """A picture that is transparent but for `box`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGBA", size, (200, 30, 30, 0))
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=(30, 200, 30, 255))
    image.save(path)


def items_of(folder: Path, params: BakeParams) -> list[Item]:
    return list(make_plan(scan(folder), None, params).items)


def made(folder: Path, **params: Any) -> list[torch.Tensor | None]:
    asked = BakeParams(resolution=64, masked_loss=True, **params)
    items = items_of(folder, asked)
    return masks(items, mask_files(items, asked), asked, 8)


def test_transparency_is_a_mask_cut_and_scaled_as_the_picture(tmp_path: Path) -> None:
    """128 × 64 without buckets is cut to its middle square: 32 pixels from either side are gone."""
    cutout(tmp_path / "a.png", (128, 64), (32, 0, 64, 64))
    (mask,) = made(tmp_path, enable_bucket=False)
    assert mask is not None
    expected = np.zeros((8, 8))
    expected[:, :4] = 1
    assert mask.shape == (1, 8, 8)
    assert np.allclose(mask[0], expected, atol=1 / 255)


def test_a_cell_counts_by_the_share_of_it_that_is_marked(tmp_path: Path) -> None:
    cutout(tmp_path / "a.png", (64, 64), (0, 0, 20, 64))
    (mask,) = made(tmp_path)
    assert mask is not None
    assert mask[0, 0].tolist() == pytest.approx([1, 1, 0.5, 0, 0, 0, 0, 0], abs=0.01)


def test_pictures_without_transparency_count_whole(tmp_path: Path) -> None:
    tiny_dataset(tmp_path, images=1, sides=(64,))
    Image.new("RGBA", (64, 64), (1, 2, 3, 255)).save(tmp_path / "opaque.png")
    assert made(tmp_path) == [None, None]


def test_masks_from_a_folder_bear_the_pictures_names(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "set", images=2, sides=(64,))
    tiny_dataset(tmp_path / "set" / "3_more", images=1, sides=(64,))
    half = Image.new("L", (32, 32))  # a mask may be smaller than its picture
    half.paste(255, (0, 0, 32, 16))
    (tmp_path / "masks" / "3_more").mkdir(parents=True)
    half.save(tmp_path / "masks" / "1.jpg", quality=95)
    half.save(tmp_path / "masks" / "3_more" / "0.png")
    items = items_of(tmp_path / "set", BakeParams(resolution=64))
    found = dict(
        zip((i.image.name for i in items), made(tmp_path / "set", mask_dir=str(tmp_path / "masks")), strict=True)
    )
    assert found["0.png"] is None
    for name in ("1.png", "3_more/0.png"):
        mask = found[name]
        assert mask is not None
        assert torch.allclose(mask[0, :4], torch.ones(4, 8), atol=0.05)
        assert torch.allclose(mask[0, 4:], torch.zeros(4, 8), atol=0.05)


def test_masks_that_make_no_sense_are_named(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "set", images=1, sides=(64,))
    folder = tmp_path / "masks"
    folder.mkdir()

    def refused() -> str:
        with pytest.raises(EngineError) as caught:
            made(tmp_path / "set", mask_dir=str(folder))
        return caught.value.info.code

    assert refused() == "mask_folder"
    Image.new("L", (64, 64)).save(folder / "0.png")
    assert refused() == "mask_empty"
    Image.new("L", (64, 32), 255).save(folder / "0.png")
    assert refused() == "mask_shape"
    (folder / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    assert refused() == "image_unreadable"
    with pytest.raises(EngineError, match="holds no mask"):
        made(tmp_path / "set", mask_dir=str(tmp_path / "gone"))


def test_other_masks_are_another_bake(tmp_path: Path) -> None:
    one, other = tmp_path / "a.png", tmp_path / "b.png"
    one.write_bytes(b"a")
    other.write_bytes(b"b")
    assert digest([]) == ""
    assert len({digest([one]), digest([other]), digest([None]), digest([one, None])}) == 4


def test_a_masked_bake_learns_the_marked_part_and_resumes_only_with_its_masks(kitchen: Kitchen) -> None:
    folder = kitchen.home.parent / "masks"
    folder.mkdir()
    for name in ("0", "1", "2"):
        with Image.open(kitchen.dataset / f"{name}.png") as picture:
            mask = Image.new("L", picture.size)
        mask.paste(255, (0, 0, mask.width // 2, mask.height))
        mask.save(folder / f"{name}.png")
    settings = SHORT | {"masked_loss": True, "mask_dir": str(folder), "flip_aug": True}
    plain = losses(kitchen.bake(kitchen.submit("plain", **SHORT | {"flip_aug": True})))
    whole = kitchen.bake(kitchen.submit("masked", **settings))
    assert losses(whole) != plain
    (told,) = [e for e in whole if isinstance(e, Warning) and e.code == "notice_unmasked"]
    assert told.args == {"count": "2", "first": "3.png"}
    kohya = losses(kitchen.bake(kitchen.submit("kohya", **settings | {"kohya_compat": True})))
    assert kohya != losses(whole)

    run = kitchen.submit("again", **settings)
    kitchen.bake(run, at_step(2, "stop"))
    assert losses(kitchen.bake(run)) == losses(whole)
    changed = kitchen.submit("changed", **settings)
    kitchen.bake(changed, at_step(2, "stop"))
    Image.new("L", (64, 64), 255).save(folder / "0.png")
    with pytest.raises(EngineError) as refused:
        kitchen.bake(changed)
    assert refused.value.info.code == "state_mismatch"


def test_a_validation_folder_is_measured_and_never_trained(kitchen: Kitchen) -> None:
    held = tiny_dataset(kitchen.home.parent / "held", images=2, seed=7)
    plain = kitchen.bake(kitchen.submit("plain", **SHORT | {"epochs": 3}))
    events = kitchen.bake(kitchen.submit("run", **SHORT | {"epochs": 3, "validation_dir": str(held)}))
    assert losses(events) == losses(plain), "measuring changes nothing"
    assert sum(e.images for e in events if isinstance(e, Step)) == 15
    measured = {e.epoch: e.loss for e in events if isinstance(e, Validation)}
    assert measured.keys() == {0, 1, 2, 3}
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.hint is not None
    assert finished.hint.message.startswith("Hint: ")
    trained = {epoch: value for epoch, value in measured.items() if epoch and value is not None}
    lowest = min(trained, key=lambda epoch: trained[epoch])
    assert finished.best in (0, lowest)
    assert (finished.best == 0) == (finished.hint.code == "hint_best_none")


def test_the_hint_survives_a_stop(kitchen: Kitchen) -> None:
    settings = SHORT | {"epochs": 2, "validation_split": 0.4}
    events = kitchen.bake(kitchen.submit("whole", **settings))
    run = kitchen.submit("broken", **settings)
    kitchen.bake(run, at_step(max(losses(events)) // 2 + 1, "stop"))
    whole, resumed = events[-1], kitchen.bake(run)[-1]
    assert isinstance(whole, Finished)
    assert isinstance(resumed, Finished)
    assert (resumed.best, resumed.hint) == (whole.best, whole.hint)
    assert whole.hint is not None


def test_an_image_cannot_be_trained_and_measured(kitchen: Kitchen) -> None:
    with pytest.raises(EngineError) as refused:
        kitchen.bake(kitchen.submit("run", **SHORT | {"validation_dir": str(kitchen.dataset)}))
    assert refused.value.info.code == "validation_trained"


def test_a_base_is_asked_for_what_was_set_and_the_file_says_so(kitchen: Kitchen) -> None:
    plain = kitchen.bake(kitchen.submit("plain", **SHORT))
    seen = [losses(plain)]
    for number, change in enumerate(({"prediction_type": "v_prediction"}, {"zero_terminal_snr": "on"})):
        events = kitchen.bake(kitchen.submit(f"run{number}", **SHORT | change))
        seen.append(losses(events))
        codes = {e.code for e in events if isinstance(e, Warning)}
        assert codes == {"notice_prediction" if number == 0 else "notice_zero_snr"}
    assert seen[0] != seen[1] != seen[2] != seen[0]
