"""`lorabake tags` as a script would call it: every verb, the preview, undo and redo, a journal replayed elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.conftest import Lorabake


def captions(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}


def test_verbs_preview_undo_and_replay(lorabake: Lorabake, dataset: Path, tmp_path: Path) -> None:
    def tags(*words: str) -> dict[str, object]:
        done = lorabake.run("tags", str(dataset), *words, "--json")
        assert done.returncode == 0, done.stderr
        report: dict[str, object] = json.loads(done.stdout)
        return report

    start = captions(dataset)
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    preview = tags("add", "long hair, ;)", "--where", "name:2 OR name:3", "--dry-run")
    assert (preview["scope"], preview["changed"]) == (2, 2)
    assert preview["diffs"][0] == {  # type: ignore[index]
        "file": "2.png",
        "before": "mira, solo, picture 2",
        "after": "mira, solo, picture 2, long hair, ;)",
    }
    assert captions(dataset) == start
    assert not (dataset / ".lorabake" / "tags.jsonl").exists()
    tags("add", "long hair, ;)", "--where", "name:2 OR name:3")
    tags("replace", "/picture (\\d)/", "image \\1, drawn")
    tags("prepend", "trigger")
    assert captions(dataset)["3"] == "trigger, mira, solo, image 3, drawn, long hair, ;)"
    listed = tags("list", "--where", 'tag:"long hair"')
    assert listed["images"] == 2
    assert ("drawn", 2, 4) in [(row["tag"], row["count"], row["total"]) for row in listed["tags"]]  # type: ignore[attr-defined]
    edited = captions(dataset)
    assert tags("undo", "--count", "2")["changed"] == 4
    assert captions(dataset)["3"] == "mira, solo, picture 3, long hair, ;)"
    tags("redo", "--count", "9")
    assert [(row["title"], row["count"]) for row in tags("history")["edits"]] == [  # type: ignore[attr-defined]
        ("add long hair, ;)", 2),
        ("replace /picture (\\d)/ > image \\1, drawn", 4),
        ("prepend trigger", 4),
    ]
    journal = dataset / ".lorabake" / "tags.jsonl"
    replayed = lorabake.run("tags", "apply", str(journal), str(other))
    assert replayed.returncode == 0, replayed.stderr
    assert captions(other) == edited


def test_rules_binding_and_writing(lorabake: Lorabake, dataset: Path, tmp_path: Path) -> None:
    def tags(*words: str, folder: Path = dataset) -> dict[str, object]:
        done = lorabake.run("tags", str(folder), *words, "--json")
        assert done.returncode == 0, done.stderr
        report: dict[str, object] = json.loads(done.stdout)
        return report

    tags("write", "1.png", "mira, hat, straw hat, blue eyes, once")
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    (other / ".lorabake" / "tags.jsonl").unlink()
    found = tags("rules")
    assert ["hat"] in [row["rule"]["tags"] for row in found["rows"] if row["rule"]["kind"] == "implied"]  # type: ignore[attr-defined]
    rules = ("rules", "--implied", "--exclude", "picture*", "--replace", "solo", "alone", "--rare", "2")
    preview = tags(*rules, "--dry-run")
    assert captions(dataset)["1"] == "mira, hat, straw hat, blue eyes, once"
    assert {diff["file"]: diff["after"] for diff in preview["diffs"]}["1.png"] == "mira"  # type: ignore[attr-defined]
    tags("rules", "--implied", "--exclude", "once, picture*", "--remember")
    assert tags("rules", "--own", "--replace", "solo", "alone")["changed"] == 4
    assert captions(dataset)["1"] == "mira, straw hat, blue eyes"
    assert captions(dataset)["2"] == "mira, alone"
    bound = tags("bind", "mira", "blue eyes", "alone")
    assert bound["changed"] == 4
    assert captions(dataset)["1"] == "mira, straw hat"
    verdicts = {row["tag"]: row["verdict"] for row in tags("traits", "mira")["traits"]}  # type: ignore[attr-defined]
    assert verdicts["blue eyes"] == "bind"
    tags("bind", "mira", "alone")
    assert captions(dataset)["1"] == "mira, straw hat, blue eyes"
    journal = dataset / ".lorabake" / "tags.jsonl"
    preview = tags("apply", str(journal), "--dry-run", folder=other)
    assert {diff["file"]: diff["after"] for diff in preview["diffs"]}["1.png"] == "mira, straw hat, blue eyes"  # type: ignore[attr-defined]
    tags("apply", str(journal), folder=other)
    assert captions(other) == captions(dataset)
    tags("undo", "--count", "9")
    assert captions(dataset)["1"] == "mira, solo, picture 1"


def test_mistakes_are_one_sentence(lorabake: Lorabake, dataset: Path, tmp_path: Path) -> None:
    start = captions(dataset)
    (tmp_path / "broken.jsonl").write_text("not json\n")
    for words, code, said in (
        (("paint", "x"), 2, "There is no verb paint."),
        (("list", "--where", "tags:many"), 2, "tags: at place 1"),
        (("apply", str(tmp_path / "broken.jsonl")), 2, "line 1"),
    ):
        done = lorabake.run("tags", str(dataset), *words)
        assert (done.returncode, done.stdout) == (code, ""), (words, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert captions(dataset) == start
