"""Pixels as half-block cells: two pixels a cell, in 24-bit colour or the nearest of the 256-colour palette.

Pure: raw RGB bytes in, strips out. Reading pictures and placing them on the screen is `picture`'s work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

RGB = tuple[int, int, int]

_LEVELS = (0, 95, 135, 175, 215, 255)
"""What the six steps of the palette's colour cube mean (xterm)."""
_DIFFUSED = 0.5
"""Share of a pixel's error handed on: all of it would speckle flat areas, none would turn skin into patches."""


def strips(pixels: bytes, width: int, height: int, *, background: RGB, palette: bool = False) -> list[Strip]:
    """Rows of `width` cells showing `width` × `height` pixels (3 bytes each, row by row).

    With `palette` colours come from the 256-colour palette, dithered; an odd last row stands on `background`.
    Raises ValueError when the bytes do not fit the size.
    """
    if len(pixels) != width * height * 3:
        raise ValueError(f"{len(pixels)} bytes are not {width} × {height} pixels")
    if palette:
        codes = _quantised(pixels, width, height)
        return _rows(codes, width, height, nearest(*background), _palette_style)
    values = [int.from_bytes(pixels[at : at + 3]) for at in range(0, len(pixels), 3)]
    return _rows(values, width, height, background[0] << 16 | background[1] << 8 | background[2], _true_style)


def _rows(
    values: list[int], width: int, height: int, background: int, style: Callable[[int, int], Style]
) -> list[Strip]:
    rows = []
    for top in range(0, height, 2):
        upper = values[top * width : (top + 1) * width]
        lower = values[(top + 1) * width : (top + 2) * width] or [background] * width
        segments: list[Segment] = []
        start = 0
        for x in range(1, width + 1):
            if x < width and upper[x] == upper[start] and lower[x] == lower[start]:
                continue
            # Where both halves agree a blank on the background says the same in fewer bytes.
            glyph = " " if upper[start] == lower[start] else "▀"
            segments.append(Segment(glyph * (x - start), style(upper[start], lower[start])))
            start = x
        rows.append(Strip(segments, width))
    return rows


@lru_cache(maxsize=8192)
def _true_style(upper: int, lower: int) -> Style:
    return Style.from_color(_true_color(upper), _true_color(lower))


@lru_cache(maxsize=8192)
def _true_color(value: int) -> Color:
    return Color("", ColorType.TRUECOLOR, triplet=ColorTriplet(value >> 16, value >> 8 & 255, value & 255))


@lru_cache(maxsize=8192)
def _palette_style(upper: int, lower: int) -> Style:
    return Style.from_color(palette_color(upper), palette_color(lower))


@lru_cache(maxsize=256)
def palette_color(number: int) -> Color:
    """The palette's colour as Rich writes it (`38;5;n`), with its triplet so that no filter looks it up again."""
    return Color("", ColorType.EIGHT_BIT, number=number, triplet=ColorTriplet(*palette_rgb(number)))


@lru_cache(maxsize=256)
def palette_rgb(number: int) -> RGB:
    """What an entry 16 … 255 of the 256-colour palette looks like; those below are the user's own choice."""
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return grey, grey, grey
    cube = number - 16
    return _LEVELS[cube // 36], _LEVELS[cube // 6 % 6], _LEVELS[cube % 6]


@lru_cache(maxsize=65536)
def nearest(red: int, green: int, blue: int) -> int:
    """The entry 16 … 255 of the palette nearest to a colour."""
    cube = 16 + 36 * _step(red) + 6 * _step(green) + _step(blue)
    grey = 232 + min(23, max(0, round(((red + green + blue) / 3 - 8) / 10)))
    return min((cube, grey), key=lambda number: _distance(palette_rgb(number), (red, green, blue)))


def _step(value: int) -> int:
    return 0 if value < 48 else 1 if value < 115 else min(5, (value - 35) // 40)


def _distance(one: RGB, other: RGB) -> int:
    red, green, blue = (a - b for a, b in zip(one, other, strict=True))
    return red * red + green * green + blue * blue


def _quantised(pixels: bytes, width: int, height: int) -> list[int]:
    """Palette numbers of all pixels, by error diffusion.

    Source: R. Floyd, L. Steinberg, "An adaptive algorithm for spatial greyscale", 1976, with damped error.
    """
    codes = []
    below = [0.0] * (3 * width + 6)
    for y in range(height):
        here, below = below, [0.0] * (3 * width + 6)
        # Index 3 is the first pixel, so that the neighbours of both edges exist.
        for x in range(width):
            at, place = 3 * (y * width + x), 3 * x + 3
            red = _byte(pixels[at] + here[place])
            green = _byte(pixels[at + 1] + here[place + 1])
            blue = _byte(pixels[at + 2] + here[place + 2])
            code = nearest(red & 0xFE, green & 0xFE, blue & 0xFE)
            codes.append(code)
            got = palette_rgb(code)
            for channel, wanted in enumerate((red, green, blue)):
                error = (wanted - got[channel]) * _DIFFUSED / 16
                if error:
                    here[place + 3 + channel] += 7 * error
                    below[place - 3 + channel] += 3 * error
                    below[place + channel] += 5 * error
                    below[place + 3 + channel] += error
    return codes


def _byte(value: float) -> int:
    return 0 if value <= 0 else 255 if value >= 255 else int(value)
