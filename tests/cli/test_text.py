"""Columns, durations and sizes as commands print them."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from lorabake_tui.commands.text import duration, pairs, size, table


def test_columns_align_by_cell_and_numbers_to_the_right() -> None:
    lines = table(["name", "步", "state"], [["米拉", "7", "✓ done"], ["long name", "1200", ""]], right=(1,))
    assert lines == ["name         步  state", "米拉          7  ✓ done", "long name  1200"]


def test_a_cell_cannot_carry_an_escape_sequence_or_a_new_line() -> None:
    (_, line) = table(["name"], [["a\x1b[31m\nb"]])
    assert "\x1b" not in line
    assert "\n" not in line


def test_explanations_wrap_under_themselves_within_the_width() -> None:
    told = "训练图片所在的文件夹，里面每一张图片都有一个同名的标注文件。"
    lines = pairs([("--dataset FOLDER", told), ("--json", "Print JSON.")], indent=2, width=48)
    assert all(cell_len(line) <= 48 for line in lines)
    assert "".join(line.replace("--dataset FOLDER", "").strip() for line in lines[:-1]) == told
    assert lines[-1] == "  --json            Print JSON."


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.6, "1:00:00"), (90061, "25:01:01")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (168, "168 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_400, "99.4 kB"),
        (999_600, "1.0 MB"),
        (2.13e9, "2.1 GB"),
        (5e12, "5.0 TB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text
