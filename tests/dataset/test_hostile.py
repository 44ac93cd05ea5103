"""A folder of odd and hostile files goes through everything: nothing crashes, nothing is lost, each fault is named."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from engine.dataset import kohya
from engine.dataset.add import add, remove
from engine.dataset.augment import mirror, split
from engine.dataset.checks import diagnose
from engine.dataset.crop import crop, export
from engine.dataset.fixes import fix
from engine.dataset.groups import set_flip, set_mark, set_repeat
from engine.dataset.pixels import picture
from engine.dataset.scan import Reading, scan
from engine.dataset.sheet import write_sheet
from engine.dataset.undo import take_back
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from tests.dataset import make
from tests.dataset.odd_files import corpus


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    root = tmp_path / "set"
    assert len(corpus(root)) > 40
    (root / "self.png").symlink_to(root / "self.png")
    (root / "outside.png").symlink_to(make.image(tmp_path / "secret.png"))
    (root / "folder.png").mkdir()
    (root / "folder.txt").mkdir()
    make.image(root / os.fsdecode(b"caf\xe9.png"), 95, 90)
    make.image(root / ("n" * 250 + ".png"), 96, 91)
    (root / "UPPER.txt").write_bytes(b"\xff\xfe\x00bad")
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as door:
        monkeypatch.chdir(root)  # the path of a socket is short
        door.bind("door.png")
    (root / "nowhere.png").symlink_to("gone.png")
    make.image(root / "strip-too-long.png", 70_000, 1)
    make.image(root / "threads.png", 1, 5000)
    make.image(root / "rtl\u202egnp.png", 97, 90)
    (root / "glass.txt").write_bytes("mira, long hair".encode("utf-16-le"))
    (root / "opaque.txt").write_bytes(b"mira\0hair")
    (root / "print.txt").write_bytes(b"tag, " * 20_000)
    (root / "grey.txt").mkdir()
    os.mkfifo(root / "bits.txt")
    return root


def state(root: Path) -> dict[str, tuple[int, str]]:
    """Every file that is no note of ours: its time and content."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != ".lorabake"]
        for name in files:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                found[str(path.relative_to(root))] = (path.stat().st_mtime_ns, content(path))
    return found


def content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_everything_but_fixes_leaves_the_originals_alone(hostile: Path, tmp_path: Path) -> None:
    before = state(hostile)
    reading = Reading(hostile)
    reading.start(lambda dataset: None)
    dataset = reading.dataset()
    assert dataset is not None
    assert [image.name for image in reading.rows(10**6)] == [image.name for image in dataset.images]
    assert {info.code for info in dataset.findings} >= {"path_outside", "image_unreadable", "image_too_large"}
    odd = {info.args["file"] for info in dataset.findings if info.code == "image_not_file"}
    assert odd == {"pipe.png", "door.png", "nowhere.png", "self.png"}
    told = diagnose(dataset, None, BakeParams(resolution=64)).findings
    assert {(finding.file, finding.code, finding.fix) for finding in told} >= {
        ("pipe.png", "image_not_file", ""),
        ("", "folder_link", ""),
        ("strip-too-long.png", "image_too_large", ""),
        ("glass.png", "caption_undecodable", "decode"),
        ("opaque.png", "caption_undecodable", ""),
        ("print.jpg", "caption_too_long", ""),
        ("grey.png", "caption_missing", ""),
    }
    # Two of them change while they are open.
    victims = [image for image in dataset.images if image.name in ("glass.png", "grey.png")]
    kept = {image.path: image.path.read_bytes() for image in victims}
    victims[0].path.write_bytes(make.encoded("PNG", 40, 41))
    victims[1].path.unlink()
    failed = crop(dataset, dataset.images, (64, 96), "focus")[1]
    assert {"glass.png", "grey.png"} <= {finding.file for finding in failed}
    for path, data in kept.items():
        path.write_bytes(data)
    dataset = scan(hostile)
    crop(dataset, dataset.images, (64, 96), "focus")
    dataset = scan(hostile)
    count, failed = export(dataset, dataset.images, tmp_path / "crops")
    assert count > 20
    told = kohya.export(dataset, None, BakeParams(resolution=64), tmp_path / "kohya")
    assert told.files + len(told.failed) >= count
    sheet = write_sheet(dataset, dataset.images, out=tmp_path / "sheet.png", cell=40)
    assert (sheet.images, Path(sheet.files[0]).exists()) == (len(dataset.images), True)
    refused = {}
    for image in dataset.images:
        try:
            assert picture(hostile, image.name, 32, 32).width <= 32
        except EngineError as error:
            refused[image.name] = error.info.code
    assert set(refused.values()) <= {"image_unreadable", "image_too_large"}
    # One claims more pixels than it has, which its header does not show.
    assert set(refused) == {image.name for image in dataset.images if not image.usable} | {"huge-claim.png"}
    for name in ("outside.png", "../secret.png", "/etc/passwd", "self.png", "none.png"):
        with pytest.raises(EngineError):
            picture(hostile, name, 32, 32)
    set_mark(dataset, dataset.images, "x", on=True)
    set_flip(dataset, dataset.images, on=True, repeat=2)
    set_repeat(scan(hostile), 3, mark="x")
    assert {image.set_repeat for image in scan(hostile).images if image.marks} == {3}
    now = state(hostile)
    assert {name: digest for name, (_, digest) in now.items()} == {n: digest for n, (_, digest) in before.items()}


def test_what_is_made_fixed_and_removed_can_all_be_taken_back(hostile: Path, tmp_path: Path) -> None:
    before = {name: digest for name, (_, digest) in state(hostile).items()}
    rounds = 0
    dataset = scan(hostile)
    some = dataset.images[:30]
    for report in (mirror(dataset, some), split(scan(hostile), scan(hostile).images, ratio=2)):
        assert {f.code for f in report.failed} <= {"image_unreadable", "file_exists", "split_many"}
        rounds += bool(report.made)
    taken = add(tmp_path / "copy", [str(hostile)], limit=0)
    assert {finding.code for finding in taken.skipped} <= {
        "add_link",
        "add_duplicate",
        "image_not_file",
        "image_unreadable",
        "image_too_large",
    }
    found = diagnose(scan(hostile), None, BakeParams(resolution=64))
    fixed = fix(found)
    assert fixed.count > 20
    again = diagnose(scan(hostile), None, BakeParams(resolution=64))
    left = {(finding.file, finding.code) for finding in again.findings if finding.fix}
    assert left <= {(finding.file, finding.code) for finding in fixed.failed} or len(left) < fixed.count
    dataset = scan(hostile)
    assert remove(dataset, dataset.images)[1] == []
    for _ in range(rounds + 2):
        assert take_back(hostile)[2] == []
    assert {name: digest for name, (_, digest) in state(hostile).items()} == before
