"""Half-block cells: the right colours in the right places, in 24 bits and in the 256-colour palette."""

from __future__ import annotations

import io
import math
import re

import pytest
from rich.console import Console
from textual.strip import Strip

from lorabake_tui.widgets.halfblock import nearest, palette_rgb, strips

DARK = (18, 18, 18)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def pixels(*rows: list[tuple[int, int, int]]) -> bytes:
    return bytes(value for row in rows for pixel in row for value in pixel)


def shown(rows: list[Strip]) -> list[list[tuple[int, int, int]]]:
    """The pixels a terminal would show, row by row."""
    lines = []
    for strip in rows:
        upper, lower = [], []
        for segment in strip:
            assert segment.style is not None
            fore, back = segment.style.color, segment.style.bgcolor
            assert fore is not None
            assert back is not None
            for glyph in segment.text:
                assert glyph in " ▀"
                lower.append(tuple(back.get_truecolor()))
                upper.append(tuple(fore.get_truecolor()) if glyph == "▀" else lower[-1])
        lines += [upper, lower]
    return lines  # type: ignore[return-value]


def written(rows: list[Strip], system: str) -> str:
    """The escape sequences a terminal of this colour system gets."""
    out = io.StringIO()
    console = Console(file=out, color_system=system, force_terminal=True, width=80)  # type: ignore[arg-type]
    for strip in rows:
        out.write(strip.render(console) + "\n")
    return out.getvalue()


def test_every_pixel_stands_where_it_stood() -> None:
    rows = [[RED, GREEN, GREEN], [BLUE, GREEN, WHITE], [WHITE, WHITE, RED]]
    assert shown(strips(pixels(*rows), 3, 3, background=DARK)) == [*rows, [DARK] * 3]


def test_each_row_fills_its_width() -> None:
    for width in (1, 2, 7, 40):
        rows = strips(bytes(width * 5 * 3), width, 5, background=DARK)
        assert [strip.cell_length for strip in rows] == [width] * 3


def test_flat_areas_are_one_segment() -> None:
    (strip,) = strips(pixels([RED] * 30, [RED] * 30), 30, 2, background=DARK)
    assert len(list(strip)) == 1


def test_true_colour_is_written_exactly() -> None:
    text = written(strips(pixels([(1, 2, 3)], [(250, 130, 7)]), 1, 2, background=DARK), "truecolor")
    assert "38;2;1;2;3" in text
    assert "48;2;250;130;7" in text


def test_the_palette_is_written_by_number_only() -> None:
    noise = bytes((7 * at * at + 31 * at) % 256 for at in range(20 * 20 * 3))
    text = written(strips(noise, 20, 20, background=DARK, palette=True), "256")
    assert not re.search(r"[34]8;2;", text)
    numbers = {int(number) for number in re.findall(r"[34]8;5;(\d+)", text)}
    assert len(numbers) > 20
    assert min(numbers) >= 16


def test_nearest_is_the_nearest_of_all() -> None:
    entries = range(16, 256)
    for red in range(0, 256, 37):
        for green in range(0, 256, 41):
            for blue in range(0, 256, 29):

                def distance(number: int, wanted: tuple[int, int, int] = (red, green, blue)) -> int:
                    return sum((a - b) ** 2 for a, b in zip(palette_rgb(number), wanted, strict=True))

                best = min(distance(number) for number in entries)
                assert distance(nearest(red, green, blue)) == best


@pytest.mark.parametrize("colour", [(200, 120, 90), (40, 38, 60), (250, 220, 200), (128, 128, 128)])
def test_the_palette_keeps_a_flat_colour_on_average(colour: tuple[int, int, int]) -> None:
    lines = shown(strips(bytes(colour) * 24 * 24, 24, 24, background=DARK, palette=True))
    flat = [pixel for line in lines for pixel in line]
    mean = [sum(pixel[channel] for pixel in flat) / len(flat) for channel in range(3)]
    alone = math.dist(palette_rgb(nearest(*colour)), colour)
    assert math.dist(mean, colour) <= max(6.0, alone)


def test_damaged_data_is_refused() -> None:
    with pytest.raises(ValueError, match="pixels"):
        strips(b"\0" * 10, 2, 2, background=DARK)
