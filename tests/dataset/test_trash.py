"""The trash of a dataset is weighed and emptied; what needed it can no longer be taken back, all else can."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.dataset import trash
from engine.dataset.add import add, remove
from engine.dataset.groups import set_repeat
from engine.dataset.scan import find_all, scan
from engine.dataset.undo import history, take_back
from engine.protocol.datasets import crop_sizes
from engine.protocol.errors import EngineError
from tests.dataset import make


def test_emptying_keeps_what_needs_no_original(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(4):
        make.image(root / f"{number}.png", 40 + number, 40)
        (root / f"{number}.txt").write_text("mira")
    assert trash.look(root).files == 0
    add(root, [str(make.image(tmp_path / "new.png", 90, 90))])
    dataset = scan(root)
    remove(dataset, find_all(dataset, ["1.png", "2.png"]))
    set_repeat(scan(root), 3, images=["0.png"])
    held = trash.look(root)
    assert (held.files, held.rounds) == (4, 1)
    assert held.bytes == sum(path.stat().st_size for path in (root / ".lorabake" / "trash").rglob("*.*"))
    assert trash.empty(root) == held
    assert (trash.look(root).files, trash.look(root).bytes, trash.look(root).rounds) == (0, 0, 0)
    assert [change.kind for change in history(root)] == ["repeat", "add"]
    assert take_back(root)[0].kind == "repeat"
    assert take_back(root)[0].kind == "add"
    # What undoing put away lies in the trash as well, and no change needs it.
    assert (trash.look(root).files, trash.look(root).rounds) == (1, 0)
    with pytest.raises(EngineError, match="Nothing"):
        take_back(root)
    assert sorted(path.name for path in root.glob("*.png")) == ["0.png", "3.png"]


def test_sizes_to_crop_to_follow_the_base() -> None:
    assert crop_sizes("sd15", 512) == ("512x768", "512x512", "768x512")
    assert crop_sizes("sdxl", 1024) == ("768x1024", "1024x1024", "1024x768")
    assert crop_sizes("sd15", 64) == ("64x96", "64x64", "96x64")
    assert crop_sizes("", 0) == crop_sizes("sd15", 512)
