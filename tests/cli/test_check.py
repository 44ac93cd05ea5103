"""`lorabake check` as a person and as a script would call it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.cli.conftest import Lorabake
from tests.dataset import make

KEYS = {"file", "code", "message", "fix"}


def report(lorabake: Lorabake, *words: str) -> dict[str, Any]:
    done = lorabake.run("check", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_check_fix_undo(lorabake: Lorabake, dataset: Path) -> None:
    turned = make.rotated(dataset / "turned.jpg", 90, 64, 6)
    (dataset / "broken.png").write_bytes(b"\x89PNG")
    before = {path.name: path.read_bytes() for path in dataset.iterdir()}
    found = report(lorabake, str(dataset), "--set", "resolution=64")
    assert found["images"] == 6
    assert all(set(finding) >= KEYS for finding in found["findings"])
    fixable = {(f["file"], f["code"], f["fix"]) for f in found["findings"] if f["fix"]}
    assert fixable == {("broken.png", "image_unreadable", "drop"), ("turned.jpg", "image_rotated", "rotate")}
    assert sum(row["images"] for row in found["buckets"]) == 5
    assert {"size", "images", "steps"} <= set(found["buckets"][0])
    assert found["trigger"] == "mira"

    fixed = report(lorabake, "--set", "resolution=64", "--fix", str(dataset))
    assert {entry["file"] for entry in fixed["fixed"]} == {"broken.png", "turned.jpg"}
    assert (fixed["failed"], [f for f in fixed["findings"] if f["fix"]]) == ([], [])
    assert turned.read_bytes() != before["turned.jpg"]

    undone = report(lorabake, str(dataset), "--set", "resolution=64", "--undo")
    assert {entry["file"] for entry in undone["undone"]} == {"broken.png", "turned.jpg"}
    assert {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()} == before
    again = lorabake.run("check", str(dataset), "--undo")
    assert (again.returncode, again.stdout) == (3, "")
    assert "Nothing is left to undo" in again.stderr


def test_the_numbers_are_those_of_estimate(lorabake: Lorabake, dataset: Path) -> None:
    sets = ("--set", "resolution=64", "--set", "epochs=3", "--set", "repeat=5", "--set", "batch_size=2")
    found = report(lorabake, str(dataset), "--reg", str(dataset), *sets)
    asked = ("estimate", "--dataset", str(dataset), "--reg", str(dataset), "--base", "demo", *sets, "--json")
    estimate = json.loads(lorabake.run(*asked).stdout)
    for name in ("image_views", "steps_per_epoch", "optimizer_steps", "epochs"):
        assert found[name] == estimate[name]
    assert found["reg"] == {"used": 4, "repeated": 4, "unused": 0, "views": 20}
    assert {f["code"] for f in found["findings"] if f["reg"]} == {"reg_duplicate"}


def test_words_for_a_person(lorabake: Lorabake, dataset: Path) -> None:
    (dataset / "a\x1b[31m.png").write_bytes(b"x")
    done = lorabake.run("check", str(dataset), "--set", "resolution=64")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "(image_unreadable)" in done.stdout
    assert f"lorabake check {dataset} --fix" in done.stdout
    assert "trigger word: mira" in done.stdout


def test_many_findings_come_in_pages(lorabake: Lorabake, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 200) / ("y" * 200)
    folder.mkdir(parents=True)
    for i in range(700):
        (folder / f"{'z' * 200}{i}.png").write_bytes(b"")
    found = report(lorabake, str(tmp_path))
    assert len({f["file"] for f in found["findings"]}) == 700
    assert len(found["findings"]) == 1400
    assert os.path.getsize(folder / f"{'z' * 200}0.png") == 0


def test_what_was_mistyped_is_one_sentence_and_touches_nothing(lorabake: Lorabake, dataset: Path) -> None:
    for words in (
        (),
        (str(dataset), "--fix", "image_enlarged"),
        (str(dataset), "--fix", "--undo"),
        (str(dataset), "--set", "resolution"),
        (str(dataset), "--set", "resolutoin=64"),
    ):
        done = lorabake.run("check", *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert "Traceback" not in done.stderr
    assert lorabake.run("check", str(dataset / "none")).returncode == 3
    assert not (dataset / ".lorabake").exists()
