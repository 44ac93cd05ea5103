"""What a bake was given when it was submitted is what it trains; what was edited since is told before it begins."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

from engine.dataset.manifest import freeze
from engine.dataset.plan import make_plan
from engine.dataset.scan import scan
from engine.protocol import events, fields
from engine.protocol.errors import EngineError
from engine.protocol.journal import JournalReader, JournalWriter
from engine.protocol.records import Job
from engine.runs.folder import RunFolder
from engine.worker import _check_manifest


def begin(run: RunFolder, job: Job) -> list[tuple[str, str]]:
    """What a worker tells of the dataset when it begins: code and first file of each warning."""
    journal = JournalWriter(run.journal, run.id)
    _check_manifest(run, job, journal)
    journal.close()
    told = [event for event in JournalReader(run.journal).read_all() if isinstance(event, events.Warning)]
    return [(event.code, event.args["file"]) for event in told]


def test_what_was_edited_since_is_told_and_not_mixed_in(tmp_path: Path) -> None:
    folder, run = tmp_path / "pictures", RunFolder(tmp_path / "run")
    folder.mkdir()
    run.path.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 64)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("mira")
    params = fields.build({"resolution": 64, "flip_aug": True})
    run.write_manifest(freeze(make_plan(scan(folder), None, params)))
    job = Job(id="x", kind="bake", name="x", created=time.time(), dataset=str(folder), params=params)
    assert begin(run, job) == []
    (folder / "b.txt").write_text("lena")
    Image.new("RGB", (64, 64), "red").save(folder / "c.png")
    assert begin(run, job) == [("notice_captions_edited", "b.png"), ("notice_images_added", "c.png")]
    assert [entry.caption for entry in run.read_manifest()] == ["mira", "mira"]
    Image.new("RGB", (64, 64), "blue").save(folder / "a.png")
    with pytest.raises(EngineError) as refused:
        begin(run, job)
    assert refused.value.info.code == "dataset_changed"
