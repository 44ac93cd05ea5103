"""The commands that change a dataset, as a script would call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Lorabake


def test_add_repeat_mirror_export_undo(lorabake: Lorabake, dataset: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "set", tmp_path / "out"

    def ask(*words: str, status: int = 0) -> Any:
        done = lorabake.run(*words, "--json")
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    added = ask("add", str(root), str(dataset), str(dataset / "0.png"), status=1)
    assert (added["added"], [row["code"] for row in added["skipped"]]) == (4, ["add_duplicate"])
    told = ask("repeat", str(root), "--to", "5", "[01]*", "--set", "repeat=2", "--set", "epochs=1")
    assert [(row["file"], row["views"]) for row in told["views"]] == [
        ("0.png", 5),
        ("1.png", 5),
        ("2.png", 2),
        ("3.png", 2),
    ]
    ask("mirror", str(root), "--views", "on", "3.png")
    exported = ask("export", str(root), str(out), "--set", "repeat=2")
    assert [(row["name"], row["images"]) for row in exported["folders"]] == [("img/2_set", 3), ("img/5_set", 2)]
    assert (out / "dataset.toml").exists()
    history = ask("undo", str(root), "--list")
    assert [row["kind"] for row in history] == ["flip", "repeat", "add"]
    undone = ask("undo", str(root), "--kind", "add")
    assert (undone["change"]["count"], undone["images"]) == (4, 0)
    wrong = lorabake.run("remove", str(dataset), "none*")
    assert (wrong.returncode, "No image is called none*" in wrong.stderr) == (2, True)
