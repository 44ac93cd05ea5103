"""kill -9 in the middle of a thousand files: every file is whole, old or new, and what was begun can be taken back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from engine.dataset.checks import diagnose
from engine.dataset.scan import scan
from engine.dataset.undo import take_back
from engine.protocol.params import BakeParams
from tests.dataset import make
from tests.engine_processes import ROOT, until

COUNT = 1000
SIDE = 16


@pytest.fixture
def thousand(tmp_path: Path) -> Path:
    """A thousand pictures with a caption; every second one is turned by its EXIF note."""
    root = tmp_path / "set"
    root.mkdir()
    turned = make.rotated(tmp_path / "turned.jpg", SIDE, SIDE + 8, 6).read_bytes()
    upright = make.encoded("JPEG", SIDE, SIDE + 8)
    for number in range(COUNT):
        data = turned if number % 2 else upright
        # Bytes after the end of a JPEG make each file another one.
        (root / f"{number:04}.jpg").write_bytes(data[:-2] + f"{number:06}".encode() + data[-2:])
        (root / f"{number:04}.txt").write_text(f"mira, number {number}")
    return root


def killed(code: str, tmp_path: Path, reached: Callable[[], bool]) -> None:
    """Run Python code in a process and kill it as soon as it has come so far."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LORABAKE_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], env=env)
    try:
        until(lambda: reached() or process.poll() is not None, "the work began", 300)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"


def whole(folder: Path) -> int:
    """How many pictures there are; each must decode."""
    found = sorted(path for path in folder.rglob("*.jpg") if ".lorabake" not in path.parts)
    for path in found:
        with Image.open(path) as image:
            image.load()
    return len(found)


def no_parts(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if ".lorabake" not in path.parts and path.name.endswith(".part")]


def test_fixing(thousand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    before = {path.name: path.read_bytes() for path in thousand.iterdir()}
    journal = thousand / ".lorabake" / "edits.jsonl"
    code = (
        "from pathlib import Path\n"
        "from engine.dataset import checks, fixes, scan\n"
        "from engine.protocol.params import BakeParams\n"
        f"dataset = scan.scan(Path({str(thousand)!r}))\n"
        "fixes.fix(checks.diagnose(dataset, None, BakeParams(resolution=64)), codes=['image_rotated'])\n"
    )
    killed(code, tmp_path, lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 40)
    assert whole(thousand) == COUNT
    assert no_parts(thousand)
    found = diagnose(scan(thousand), None, BakeParams(resolution=64)).findings
    left = sum(finding.code == "image_rotated" for finding in found)
    assert 0 < left < COUNT // 2
    change, _, failed = take_back(thousand)
    assert (change.kind, failed) == ("fix", [])
    assert {path.name: path.read_bytes() for path in thousand.iterdir() if path.is_file()} == before


def test_exporting_crops(thousand: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "from pathlib import Path\n"
        "from engine.dataset import crop, scan\n"
        f"root = Path({str(thousand)!r})\n"
        "dataset = scan.scan(root)\n"
        "crop.crop(dataset, dataset.images, (16, 16))\n"
        f"crop.export(scan.scan(root), scan.scan(root).images, Path({str(out)!r}))\n"
    )
    killed(code, tmp_path, lambda: out.exists() and len(os.listdir(out)) >= 80)
    written = whole(out)
    assert 0 < written < COUNT
    assert all(path.with_suffix(".txt").exists() for path in out.glob("*.jpg"))
    # The rest can be written beside what is there, which is named and left alone.
    dataset = scan(thousand)
    from engine.dataset import crop

    count, failed = crop.export(dataset, dataset.images[: written + 5], out)
    assert {finding.code for finding in failed} <= {"file_exists"}
    assert count + len(failed) == written + 5
    assert whole(thousand) == COUNT


def test_importing_an_archive(thousand: Path, tmp_path: Path) -> None:
    archive, root = tmp_path / "set.zip", tmp_path / "taken"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(thousand.iterdir()):
            packed.write(path, path.name)
    code = (
        "from pathlib import Path\n"
        "from engine.dataset.add import add\n"
        f"add(Path({str(root)!r}), [{str(archive)!r}], limit=0)\n"
    )
    killed(code, tmp_path, lambda: root.exists() and len(os.listdir(root)) >= 80)
    taken = whole(root)
    assert 0 < taken < COUNT
    assert no_parts(root)
    for path in root.glob("*.jpg"):
        assert path.read_bytes() == (thousand / path.name).read_bytes()
        assert path.with_suffix(".txt").read_text() == (thousand / path.name).with_suffix(".txt").read_text()
    from engine.dataset.add import add

    report = add(root, [str(archive)], limit=0)
    assert (report.added, report.images) == (COUNT - taken, COUNT)
    assert {finding.code for finding in report.skipped} == {"add_duplicate"}
    assert not list((root / ".lorabake").rglob("*.part"))
