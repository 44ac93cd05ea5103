"""Fixes write down what a bake sees anyway, can be taken back byte for byte, and survive a kill at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.dataset import sidecar
from engine.dataset.buckets import cover
from engine.dataset.checks import Diagnosis, diagnose
from engine.dataset.edits import editing
from engine.dataset.fixes import fix, undo
from engine.dataset.pixels import load_rgb, upright_rgb
from engine.dataset.scan import scan
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from tests.dataset import make
from tests.dataset.odd_files import corpus
from tests.engine_processes import ROOT, until


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path_factory.mktemp("home")))


def check(root: Path) -> Diagnosis:
    return diagnose(scan(root), None, BakeParams(resolution=64))


def files(root: Path) -> dict[str, bytes]:
    """Every file of the dataset, LoRABake's own aside."""
    paths = [path for path in root.rglob("*") if path.is_file() and ".lorabake" not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_all_odd_files_are_fixed_and_come_back_byte_for_byte(tmp_path: Path) -> None:
    root = tmp_path / "odd"
    corpus(root)
    before = files(root)
    found = check(root)
    report = fix(found)
    assert report.failed == []
    assert report.count == len({finding.file for finding in found.findings if finding.fix})
    assert [finding for finding in check(root).findings if finding.fix] == []
    assert undo(root).failed == []
    assert files(root) == before
    assert [finding.code for finding in check(root).findings] == [finding.code for finding in found.findings]


def test_pixels_after_a_fix_are_those_a_bake_saw_before(tmp_path: Path) -> None:
    make.rotated(tmp_path / "turned.png", 90, 60, 6)
    make.gradient(80, 84).quantize(16).save(tmp_path / "glass.png", transparency=3)
    make.gradient(90, 60).convert("CMYK").save(tmp_path / "print.jpg")
    seen = {path.name: upright_rgb(path)[0] for path in sorted(tmp_path.iterdir())}
    fix(check(tmp_path))
    for name, picture in seen.items():
        now = load_rgb(tmp_path / name, cover(*picture.size, picture.size))
        away = np.abs(now.astype(int) - np.asarray(picture, dtype=int))
        assert away.max() <= (0 if name.endswith("png") else 6), name


def test_a_fix_of_some_leaves_the_others(tmp_path: Path) -> None:
    corpus(tmp_path / "odd")
    before = files(tmp_path / "odd")
    report = fix(check(tmp_path / "odd"), codes=["image_rotated"], files=["turned-3.jpg", "glass.png"])
    assert [(entry.file, entry.fixes) for entry in report.files] == [("turned-3.jpg", ["rotate"])]
    after = files(tmp_path / "odd")
    assert {name for name in before if after[name] != before[name]} == {"turned-3.jpg"}


def test_an_unknown_code_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    make.rotated(tmp_path / "a.jpg", 90, 60, 6)
    with pytest.raises(EngineError) as raised:
        fix(check(tmp_path), codes=["image_enlarged"])
    assert raised.value.info.code == "fix_unknown"
    assert not (tmp_path / ".lorabake").exists()


def test_a_dropped_image_takes_its_caption_along_unless_another_needs_it(tmp_path: Path) -> None:
    for name in ("alone", "shared"):
        (tmp_path / f"{name}.png").write_bytes(b"no image")
        (tmp_path / f"{name}.txt").write_text("mira")
    make.image(tmp_path / "shared.jpg", 80, 80)
    before = files(tmp_path)
    fix(check(tmp_path))
    assert set(files(tmp_path)) == {"shared.jpg", "shared.txt"}
    undo(tmp_path)
    assert files(tmp_path) == before


def test_of_two_equal_files_the_one_without_a_caption_goes(tmp_path: Path) -> None:
    data = make.image(tmp_path / "a.png", 80, 80).read_bytes()
    (tmp_path / "b.png").write_bytes(data)
    (tmp_path / "b.txt").write_text("mira")
    fix(check(tmp_path))
    assert set(files(tmp_path)) == {"b.png", "b.txt"}


def test_captions_become_utf_8_and_come_back(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png", 80, 80)
    raw = "米拉, 站立\r\n".encode("gb18030")
    (tmp_path / "a.txt").write_bytes(raw)
    fix(check(tmp_path))
    assert (tmp_path / "a.txt").read_bytes() == "米拉, 站立\r\n".encode()
    undo(tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == raw


def test_a_renamed_image_keeps_caption_and_repeat(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make.encoded("PNG", 80, 80))
    (tmp_path / "a.txt").write_text("mira")
    sidecar.set_repeat(tmp_path, ["a.jpg"], 7)
    fix(check(tmp_path))
    (image,) = scan(tmp_path).images
    assert (image.name, image.caption, image.own_repeat) == ("a.png", "mira", 7)
    undo(tmp_path)
    (image,) = scan(tmp_path).images
    assert (image.name, image.caption, image.own_repeat) == ("a.jpg", "mira", 7)


def test_no_rename_over_another_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make.encoded("PNG", 80, 80))
    make.image(tmp_path / "a.png", 60, 80)
    before = files(tmp_path)
    assert [finding.fix for finding in check(tmp_path).findings if finding.code == "image_extension"] == [""]
    found = check(tmp_path)
    (tmp_path / "a.png").unlink()
    again = check(tmp_path)
    make.image(tmp_path / "a.png", 60, 80)
    assert fix(found).count == 0
    assert [finding.code for finding in fix(again).failed] == ["file_exists"]
    assert files(tmp_path) == before


def test_what_changed_since_is_never_overwritten(tmp_path: Path) -> None:
    path = make.rotated(tmp_path / "a.jpg", 90, 60, 6)
    found = check(tmp_path)
    other = make.encoded("JPEG", 50, 50)
    path.write_bytes(other)
    assert [finding.code for finding in fix(found).failed] == ["file_changed"]
    assert path.read_bytes() == other
    make.rotated(path, 90, 60, 6)
    fix(check(tmp_path))
    path.write_bytes(other)
    assert [finding.code for finding in undo(tmp_path).failed] == ["file_changed"]
    assert path.read_bytes() == other


def test_rounds_are_undone_from_the_youngest_on(tmp_path: Path) -> None:
    make.rotated(tmp_path / "a.jpg", 90, 60, 6)
    (tmp_path / "b.png").write_bytes(b"")
    before = files(tmp_path)
    fix(check(tmp_path), codes=["image_rotated"])
    fix(check(tmp_path))
    assert [entry.file for entry in undo(tmp_path).files] == ["b.png"]
    assert [entry.file for entry in undo(tmp_path).files] == ["a.jpg"]
    assert files(tmp_path) == before
    with pytest.raises(EngineError) as raised:
        undo(tmp_path)
    assert raised.value.info.code == "undo_nothing"


def test_a_journal_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    outside.mkdir()
    root.mkdir()
    path = make.rotated(root / "a.jpg", 90, 60, 6)
    (root / ".lorabake").symlink_to(outside)
    before = path.read_bytes()
    with pytest.raises(EngineError) as raised:
        fix(check(root))
    assert raised.value.info.code == "path_outside"
    assert (path.read_bytes(), list(outside.iterdir())) == (before, [])


def test_a_hostile_journal_cannot_reach_outside(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    make.rotated(root / "a.jpg", 90, 60, 6)
    fix(check(root))
    (line,) = (root / ".lorabake/edits.jsonl").read_text().splitlines()
    entry = json.loads(line)
    for path in ("Li4vb3V0", "L2V0Yy9wYXNzd2Q="):  # ../out, /etc/passwd
        (root / ".lorabake/edits.jsonl").write_text(json.dumps({**entry, "file": path, "made": path}) + "\n")
        assert [finding.code for finding in undo(root).failed] == ["path_outside"]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    make.rotated(tmp_path / "a.jpg", 90, 60, 6)
    with editing(tmp_path), pytest.raises(EngineError) as raised:
        fix(check(tmp_path))
    assert raised.value.info.code == "dataset_busy"
    assert fix(check(tmp_path)).count == 1


FIXER = """
import sys
from pathlib import Path
from tests.dataset.test_fixes import check, fix
fix(check(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("lines", [1, 17, 40])
def test_killed_while_fixing_every_file_is_whole_and_undo_restores_all(tmp_path: Path, lines: int) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for i in range(60):
        kind = i % 3
        if kind == 0:
            make.rotated(root / f"{i}.jpg", 90, 60, 6)
        elif kind == 1:
            (root / f"{i}.jpg").write_bytes(make.encoded("PNG", 80 + i, 80))
        else:
            (root / f"{i}.png").write_bytes(b"broken" * i)
    before = files(root)
    journal = root / ".lorabake" / "edits.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", FIXER, str(root)], env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path
    )

    def far_enough() -> bool:
        written = journal.read_bytes().count(b"\n") if journal.exists() else 0
        return written >= lines or process.poll() is not None

    try:
        until(far_enough, "the fixes began")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    originals = set(before.values())
    assert originals <= set(files(root).values()) | {path.read_bytes() for path in trash(root)}
    for image in scan(root).images:
        assert image.usable or image.path.read_bytes() in originals, image.name
    fixed = check(root)
    assert fix(fixed).failed == [] or {f.code for f in fixed.findings} & {"image_duplicate", "same_stem"}
    while True:
        try:
            undo(root)
        except EngineError:
            break
    assert files(root) == before


def trash(root: Path) -> list[Path]:
    return [path for path in (root / ".lorabake" / "trash").rglob("*") if path.is_file()]
