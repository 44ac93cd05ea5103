"""`lorabake tag` with real hosts and workers: a dry run changes nothing, stored scores need no model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lorabake_tui.cli import main
from tests.engine_processes import Home, home

__all__ = ["home"]
HELD = Path(__file__).parent / "data" / "held"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("01", "02", "03"):
        shutil.copy(HELD / f"{name}.png", folder)
    (folder / "01.txt").write_text("mira, by hand")
    return folder


def captions(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(folder.glob("*.txt"))}


def test_the_whole_command(home: Home, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def call(*words: str, code: int = 0) -> Any:
        assert main(["tag", str(dataset), *words]) == code
        return capfd.readouterr()

    shown = json.loads(call("--tagger", "demo", "--existing", "append", "--dry-run", "--json").out)
    assert (shown["images"], shown["scored"], shown["changed"]) == (3, 3, 3)
    assert captions(dataset) == {"01": "mira, by hand"}
    after = {Path(change["file"]).stem: change["after"] for change in shown["changes"]}
    lines = call("--tagger", "demo", "--existing", "append", "--json").out.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["type"] for event in events[-2:]] == ["tagged", "finished"]
    assert captions(dataset) == after
    assert after["01"].startswith("mira, by hand, ")
    report = json.loads(call("--tagger", "demo", "--stored", "--general", "0.9", "--exclude", "*style", "--json").out)
    assert report["removed"] > 0
    assert not any("style" in caption for caption in captions(dataset).values())
    told = call("--tagger", "demo", "--stored", "--general", "2", code=2)
    assert "general = 2.0 is not allowed" in told.err
    assert "Name the tagger" in call(code=2).err
    assert "no group" in call("--tagger", "demo", "--order", "hair", code=2).err
