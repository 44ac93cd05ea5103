"""A process that edits captions is killed at every single write: each file stays whole, and the next one to open the
journal finds files and journal in agreement, the edit done wholly or not begun."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.dataset import caption_swap, tag_journal
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tag_edit import carry_out, plan, undo, with_captions
from engine.protocol.tags import TagOp

COUNT = 4
CALLS = ("rename", "replace", "unlink", "write", "fsync", "open", "close", "fchmod")


def made(root: Path) -> Dataset:
    root.mkdir()
    images = []
    for number in range(COUNT):
        caption = f"tag {number}, (o)_(o), 银发" if number else None
        if caption:
            (root / f"{number}.txt").write_bytes(
                b"\xef\xbb\xbf" * (number == 2) + caption.encode() + b"\r\n" * (number == 3)
            )
        images.append(ImageFile(name=f"{number}.png", path=root / f"{number}.png", caption=caption))
    return Dataset(path=root, images=tuple(images))


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.glob("*.txt"))}


def killed_at(point: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that kills itself before its `point`-th call of the system; False when it got through."""
    child = os.fork()
    if not child:
        left = [point]

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def counting(*args: object, **more: object) -> object:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **more)

            return counting

        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name)))
            caption_swap._rename = counted(caption_swap._rename)  # type: ignore[assignment]
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def reopened(root: Path) -> tag_journal.TagJournal:
    tag_journal._journals.clear()
    with tag_journal.opened(root) as journal:
        pass
    assert not [path for path in root.rglob("*.part") if "lorabake" not in str(path)]
    return journal


@pytest.mark.parametrize("flushed", [1000, 0], ids=["each flushed", "as a large edit"])
def test_killed_at_every_write_of_an_edit_and_of_its_undo(
    tmp_path: Path, flushed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_journal, "_FLUSHED", flushed)
    op = TagOp(verb="add", tags=["new (tag)", ";)"])
    whole = made(tmp_path / "whole")
    before = files(whole.path)
    carry_out(whole, plan(whole.images, op))
    after = files(whole.path)
    assert len(after) == COUNT
    outcomes = set()
    point = 0
    while True:
        dataset = made(tmp_path / f"edit-{point}")
        tag_journal._journals.clear()
        died = killed_at(point, lambda dataset=dataset: carry_out(dataset, plan(dataset.images, op)))  # type: ignore[misc]
        for name, data in files(dataset.path).items():
            assert data in (before.get(name), after[name]), (point, name)
        journal = reopened(dataset.path)
        now = files(dataset.path)
        outcomes.add(len(journal.done))
        assert now == (after if journal.done else before), point
        if journal.done:
            undo(dataset)
            assert files(dataset.path) == before, point
        if not died:
            break
        point += 1
    assert outcomes == {0, 1}
    assert point > 20

    point = 0
    while True:
        dataset = made(tmp_path / f"undo-{point}")
        tag_journal._journals.clear()
        done = carry_out(dataset, plan(dataset.images, op))
        dataset = with_captions(dataset, done.captions)
        died = killed_at(point, lambda dataset=dataset: undo(dataset))  # type: ignore[misc]
        journal = reopened(dataset.path)
        assert files(dataset.path) == (before if journal.undone else after), point
        assert len(journal.done) + len(journal.undone) == 1
        if not died:
            break
        point += 1
    assert point > 20


def test_what_another_program_wrote_in_the_last_moment_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_journal, "_FLUSHED", 0)
    dataset = made(tmp_path / "set")
    exchange, theirs = caption_swap._rename, b"theirs, written while ours was under way"

    def interrupted(part: bytes, path: str, flags: int) -> None:
        if path.endswith("1.txt") and not ours:
            ours.append(path)
            Path(path).write_bytes(theirs)
        exchange(part, path, flags)

    ours: list[str] = []
    monkeypatch.setattr(caption_swap, "_rename", interrupted)
    done = carry_out(dataset, plan(dataset.images, TagOp(verb="add", tags=["new"])))
    assert [finding.file for finding in done.failed] == ["1.png"]
    assert files(dataset.path)["1.txt"] == theirs
    undo(with_captions(dataset, done.captions))
    assert files(dataset.path)["1.txt"] == theirs
    assert not list((dataset.path / ".lorabake").glob("*.part"))


def test_a_disk_that_cannot_change_names_is_written_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_journal, "_FLUSHED", 0)
    monkeypatch.setattr(caption_swap, "_renameat2", None)
    dataset = made(tmp_path / "set")
    before = files(dataset.path)
    done = carry_out(dataset, plan(dataset.images, TagOp(verb="prepend", tags=["new"])))
    assert len(done.captions) == COUNT
    assert files(dataset.path)["1.txt"].startswith(b"new, tag 1")
    undo(with_captions(dataset, done.captions))
    assert files(dataset.path) == before
