"""Pictures in the terminal: a view that draws after the cursor rests, and the full-screen view.

Pixels come from the engine's `picture` reply; `halfblock` turns them into cells. Only the full-screen view reads a
file itself, through term-image, where the terminal can show true pixels (kitty, iTerm2).
"""

from __future__ import annotations

import asyncio
import os
import sys
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.cells import cell_len
from rich.segment import Segment
from textual.app import ComposeResult
from textual.color import Color
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker

from engine.protocol.messages import PictureParams
from engine.protocol.records import Picture
from lorabake_tui import keys
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _, told
from lorabake_tui.widgets.halfblock import strips
from lorabake_tui.widgets.plain import clip, fit, plain

REST_SECONDS = 0.2
"""How long a cursor must rest on a picture before it is asked for."""
_KEPT = 64


class Item(NamedTuple):
    """A picture to show: file relative to a root folder on the engine's machine, and a caption for a person.

    `version` tells apart the contents of a file that was written again. With `zoom` above 1 the part around `at` is
    shown, that many times as large; (0, 0) is the upper left corner, (1, 1) the lower right one.
    """

    root: str
    file: str
    caption: str = ""
    version: int = 0
    zoom: int = 1
    at: tuple[float, float] = (0.5, 0.5)


class PictureSource:
    """Asks the engine for pictures and keeps the last few; one per section that shows some."""

    def __init__(self, call: Callable[[str, msgspec.Struct], Awaitable[Any]]) -> None:
        self._call = call
        self._kept: OrderedDict[tuple[Item, Size], Picture] = OrderedDict()

    def kept(self, item: Item, size: Size) -> Picture | None:
        """The picture if it is at hand."""
        return self._kept.get((item, size))

    async def get(self, item: Item, size: Size) -> Picture | str:
        """The picture scaled to fit `size` pixels, or the sentence that says why there is none."""
        key = item, size
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        params = PictureParams(
            root=item.root, file=item.file, width=size.width, height=size.height, zoom=item.zoom, at=item.at
        )
        try:
            picture: Picture = await self._call("picture", params)
        except ClientError as failure:
            return told(failure.info)[0]
        self._kept[key] = picture
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return picture


