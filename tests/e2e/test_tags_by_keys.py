"""Twenty images tagged by keys alone at 80×24: tagger, trigger word, five batch edits, a review, an undo."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal, until
from tools.bench.tag_keys import IMAGES, captions, script, untagged

pytestmark = pytest.mark.timeout(600)


def test_twenty_images_by_keys(tmp_path: Path) -> None:
    folder = untagged(tmp_path / "pictures")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LORABAKE_HOME": str(tmp_path / "home"),
        "LORABAKE_LANG": "en",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with Terminal([sys.executable, "-m", "lorabake_tui", str(folder)], env, columns=80, rows=24) as terminal:
        terminal.wait_for("20 images")
        took = script(terminal.press, lambda done, what: until(done, what), lambda: terminal.text, folder)
    assert len(took) == 5
    found = captions(folder)
    assert len(found) == IMAGES
    assert all(tags[:2] == ["nekomizu", "ink drawing"] and tags[-1] == "avatar" for tags in found)
