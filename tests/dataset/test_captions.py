"""Captions come back as they were, are written without loss, and render in kohya's order."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset.captions import (
    first_line,
    join_tags,
    read_caption,
    split_tags,
    write_caption,
)
from engine.dataset.render import render_caption
from engine.dataset.scan import scan
from engine.dataset.tags import tag_table
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from tests.dataset import make

ODD_TAGS = ["^_^", ":3", "(o)_(o)", "photo (medium)", r"a \(b\)", "||_||", ">:(", "{x|y}", "a|||b", ";)", "猫耳"]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return make.image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a, b", "a, b"),
        (b"\xef\xbb\xbfa, b\r\n", "a, b"),
        ("猫\n第二行\n\n".encode(), "猫\n第二行"),
        (b"", ""),
    ],
)
def test_saving_what_was_read_changes_no_byte(picture: Path, raw: bytes, text: str) -> None:
    file = picture.with_suffix(".txt")
    file.write_bytes(raw)
    before = file.stat()
    assert read_caption(picture) == text
    assert write_caption(picture, text, expected=text) is False
    assert file.read_bytes() == raw
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_edit_keeps_mark_line_ends_and_mode(picture: Path) -> None:
    file = picture.with_suffix(".txt")
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    file.chmod(0o640)
    assert write_caption(picture, "c\nd", expected="a\nb") is True
    assert file.read_bytes() == b"\xef\xbb\xbfc\r\nd\r\n"
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_first_caption(picture: Path) -> None:
    assert read_caption(picture) is None
    assert write_caption(picture, "a, b", expected=None) is True
    assert picture.with_suffix(".txt").read_bytes() == b"a, b"
    assert {entry.name for entry in picture.parent.iterdir()} == {"a.png", "a.txt"}


def test_the_edit_of_another_program_is_not_overwritten(picture: Path) -> None:
    file = picture.with_suffix(".txt")
    file.write_text("theirs")
    for expected in ("mine", None):
        with pytest.raises(EngineError) as failure:
            write_caption(picture, "edited", expected=expected)
        assert failure.value.info.code == "caption_changed"
    assert file.read_text() == "theirs"


def test_undecodable_bytes_are_never_overwritten(picture: Path) -> None:
    file = picture.with_suffix(".txt")
    file.write_bytes(b"\xff\xfe\x00")
    for expected in ("", None):
        with pytest.raises(EngineError) as failure:
            write_caption(picture, "edited", expected=expected)
        assert failure.value.info.code == "caption_undecodable"
    assert file.read_bytes() == b"\xff\xfe\x00"


def test_a_caption_too_long_is_refused(picture: Path) -> None:
    with pytest.raises(EngineError) as failure:
        write_caption(picture, "x" * 70_000, expected=None)
    assert failure.value.info.code == "caption_too_long"
    assert not picture.with_suffix(".txt").exists()


def test_a_folder_that_takes_no_file(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as failure:
        write_caption(tmp_path / "gone" / "a.png", "x", expected=None)
    assert failure.value.info.code == "dataset_unwritable"


def test_an_existing_dot_caption_file_is_the_one_edited(picture: Path) -> None:
    file = picture.with_suffix(".caption")
    file.write_text("old")
    write_caption(picture, "new", expected="old")
    assert file.read_text() == "new"
    assert not picture.with_suffix(".txt").exists()


def test_odd_tags_survive_splitting_and_joining() -> None:
    assert split_tags(join_tags(ODD_TAGS)) == ODD_TAGS
    assert split_tags(" a ,, b,\nsecond line, c") == ["a", "b"]


def test_without_shuffle_and_dropout_the_first_line_is_untouched() -> None:
    text = "a,b ,  (c:1.2),|||,,d"
    params = BakeParams(keep_tokens=3)
    assert render_caption(text + "\nsecond", params, random.Random(0)) == text
    assert first_line("\nsecond") == ""


captions = st.lists(st.sampled_from([*ODD_TAGS, "1girl", "solo", "hat"]), max_size=8, unique=True)


@given(captions, st.integers(0, 10), st.integers())
def test_shuffle_keeps_the_front_and_loses_nothing(tags: list[str], keep: int, seed: int) -> None:
    params = BakeParams(shuffle_caption=True, keep_tokens=keep)
    shown = split_tags(render_caption(join_tags(tags), params, random.Random(seed)))
    assert shown[:keep] == tags[:keep]
    assert sorted(shown) == sorted(tags)
    assert shown == split_tags(render_caption(join_tags(tags), params, random.Random(seed)))


@given(captions, st.integers(0, 10), st.floats(0, 1), st.integers())
def test_tag_dropout_keeps_front_and_order(tags: list[str], keep: int, rate: float, seed: int) -> None:
    params = BakeParams(keep_tokens=keep, caption_tag_dropout_rate=rate)
    shown = split_tags(render_caption(join_tags(tags), params, random.Random(seed)))
    assert shown[:keep] == tags[:keep]
    places = [tags.index(tag) for tag in shown]
    assert places == sorted(places)


def test_dropout_rates_are_met() -> None:
    rng = random.Random(1)
    whole = BakeParams(caption_dropout_rate=0.25)
    empty = sum(render_caption("a, b", whole, rng) == "" for _ in range(4000))
    assert 900 < empty < 1100
    single = BakeParams(caption_tag_dropout_rate=0.25, keep_tokens=1)
    kept = sum(len(split_tags(render_caption("a, b, c", single, rng))) - 1 for _ in range(4000))
    assert 5800 < kept < 6200


def test_shuffling_reaches_every_order() -> None:
    params = BakeParams(shuffle_caption=True, keep_tokens=1)
    seen = {render_caption("t, a, b, c", params, random.Random(i)) for i in range(200)}
    assert len(seen) == 6
    assert all(text.startswith("t, ") for text in seen)


def test_tag_table_counts_images_not_mentions(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png", caption="girl, hat, girl\nsecond line")
    make.image(tmp_path / "b.png", caption="hat, photo (medium)")
    make.image(tmp_path / "c.png")
    table = tag_table(scan(tmp_path))
    assert [(tag.tag, tag.count, tag.mean_rank) for tag in table.tags] == [
        ("hat", 2, 0.5),
        ("girl", 1, 0.0),
        ("photo (medium)", 1, 1.0),
    ]
    assert table.images == 3
    assert os.path.samefile(table.path, tmp_path)
