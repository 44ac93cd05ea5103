"""Datasets that a host keeps open stay fresh without making anybody wait or losing an edit."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from engine.dataset.captions import write_caption
from engine.handlers import opened
from engine.handlers.opened import Opened
from engine.protocol.errors import EngineError
from tests.dataset import make
from tests.engine_processes import until


@pytest.fixture(autouse=True)
def always_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "RECENT_SECONDS", 0.0)


def test_a_form_gets_the_last_scan_at_once_and_the_next_one_soon(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png")
    datasets = Opened()
    first = datasets.recent(str(tmp_path))
    make.image(tmp_path / "b.png")
    assert datasets.recent(str(tmp_path)) is first
    until(lambda: len(datasets.recent(str(tmp_path)).images) == 2, "the new image is seen")


def test_a_folder_that_went_away_is_told_at_the_next_question(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make.image(folder / "a.png")
    datasets = Opened()
    datasets.recent(str(folder))
    shutil.rmtree(folder)

    def code() -> str:
        try:
            datasets.recent(str(folder))
        except EngineError as error:
            return error.info.code
        return ""

    until(lambda: code() == "dataset_missing", "the loss is told")


def test_edits_and_rescans_at_once_lose_no_edit(tmp_path: Path) -> None:
    for i in range(30):
        make.image(tmp_path / f"{i}.png", caption="old")
    datasets = Opened()
    datasets.open(str(tmp_path))
    stop = threading.Event()

    def rescan() -> None:
        while not stop.is_set():
            datasets.open(str(tmp_path))

    thread = threading.Thread(target=rescan)
    thread.start()
    try:
        for i in range(30):
            write_caption(tmp_path / f"{i}.png", "new", expected="old")
            after = datasets.reread(str(tmp_path), [f"{i}.png"])
            assert next(image for image in after.images if image.name == f"{i}.png").caption == "new"
            assert {image.caption for image in datasets.get(str(tmp_path)).images[: i + 1]} == {"new"}
    finally:
        stop.set()
        thread.join()
