"""`lorabake crop` as a script would call it."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tests.cli.conftest import Lorabake


def test_crop_list_export_clear(lorabake: Lorabake, dataset: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in dataset.iterdir()}
    done = lorabake.run("crop", str(dataset), "--size", "512x468", "--mode", "center", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [notice["code"] for notice in report["notices"]] == ["notice_size_alias"]
    assert (report["images"], report["cropped"]) == (4, 4)
    assert report["crops"][0] == {
        "file": "0.png",
        "box": [14, 0, 57, 64],
        "size": "512x768",
        "mode": "center",
        "accepted": False,
        "enlargement": round(512 / 43, 3),
        "faces": 0,
        "cuts_face": False,
    }
    out = tmp_path / "out"
    exported = lorabake.run("crop", str(dataset), "--export", str(out), "--json")
    assert (exported.returncode, json.loads(exported.stdout)["exported"]) == (0, 4)
    with Image.open(out / "3.png") as picture:
        assert picture.size == (512, 768)
    assert (out / "3.txt").read_text() == "mira, solo, picture 3"
    assert lorabake.run("crop", str(dataset), "--export", str(out)).returncode == 1

    listed = lorabake.run("crop", str(dataset))
    assert (listed.returncode, listed.stdout.count("512 × 768")) == (0, 4)
    cleared = json.loads(lorabake.run("crop", str(dataset), "--clear", "--json").stdout)
    assert (cleared["cropped"], cleared["crops"]) == (0, [])
    assert {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()} == before


def test_focus_is_the_default_and_follows_the_subject(lorabake: Lorabake, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    picture = Image.new("RGB", (600, 200), (120, 140, 120))
    picture.paste((200, 60, 40), (440, 40, 560, 160))
    picture.save(folder / "right.png")
    (crop,) = json.loads(lorabake.run("crop", str(folder), "--size", "512x512", "--json").stdout)["crops"]
    assert crop["mode"] == "focus"
    assert crop["box"][0] <= 440
    assert crop["box"][2] >= 560
    done = lorabake.run("crop", str(folder), "--size", "512x512", "--face-model", str(tmp_path / "none.onnx"))
    assert (done.returncode, done.stdout) == (3, "")
    assert "face detector" in done.stderr


def test_a_point_places_and_accepting_keeps_it(lorabake: Lorabake, dataset: Path) -> None:
    done = lorabake.run("crop", str(dataset), "1.png", "--size", "32x32", "--point", "60,10", "--accept", "--json")
    assert done.returncode == 0, done.stderr
    (crop,) = json.loads(done.stdout)["crops"]
    left, top, right, bottom = crop["box"]
    assert (crop["file"], crop["mode"], crop["accepted"]) == ("1.png", "point", True)
    assert left <= 60 <= right
    assert top <= 10 <= bottom
    # What a person placed and looked at stays, whatever is cropped around it.
    again = json.loads(lorabake.run("crop", str(dataset), "--size", "32x32", "--mode", "center", "--json").stdout)
    assert again["kept"] == 1
    assert next(crop for crop in again["crops"] if crop["file"] == "1.png")["box"] == [left, top, right, bottom]
    done = lorabake.run("crop", str(dataset), "--size", "32x32", "--accept")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Name the images" in done.stderr


def test_mistakes_are_one_sentence(lorabake: Lorabake, dataset: Path) -> None:
    for words, code in (
        (("--size", "large"), 2),
        (("--mode", "sideways"), 2),
        (("--export", "x"), 3),
    ):
        done = lorabake.run("crop", str(dataset), *words)
        assert (done.returncode, done.stdout) == (code, ""), words
        assert "Traceback" not in done.stderr
    assert not (dataset / ".lorabake").exists()