class PictureView(Widget, can_focus=False, inherit_bindings=False):
    """One picture in half-block cells, centred, its caption below; a short note while there is none.

    With `captioned` a line is kept for the caption of each item. With `keep` the picture before stays until the
    next one is there; else the place is empty meanwhile, so that nobody takes the one for the other.
    """

    COMPONENT_CLASSES = {"picture--caption", "picture--here"}
    DEFAULT_CSS = """
    PictureView {
        width: 1fr;
        height: 1fr;
        color: $text-muted;
        & > .picture--here { color: $foreground; text-style: bold; }
    }
    """

    def __init__(
        self,
        source: PictureSource,
        *,
        note: str = "",
        rest: float = REST_SECONDS,
        captioned: bool = False,
        keep: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._source = source
        self._rest, self._captioned, self._keep = rest, captioned, keep
        self._item: Item | None = None
        self._shown: Item | None = None
        self._note = note
        self._here = False
        self._strips: list[Strip] = []
        self._timer: Timer | None = None
        self._work: Worker[None] | None = None

    @property
    def item(self) -> Item | None:
        """What is shown or about to be."""
        return self._item

    @property
    def painted(self) -> bool:
        """Whether the pixels of `item` are on the screen."""
        return bool(self._strips) and self._shown == self._item

    def show(self, item: Item | None, note: str = "", *, here: bool = False) -> None:
        """Show a picture once the cursor rests (at once when it is at hand), or `note` when there is none.

        `here` marks the caption of the picture the cursor is on.
        """
        if here != self._here:
            self._here = here
            self.refresh()
        if item == self._item and note == self._note:
            return
        empty = not (self._strips or self._note or note or self._captioned)
        self._item, self._note = item, note
        self._drop(keep=self._keep and item is not None)
        if not empty:  # one empty place looks like another, while a key that is held walks on
            self.refresh()
        if item is not None:
            kept = self._source.kept(item, self._pixels)
            self._load(0 if kept else self._rest)

    @property
    def _pixels(self) -> Size:
        return Size(self.size.width, max(0, self.size.height - self._captioned) * 2)

    def _drop(self, *, keep: bool) -> None:
        if self._timer is not None:
            self._timer.stop()
        if self._work is not None:
            self._work.cancel()
        self._timer = self._work = None
        if not keep:
            self._strips, self._shown = [], None

    def _load(self, after: float) -> None:
        if after:
            self._timer = self.set_timer(after, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        if self._item is not None and self.is_attached and self._pixels.area:
            # Not the coroutine itself: one that is cancelled before its first step would never be awaited.
            fetch = partial(self._fetch, self._item, self._pixels)
            self._work = self.run_worker(fetch, exit_on_error=False, group="picture")

    async def _fetch(self, item: Item, size: Size) -> None:
        answer = await self._source.get(item, size)
        if isinstance(answer, str):
            self._note, self._strips, self._shown = answer, [], None
        else:
            self._strips = await asyncio.to_thread(self.painter(answer))
            self._shown = item
        self.refresh()

    def painter(self, picture: Picture) -> Callable[[], list[Strip]]:
        """What turns a picture into strips; called on a thread."""
        ground = self.background_colors[1]
        return partial(cells, picture, ground, palette=self.app.console.color_system == "256")

    def on_resize(self) -> None:
        had = self.painted
        self._drop(keep=False)
        self.refresh()
        if self._item is not None:
            self._load(self._rest if had else 0.01)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Without the filter that makes ANSI colours true: the palette's numbers are meant."""
        return [filter for filter in super().get_line_filters() if not isinstance(filter, ANSIToTruecolor)]

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        rows = len(self._strips) or 1
        row = y - (self.size.height - rows - self._captioned) // 2
        if row == rows and self._captioned:
            return self._caption(width)
        if not 0 <= row < rows:
            return Strip.blank(width, base)
        if not self._strips:
            return Strip([Segment(centred(self._note, width), base)], width)
        strip = self._strips[row]
        left = (width - strip.cell_length) // 2
        right = width - left - strip.cell_length
        return Strip([Segment(" " * left, base), *strip, Segment(" " * right, base)], width)

    def _caption(self, width: int) -> Strip:
        item = self._shown or self._item
        text = item.caption if item is not None else ""
        if cell_len(text) >= width:
            # A caption loses whole words, the first ones first: its end tells neighbours apart.
            text = text.rpartition(" ")[2]
        if self._here and text:
            text = f"▸{text}"
        style = self.get_component_rich_style("picture--here" if self._here else "picture--caption")
        return Strip([Segment(centred(text, width), style)], width)


def centred(text: str, width: int) -> str:
    """`text` in the middle of `width` cells, harmless to the terminal."""
    text = clip(plain(text), width)
    return fit(" " * ((width - cell_len(text)) // 2) + text, width)


Alter = Callable[[bytes, int, int], bytes]
"""Raw RGB pixels, width, height → the pixels to show instead."""


def cells(picture: Picture, ground: Color, *, palette: bool, alter: Alter | None = None) -> list[Strip]:
    """The strips of a picture; [] when its data is damaged."""
    try:
        size = picture.width * picture.height * 3
        pixels = zlib.decompressobj().decompress(picture.data, size)
        if alter is not None and len(pixels) == size:
            pixels = alter(pixels, picture.width, picture.height)
        return strips(pixels, picture.width, picture.height, background=ground.rgb, palette=palette)
    except (zlib.error, ValueError):
        return []


_CLOSEST = 4
Place = tuple[int, int]
"""Row and column of a picture in a table of pictures."""


class FullPicture(ModalScreen[Place], inherit_bindings=False):
    """One of a table of pictures over the whole screen; the arrows walk the table, and a closer look stays where it is.
    Returns where it ended."""

    BINDINGS = keys.bindings("picture")
    DEFAULT_CSS = """
    FullPicture { background: $background; }
    """

    def __init__(self, source: PictureSource, rows: Sequence[Sequence[Item]], at: Place = (0, 0)) -> None:
        super().__init__()
        self._rows, self._row, self._column = [list(row) for row in rows if row], at[0], at[1]
        self._view = PictureView(source, rest=0.05, captioned=True, keep=True)
        self._zoom, self._centre = 1, (0.5, 0.5)

    def compose(self) -> ComposeResult:
        yield self._view

    def on_mount(self) -> None:
        self._go(0, 0)

    def _go(self, down: int, right: int) -> None:
        self._row = min(len(self._rows) - 1, max(0, self._row + down))
        row = self._rows[self._row]
        self._column = min(len(row) - 1, max(0, self._column + right))
        item = row[self._column]
        keys_told = _("arrows walk, z closer, Esc back")
        told_zoom = f"{self._zoom}× " if self._zoom > 1 else ""
        closer = item._replace(caption=f"{told_zoom}{item.caption}   {keys_told}", zoom=self._zoom, at=self._centre)
        self._view.show(closer, here=True)

    def action_zoom(self) -> None:
        self._zoom = self._zoom * 2 if self._zoom < _CLOSEST else 1
        self._go(0, 0)

    def _pan(self, right: int, down: int) -> None:
        """Move a closer look by half of what is seen, at most to the edge; the other pictures follow."""
        if self._zoom == 1:
            return
        half = 0.5 / self._zoom
        x, y = self._centre[0] + right * half, self._centre[1] + down * half
        self._centre = (min(1 - half, max(half, x)), min(1 - half, max(half, y)))
        self._go(0, 0)

    def action_pan_right(self) -> None:
        self._pan(1, 0)

    def action_pan_left(self) -> None:
        self._pan(-1, 0)

    def action_pan_down(self) -> None:
        self._pan(0, 1)

    def action_pan_up(self) -> None:
        self._pan(0, -1)

    def action_next(self) -> None:
        self._go(0, 1)

    def action_previous(self) -> None:
        self._go(0, -1)

    def action_down(self) -> None:
        self._go(1, 0)

    def action_up(self) -> None:
        self._go(-1, 0)

    def action_close(self) -> None:
        self.dismiss((self._row, self._column))


async def show_full(widget: Widget, source: PictureSource, rows: Sequence[Sequence[Item]], at: Place = (0, 0)) -> Place:
    """Show a table of pictures full-screen, in true pixels where the terminal has them; returns where it ended.

    Must run in a worker, since it waits for the person. Rows without pictures are not allowed.
    """
    protocol = pixel_protocol(os.environ)
    item = rows[at[0]][at[1]]
    path = Path(item.root, item.file)
    if protocol and path.is_file():
        with widget.app.suspend():
            shown = await asyncio.to_thread(_draw, path, protocol, item.caption)
        if shown:
            return at
    answer = await widget.app.push_screen_wait(FullPicture(source, rows, at))
    return at if answer is None else answer


def pixel_protocol(environ: Any) -> str:
    """`kitty`, `iterm2` or "" by what the terminal says of itself; inside tmux or screen neither gets through."""
    if environ.get("TMUX") or environ.get("STY"):
        return ""
    program = environ.get("TERM_PROGRAM", "")
    if (
        environ.get("KITTY_WINDOW_ID")
        or environ.get("TERM") in ("xterm-kitty", "xterm-ghostty")
        or program == "ghostty"
    ):
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return ""


def _draw(path: Path, protocol: str, caption: str) -> bool:
    """Draw a file with term-image on the suspended terminal and wait for Enter; False when it could not."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import term_image
        from term_image.exceptions import TermImageError
        from term_image.image import ITerm2Image, KittyImage

    # It would ask the terminal questions on stdin, which belongs to the app.
    term_image.disable_queries()
    term_image.set_cell_ratio(0.5)
    kind = KittyImage if protocol == "kitty" else ITerm2Image
    kind.forced_support = True
    try:
        image = kind.from_file(path)
        image.set_size(image.Size.FIT)
        print(f"\x1b[2J\x1b[H{image}\n{plain(caption)}   {_('Enter: back')}", end="", flush=True)
        sys.stdin.readline()
        print("\x1b[2J\x1b[H", end="", flush=True)
    except (TermImageError, OSError):
        return False
    return True
