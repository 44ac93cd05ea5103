"""BoxedPicture: a picture with the part that trains in full light and the rest of it in shade."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from textual.color import Color
from textual.strip import Strip

from engine.protocol.records import Picture
from lorabake_tui.widgets.picture import Item, PictureView, cells

Bounds = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the full picture."""

_SHADE = bytes(value * 2 // 5 for value in range(256))


class Part(NamedTuple):
    """What of a picture of the size `of` is in the light, and the outlines (faces) drawn inside."""

    box: Bounds
    of: tuple[int, int]
    outlines: tuple[Bounds, ...] = ()
    warn: bool = False


class BoxedPicture(PictureView):
    """A `PictureView` with a part; moving the part repaints without asking the engine again."""

    _part: Part | None = None
    _again = False

    def show_part(self, item: Item | None, part: Part | None, note: str = "") -> None:
        """Show a picture and the part of it that trains; None lights all of it."""
        moved = part != self._part
        self._part = part
        if item != self.item:
            self.show(item, note)
        elif moved:
            self.repaint()

    def repaint(self) -> None:
        """Paint what is on the screen anew."""
        picture = self._source.kept(self.item, self._pixels) if self.item is not None else None
        if picture is None or self._again:
            return
        # Moves that come while one is being painted share the next painting.
        self._again = True
        self.run_worker(partial(self._repaint, picture), exit_on_error=False, group="repaint")

    async def _repaint(self, picture: Picture) -> None:
        item = self.item
        while self._again:
            self._again = False
            strips = await asyncio.to_thread(self.painter(picture))
        if item == self.item:
            self._strips, self._shown = strips, item
            self.refresh()

    def painter(self, picture: Picture) -> Callable[[], list[Strip]]:
        part = self._part
        if part is None or not all(part.of):
            return super().painter(picture)
        variables = self.app.theme_variables
        line = Color.parse(variables["warning" if part.warn else "primary"])
        alter = partial(lit, part=part, line=line.rgb, outline=Color.parse(variables["success"]).rgb)
        ground = self.background_colors[1]
        return partial(cells, picture, ground, palette=self.app.console.color_system == "256", alter=alter)


def lit(
    pixels: bytes,
    width: int,
    height: int,
    *,
    part: Part,
    line: tuple[int, int, int],
    outline: tuple[int, int, int],
) -> bytes:
    """RGB `pixels` with all in shade but the part, which has a frame; outlines are frames as well."""
    left, top, right, bottom = _scaled(part.box, part.of, (width, height))
    shown = bytearray(pixels.translate(_SHADE))
    for y in range(top, bottom):
        shown[(y * width + left) * 3 : (y * width + right) * 3] = pixels[
            (y * width + left) * 3 : (y * width + right) * 3
        ]
    for box in part.outlines:
        _frame(shown, width, _scaled(box, part.of, (width, height)), outline)
    if (left, top, right, bottom) != (0, 0, width, height):
        _frame(shown, width, (left, top, right, bottom), line)
    return bytes(shown)


def _scaled(box: Bounds, of: Sequence[int], to: tuple[int, int]) -> Bounds:
    """`box` in the pixels of the reduced picture, at least one pixel large and inside it."""
    x, y = to[0] / of[0], to[1] / of[1]
    left, top = min(to[0] - 1, max(0, round(box[0] * x))), min(to[1] - 1, max(0, round(box[1] * y)))
    return left, top, min(to[0], max(left + 1, round(box[2] * x))), min(to[1], max(top + 1, round(box[3] * y)))


def _frame(pixels: bytearray, width: int, box: Bounds, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = box
    paint = bytes(colour)
    for y in (top, bottom - 1):
        pixels[(y * width + left) * 3 : (y * width + right) * 3] = paint * (right - left)
    for y in range(top, bottom):
        for x in (left, right - 1):
            pixels[(y * width + x) * 3 : (y * width + x) * 3 + 3] = paint
