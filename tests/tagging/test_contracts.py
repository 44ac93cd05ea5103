"""Every contract to the byte: the tensor that reaches the model is the reference's; what nobody knows is refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.dataset.scan import scan
from engine.demo.paths import TAGGER
from engine.protocol.errors import EngineError
from engine.tagging import contracts
from engine.tagging.feed import prepared
from engine.tagging.labels import Label, read_labels
from engine.tagging.session import Session
from tests.tagging.models import ROWS, SIDE, sampled, tagger_folder, write_csv, write_mapping, write_model

WHITE = (255, 255, 255)


def noise(width: int, height: int, channels: int, seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, channels), np.uint8)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    small = Image.fromarray(values[..., 0] if channels == 1 else values, mode)
    return small.resize((width, height), Image.Resampling.BICUBIC)


def odd_photos(folder: Path) -> list[Path]:
    """Alpha, EXIF rotation, odd shapes, palettes, grey, exactly the model's side."""
    folder.mkdir()
    noise(613, 207, 3, 1).save(folder / "a-wide.jpg", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6
    noise(301, 500, 3, 2).save(folder / "b-turned.jpg", exif=turned, quality=95)
    noise(97, 333, 4, 3).save(folder / "c-alpha.png")
    noise(64, 64, 2, 4).save(folder / "d-grey-alpha.png")
    noise(120, 51, 3, 5).quantize(16).save(folder / "e-palette.png", transparency=3)
    noise(SIDE, SIDE, 3, 6).save(folder / "f-same.png")
    noise(1200, 31, 1, 7).save(folder / "g-strip.webp", lossless=True)
    return sorted(folder.iterdir())


def flat(path: Path) -> Image.Image:
    """Upright, transparency on white, written without any of ours."""
    picture = Image.open(path)
    if "jpg" in path.name and "turned" in path.name:
        picture = picture.rotate(-90, expand=True)
    if picture.mode in ("RGBA", "LA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        canvas = Image.new("RGBA", picture.size, WHITE)
        canvas.alpha_composite(picture)
        picture = canvas
    return picture.convert("RGB")


def white_square(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    left, top = (side - picture.width) // 2, (side - picture.height) // 2
    canvas = np.full((side, side, 3), 255, np.uint8)
    canvas[top : top + picture.height, left : left + picture.width] = np.asarray(picture)
    return Image.fromarray(canvas)


def wd(path: Path) -> np.ndarray:
    """SmilingWolf's: white square, bicubic, BGR, 0 … 255, NHWC."""
    picture = white_square(flat(path)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(picture)[:, :, ::-1].astype(np.float32)


def pixai(path: Path) -> np.ndarray:
    """The handler's: stretched bilinearly, RGB, ToTensor, Normalize(0.5, 0.5), NCHW."""
    picture = flat(path).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    values = np.asarray(picture).transpose(2, 0, 1).astype(np.float32) / 255
    return (values - np.float32(0.5)) / np.float32(0.5)


def cl(path: Path) -> np.ndarray:
    """cella110n's: white square, bicubic, BGR, −1 … 1, NCHW."""
    picture = white_square(flat(path)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    values = np.asarray(picture)[:, :, ::-1].astype(np.float32) / 127.5 - 1
    return values.transpose(2, 0, 1)


REFERENCES: dict[str, tuple[Callable[[Path], np.ndarray], str, Callable[[np.ndarray], np.ndarray]]] = {
    "wd": (wd, "NHWC", lambda x: x / 255),
    "pixai": (pixai, "NCHW", lambda x: x * 0.5 + 0.5),
    "cl": (cl, "NCHW", lambda x: 1 / (1 + np.exp(-x))),
}


def answers(folder: Path, photos: Path, batch: int = 4) -> np.ndarray:
    """What the model of `folder` says of the photos, by the whole path from the files on."""
    session = Session(contracts.find(str(folder)), batch)
    ready = list(prepared(scan(photos).images, session))
    assert [one.problem for one in ready] == [None] * len(ready)
    return session.scores([one.pixels for one in ready if one.pixels is not None])


@pytest.mark.parametrize("name", list(REFERENCES))
def test_the_tensor_that_reaches_the_model_is_the_reference(name: str, tmp_path: Path) -> None:
    reference, layout, told = REFERENCES[name]
    photos = odd_photos(tmp_path / "photos")
    folder = tagger_folder(tmp_path / "tagger", name)
    wanted = told(sampled(np.stack([reference(path) for path in photos]), layout))
    np.testing.assert_allclose(answers(folder, tmp_path / "photos"), wanted, rtol=0, atol=2e-6)


def test_a_fixed_batch_is_filled_up_and_changes_nothing(tmp_path: Path) -> None:
    odd_photos(tmp_path / "photos")
    free = answers(tagger_folder(tmp_path / "free"), tmp_path / "photos", 3)
    for batch in (1, 4):
        folder = tagger_folder(tmp_path / str(batch), batch=batch)
        session = Session(contracts.find(str(folder)))
        assert session.batch == batch
        np.testing.assert_array_equal(answers(folder, tmp_path / "photos"), free)


def test_the_side_is_the_models_own(tmp_path: Path) -> None:
    folder = tagger_folder(tmp_path / "small", side=START_SIDE, rows=START_ROWS)
    write_csv(folder / "selected_tags.csv", [(f"tag_{number}", 0) for number in range(START_ROWS)])
    assert Session(contracts.find(str(folder))).shape.side == START_SIDE


START_SIDE = 224
START_ROWS = len(range(5, START_SIDE, 28)) ** 2 * 3


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"model": {"layout": "NCHW"}}, "tagger_contract", r"\[.N., 3, 448, 448\], which is not NHWC"),
        ({"tags": ROWS - 1}, "tagger_contract", rf"{ROWS - 1} tags, and no output has as many: output"),
        ({"model": {"scale": 1.0}}, "tagger_output", r"255.*probabilities"),
        ({"model": {"scale": float("nan")}}, "tagger_output", "nan"),
        ({"bytes": b"no model"}, "tagger_broken", "model.onnx"),
        ({"csv": "a,b\n1,2\n"}, "tagger_labels", "name and category"),
        ({"csv": ""}, "tagger_labels", "name and category"),
        ({"toml": "contract = 'e621'"}, "tagger_setting", "wd, pixai, cl"),
        ({"toml": "layout = 'WXYZ'"}, "tagger_setting", "layout = WXYZ"),
        ({"toml": "std = 0.0"}, "tagger_setting", "std"),
        ({"toml": "mirror = true"}, "tagger_setting", "layout, order, divide"),
        ({"toml": "mirror ="}, "params_unreadable", "tagger.toml"),
        ({"toml": "contract = 'pixai'"}, "tagger_contract", "not NCHW"),
        ({"toml": "output = 'prediction'"}, "tagger_contract", "no output prediction has as many"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    change: dict[str, object], code: str, words: str, tmp_path: Path
) -> None:
    folder = tagger_folder(tmp_path / "t", **change.get("model", {}))  # type: ignore[arg-type]
    if "tags" in change:
        write_csv(folder / "selected_tags.csv", [(f"t{n}", 0) for n in range(int(str(change["tags"])))])
    if "csv" in change:
        (folder / "selected_tags.csv").write_text(str(change["csv"]))
    if "bytes" in change:
        (folder / "model.onnx").write_bytes(bytes(change["bytes"]))  # type: ignore[call-overload]
    if "toml" in change:
        (folder / "tagger.toml").write_text(str(change["toml"]))
    with pytest.raises(EngineError) as refused:
        Session(contracts.find(str(folder))).scores([np.full((SIDE, SIDE, 3), 255, np.uint8)])
    assert refused.value.info.code == code
    assert re.search(words, refused.value.info.message + refused.value.info.hint)


def test_names_and_folders_that_are_no_tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    for word, code in (("wd-vit-v33", "tagger_unknown"), ("", "tagger_unknown"), (str(tmp_path), "tagger_files")):
        with pytest.raises(EngineError) as refused:
            contracts.find(word)
        assert refused.value.info.code == code


def test_a_settings_file_describes_any_model(tmp_path: Path) -> None:
    folder = tagger_folder(tmp_path / "own", layout="NCHW", scale=1.0, output="scores")
    (folder / "tagger.toml").write_text(
        'layout = "NCHW"\norder = "RGB"\ndivide = 255.0\npad = "none"\noutput = "scores"\ngeneral = 0.6\n'
    )
    tagger = contracts.find(str(folder))
    assert (tagger.contract.general, tagger.contract.resize) == (0.6, "bicubic")
    photos = odd_photos(tmp_path / "photos")
    squares = [np.asarray(flat(p).resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 255 for p in photos]
    wanted = sampled(np.stack(squares).transpose(0, 3, 1, 2), "NCHW")
    np.testing.assert_allclose(answers(folder, tmp_path / "photos"), wanted, rtol=0, atol=2e-6)


def test_the_catalogue_has_the_published_taggers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    rows = {row.name: row for row in contracts.rows()}
    assert rows["demo"].present
    assert not rows["wd-eva02-large-v3"].present
    assert rows["wd-eva02-large-v3"].source == "SmilingWolf/wd-eva02-large-tagger-v3"
    writers = {"blip-base", "blip-large", "florence-2-base", "florence-2-large"}  # of sentences: no scores, no bounds
    assert writers < rows.keys()
    thresholds = {name: contracts.find(name).contract.general for name in rows.keys() - writers}
    assert (thresholds["wd-vit-v3"], thresholds["wd-eva02-large-v3"], thresholds["demo"]) == (0.2614, 0.5296, 0.35)
    assert contracts.find("cl-tagger").labels.name == "tag_mapping.json"
    assert contracts.find("pixai").contract.output == "prediction"
    assert {rows[name].licence for name in thresholds} == {"Apache-2.0"}
    assert {rows[name].licence for name in writers} == {"BSD-3-Clause", "MIT"}


def test_labels_in_all_their_forms(tmp_path: Path) -> None:
    with (TAGGER / "selected_tags.csv").open(encoding="utf-8") as handle:
        names = [row["name"] for row in csv.DictReader(handle)]
    assert [label.name for label in read_labels(TAGGER / "selected_tags.csv", "csv")] == names
    odd = write_csv(tmp_path / "odd.csv", [('say_"hi"', 0), ("nan", 4), (";)", 0), ("x", 9), ("y", 77)])
    assert read_labels(odd, "csv") == [
        Label('say_"hi"', "general"),
        Label("nan", "character"),
        Label(";)", "general"),
        Label("x", "rating"),
        Label("y", "meta"),
    ]
    mapping = write_mapping(tmp_path / "m.json", [("safe", "Rating"), ("1girl", "General"), ("miku", "Character")])
    assert read_labels(mapping, "mapping") == [
        Label("safe", "rating"),
        Label("1girl", "general"),
        Label("miku", "character"),
    ]
    (tmp_path / "gap.json").write_text('{"0": {"tag": "a", "category": "General"}, "2": {}}')
    with pytest.raises(EngineError, match="count its tags"):
        read_labels(tmp_path / "gap.json", "mapping")


def test_of_two_outputs_as_wide_the_probabilities_are_read(tmp_path: Path) -> None:
    folder = tagger_folder(tmp_path / "t")
    write_model(folder / "model.onnx", scale=1 / 255, output="logits", before=("prediction", ROWS))
    # Both outputs are as wide as the list: the one that is not called logits holds the probabilities.
    assert Session(contracts.find(str(folder))).shape.made == "prediction"
