"""Tag edits against a plain model: thousands of random ones with undo, redo, restarts and other programs' writing."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest

from engine.dataset import tag_journal
from engine.dataset.captions import split_tags
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tag_edit import carry_out, history, plan, redo, undo, with_captions
from engine.dataset.tag_names import clean, key_of
from engine.dataset.tag_sources import read_sources
from engine.protocol.errors import EngineError
from engine.protocol.tags import TagOp

TAGS = (
    *("1girl", "solo", "long hair", "very long hair", "short_hair", ":d", ";)", "^_^", r"\o/", "(o)_(o)", "<|>_<|>"),
    *(
        "mira (series)",
        r"mira \(alt\)",
        "re:zero",
        "银发",
        "🏳️‍🌈",
        "Éclair",
        "a*b",
        "'quoted'",
        '"double"',
        "?!",
        "\\",
        "x" * 80,
    ),
)
STARTS = ("", "{}", "{}\n", "\ufeff{}", "{}\r\n", "{}\nsecond line, kept\n", "{}\r\nsecond\r\n\r\n", " {} ,, \n")


class Folder:
    """Caption files and the dataset over them; the images themselves are never read by an edit."""

    def __init__(self, root: Path, count: int, dice: random.Random) -> None:
        self.root = root
        self.names = [f"{number // 7}/{number:02}.png" if number % 3 else f"银{number}.png" for number in range(count)]
        for name in self.names:
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = dice.choice(STARTS)
            if shape:
                text = shape.format(", ".join(dice.sample(TAGS, dice.randrange(6))))
                path.write_bytes(text.encode())
        self.dataset = self.scan()

    def path(self, name: str) -> Path:
        return (self.root / name).with_suffix(".txt")

    def raw(self, name: str) -> bytes | None:
        return self.path(name).read_bytes() if self.path(name).exists() else None

    def scan(self) -> Dataset:
        from engine.dataset.captions import read_caption

        images = [
            ImageFile(name=name, path=self.root / name, caption=read_caption(self.root / name)) for name in self.names
        ]
        return Dataset(path=self.root, images=tuple(images))


def tags_of(raw: bytes | None) -> list[str]:
    text = (raw or b"").decode().removeprefix("\ufeff").split("\n")[0]
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def model(tags: list[str], op: TagOp) -> list[str]:
    """The verbs once more, written as plainly as they can be said."""
    given = list({key_of(tag): tag for tag in reversed([t for text in op.tags for t in clean(text)])}.values())[::-1]
    keys = [key_of(tag) for tag in given]
    spelt = {key_of(tag): tag for tag in reversed(tags)}
    own = [spelt.get(key, tag) for key, tag in zip(keys, given, strict=True)]
    rest = [tag for tag in tags if key_of(tag) not in keys]
    if op.verb == "add" and not op.at:
        return tags + [tag for tag in given if key_of(tag) not in spelt]
    if op.verb == "add":
        place = op.at - 1 if op.at > 0 else len(rest)
        return rest[:place] + own + rest[place:]
    if op.verb == "prepend":
        return own + rest
    if op.verb == "append":
        return rest + own
    if op.verb == "remove":
        return rest
    if op.verb == "move":
        there = [tag for tag in own if key_of(tag) in spelt]
        place = op.at - 1 if op.at > 0 else len(rest)
        return rest[:place] + there + rest[place:]
    if op.verb == "replace":
        news = clean(op.new)
        if not set(keys) & set(spelt):
            return tags
        result: list[str] = []
        for tag in tags:
            for put in news if key_of(tag) in keys else [tag]:
                if key_of(put) not in map(key_of, result) or key_of(put) not in map(key_of, news):
                    result.append(put)
        return result
    if op.verb == "sort":
        return tags[: op.keep] + sorted(tags[op.keep :], key=key_of)
    if op.verb == "dedupe":
        return _first(tags)
    raise AssertionError(op.verb)


def _first(tags: list[str]) -> list[str]:
    result: list[str] = []
    for tag in tags:
        if key_of(tag) not in map(key_of, result):
            result.append(tag)
    return result


def an_op(dice: random.Random, names: list[str]) -> TagOp:
    verb = dice.choice(
        ["add", "add", "prepend", "append", "remove", "remove", "replace", "replace", "move", "sort", "dedupe"]
    )
    tags = dice.sample(TAGS, dice.choice([1, 1, 2, 3]))
    # Where tags are looked for, * stands for anything: `test_query` has that.
    tags = [tag for tag in tags if verb not in ("remove", "replace") or "*" not in tag] or ["solo"]
    scope = names if dice.random() < 0.3 else dice.sample(names, dice.randrange(1, 6))
    return TagOp(
        verb=verb,
        tags=tags if verb not in ("sort", "dedupe") else [],
        new=", ".join(dice.sample(TAGS, dice.choice([0, 1, 1, 2]))) if verb == "replace" else "",
        at=dice.choice([0, 0, 1, 3, -1]) if verb == "add" else dice.choice([1, 2, -1]) if verb == "move" else 0,
        keep=dice.choice([0, 2]) if verb == "sort" else 0,
        names=scope,
    )


@pytest.mark.parametrize("seed", range(4))
def test_captions_are_always_what_a_plain_model_says(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # a slow disk's time; what a crash leaves is tested elsewhere
    monkeypatch.setattr(tag_journal, "_FLUSHED", 1000 * (seed % 2))  # half of them in the way of large edits
    monkeypatch.setattr(tag_journal, "_KEPT_SECONDS", -1.0)
    dice = random.Random(seed)
    folder = Folder(tmp_path, 16, dice)
    dataset = folder.dataset
    now = {name: folder.raw(name) for name in folder.names}
    # What every edit did: by name the whole file before and after. Undo and redo act where that still stands.
    past: list[dict[str, tuple[bytes | None, bytes | None]]] = []
    future: list[dict[str, tuple[bytes | None, bytes | None]]] = []
    refused = 0
    for turn in range(500):
        roll = dice.random()
        if roll < 0.55:
            op = an_op(dice, folder.names)
            images = [image for image in dataset.images if image.name in op.names]
            done = carry_out(dataset, plan(images, op))
            expected = {name: model(tags_of(now[name]), op) for name in op.names}
            touched = {name for name, tags in expected.items() if tags != tags_of(now[name])}
            assert set(done.captions) == touched, op
            assert not done.failed
            for name in touched:
                after = folder.raw(name)
                assert tags_of(after) == expected[name], op
                assert (after or b"").partition(b"\n")[2] == (now[name] or b"").partition(b"\n")[2]
            if touched:
                past.append({name: (now[name], folder.raw(name)) for name in touched})
                future.clear()
                now.update({name: folder.raw(name) for name in touched})
            dataset = with_captions(dataset, done.captions)
        elif roll < 0.86 and (past if roll < 0.72 else future):
            back = roll < 0.72
            edit = (past if back else future).pop()
            (future if back else past).append(edit)
            step = undo(dataset) if back else redo(dataset)
            dataset = with_captions(dataset, step.captions)
            foreign = set()
            for name, (before, after) in edit.items():
                there, wanted = (after, before) if back else (before, after)
                if now[name] == there:
                    now[name] = wanted
                elif now[name] != wanted:
                    foreign.add(name)
            assert {finding.file for finding in step.failed} == foreign
            refused += len(foreign)
        elif roll < 0.93:
            tag_journal._journals.clear()  # what a restart leaves: the files alone
            dataset = folder.scan()
        else:
            # Another program writes: seen by the next scan, refused while it was not seen.
            name = dice.choice(folder.names)
            image = next(image for image in dataset.images if image.name == name)
            now[name] = (", ".join(dice.sample(TAGS, 3)) + f", by another {turn}").encode()
            folder.path(name).write_bytes(now[name])
            done = carry_out(dataset, plan([image], TagOp(verb="add", tags=[f"new {turn}"], names=[name])))
            assert [finding.code for finding in done.failed] == ["caption_changed"]
            dataset = folder.scan()
        assert {name: folder.raw(name) for name in folder.names} == now
        assert not list((tmp_path / ".lorabake").glob("*.part"))
    assert refused


def test_undo_leaves_what_another_program_wrote(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 6, random.Random(1))
    before = {name: folder.raw(name) for name in folder.names}
    done = carry_out(folder.dataset, plan(folder.dataset.images, TagOp(verb="add", tags=["fresh"])))
    dataset = with_captions(folder.dataset, done.captions)
    name = folder.names[2]
    folder.path(name).write_text("mine now", encoding="utf-8")
    back = undo(dataset)
    assert [finding.file for finding in back.failed] == [name]
    assert {n: folder.raw(n) for n in folder.names} == {**before, name: b"mine now"}
    again = redo(with_captions(dataset, back.captions))
    assert [finding.file for finding in again.failed] == [name]
    assert folder.raw(name) == b"mine now"
    assert "fresh" in tags_of(folder.raw(folder.names[0]))
    with pytest.raises(EngineError, match="redo"):
        redo(dataset)


def test_history_sources_and_what_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one,two ,  three")
    (tmp_path / "b.txt").write_bytes(b"one")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe broken")
    os.chmod(tmp_path / "b.txt", 0o640)
    images = [
        ImageFile(name=f"{n}.png", path=tmp_path / f"{n}.png", caption=c)
        for n, c in (("a", "one,two ,  three"), ("b", "one"))
    ]
    images.append(ImageFile(name="c.png", path=tmp_path / "c.png", caption="", problem="caption_undecodable"))
    dataset = Dataset(path=tmp_path, images=tuple(images))
    done = carry_out(dataset, plan(dataset.images, TagOp(verb="add", tags=["three"])))
    assert [finding.code for finding in done.failed] == ["caption_undecodable"]
    assert (tmp_path / "a.txt").read_bytes() == b"one,two ,  three"
    assert (tmp_path / "b.txt").read_bytes() == b"one, three"
    assert (tmp_path / "b.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "c.txt").read_bytes() == b"\xff\xfe broken"
    assert read_sources(tmp_path).images == {"b.png": {"three": "manual"}}
    done_rows, undone = history(tmp_path)
    assert ([(row.title, row.count) for row in done_rows], undone) == ([("add three", 1)], [])


def test_a_torn_line_and_a_planted_link_do_no_harm(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "set", 4, random.Random(2))
    done = carry_out(folder.dataset, plan(folder.dataset.images, TagOp(verb="add", tags=["fresh"])))
    journal = tmp_path / "set" / ".lorabake" / "tags.jsonl"
    with open(journal, "ab") as file:
        file.write(b'{"token":"torn","t":1,"ed')
    tag_journal._journals.clear()
    dataset = with_captions(folder.dataset, done.captions)
    more = carry_out(dataset, plan(dataset.images, TagOp(verb="add", tags=["more"])))
    tag_journal._journals.clear()
    dataset = with_captions(dataset, more.captions)
    assert [row.title for row in history(dataset.path)[0]] == ["add fresh", "add more"]
    undo(dataset)
    outside = tmp_path / "outside"
    outside.mkdir()
    other = tmp_path / "other"
    (other / "x").mkdir(parents=True)
    (other / ".lorabake").symlink_to(outside)
    bare = Dataset(path=other, images=(ImageFile(name="a.png", path=other / "a.png"),))
    with pytest.raises(EngineError) as caught:
        carry_out(bare, plan(bare.images, TagOp(verb="add", tags=["a"])))
    assert caught.value.info.code == "path_outside"
    assert not list(outside.iterdir())


def test_what_a_power_cut_tore_is_mended(tmp_path: Path) -> None:
    count = tag_journal._FLUSHED + 5
    names = [f"{number:03}.png" for number in range(count)]
    for name in names:
        (tmp_path / name).with_suffix(".txt").write_text(f"tag {name}")
    images = tuple(ImageFile(name=name, path=tmp_path / name, caption=f"tag {name}") for name in names)
    dataset = Dataset(path=tmp_path, images=images)
    carry_out(dataset, plan(images, TagOp(verb="append", tags=["end"])))
    (intent,) = (tmp_path / ".lorabake").glob("tags-*.json")
    told = msgspec.json.decode(intent.read_bytes())
    told["boot"] = "another start of the machine"
    intent.write_bytes(msgspec.json.encode(told))
    journal = tmp_path / ".lorabake" / "tags.jsonl"
    lines = journal.read_bytes()
    (tmp_path / "003.txt").write_bytes(b"")
    (tmp_path / "004.txt").write_bytes(b"\0" * 9)
    (tmp_path / "005.txt").write_bytes(b"by hand, after the cut")
    for kept in (lines, b""):
        journal.write_bytes(kept)
        tag_journal._journals.clear()
        with tag_journal.opened(tmp_path) as opened:
            assert len(opened.done) == 1
        assert (tmp_path / "003.txt").read_text() == "tag 003.png, end"
        assert (tmp_path / "004.txt").read_text() == "tag 004.png, end"
        assert (tmp_path / "005.txt").read_text() == "by hand, after the cut"
        intent.write_bytes(msgspec.json.encode(told))
    assert split_tags((tmp_path / "000.txt").read_text()) == ["tag 000.png", "end"]


def test_an_undo_gives_the_old_files_back(tmp_path: Path) -> None:
    """The very files, as long as nobody touched them; what a killed process left is swept away by the next edit."""
    folder = Folder(tmp_path, 20, random.Random(1))
    left = tmp_path / ".lorabake" / "tags.new" / "99-killed"
    left.mkdir(parents=True)
    (left / "1").write_text("half an edit")
    before = {name: (folder.raw(name), _inode(folder.path(name))) for name in folder.names}
    edited = carry_out(folder.dataset, plan(folder.dataset.images, TagOp(verb="prepend", tags=["mira"])))
    after = {name: (folder.raw(name), _inode(folder.path(name))) for name in folder.names}
    assert not left.exists()
    assert all(after[name] != before[name] for name in edited.captions)
    undo(folder.scan())
    assert {name: (folder.raw(name), _inode(folder.path(name))) for name in folder.names} == before
    redo(folder.scan())
    assert {name: (folder.raw(name), _inode(folder.path(name))) for name in folder.names} == after

    kept = {path.stat().st_ino: path for path in (tmp_path / ".lorabake" / "tags.new").rglob("*") if path.is_file()}
    touched = next(name for name in folder.names if before[name][1] in kept)
    kept[before[touched][1]].write_text("somebody else's", encoding="utf-8")
    undo(folder.scan())
    assert {name: folder.raw(name) for name in folder.names} == {name: raw for name, (raw, _) in before.items()}
    assert _inode(folder.path(touched)) != before[touched][1]


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0
