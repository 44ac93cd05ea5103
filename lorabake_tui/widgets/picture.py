"""Pictures in the terminal: a view that draws after the cursor rests, a row of them, and the full-screen view.

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
from textual.containers import Horizontal, Vertical
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

    `version` tells apart the contents of a file that was written again.
    """

    root: str
    file: str
    caption: str = ""
    version: int = 0


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
        params = PictureParams(root=item.root, file=item.file, width=size.width, height=size.height)
        try:
            picture: Picture = await self._call("picture", params)
        except ClientError as failure:
            return told(failure.info)[0]
        self._kept[key] = picture
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return picture


class PictureView(Widget, can_focus=False, inherit_bindings=False):
    """One picture in half-block cells, letterboxed; a short note in the middle while there is none."""

    DEFAULT_CSS = """
    PictureView { width: 1fr; height: 1fr; color: $text-muted; }
    """

    def __init__(
        self, source: PictureSource, *, note: str = "", rest: float = REST_SECONDS, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._source = source
        self._rest = rest
        self._item: Item | None = None
        self._note = note
        self._strips: list[Strip] = []
        self._picture: Picture | None = None
        self._timer: Timer | None = None
        self._work: Worker[None] | None = None

    @property
    def item(self) -> Item | None:
        """What is shown or about to be."""
        return self._item

    @property
    def painted(self) -> bool:
        """Whether the pixels of `item` are on the screen."""
        return bool(self._strips)

    def show(self, item: Item | None, note: str = "") -> None:
        """Show a picture once the cursor rests (at once when it is at hand), or `note` when there is none."""
        if item == self._item and note == self._note:
            return
        self._item, self._note = item, note
        self._drop()
        self.refresh()
        if item is not None:
            kept = self._source.kept(item, self._pixels)
            self._load(0 if kept else self._rest)

    @property
    def _pixels(self) -> Size:
        return Size(self.size.width, self.size.height * 2)

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        if self._work is not None:
            self._work.cancel()
        self._timer = self._work = None
        self._strips, self._picture = [], None

    def _load(self, after: float) -> None:
        if after:
            self._timer = self.set_timer(after, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        if self._item is not None and self.is_attached and self.size.area:
            self._work = self.run_worker(self._fetch(self._item, self._pixels), exit_on_error=False, group="picture")

    async def _fetch(self, item: Item, size: Size) -> None:
        answer = await self._source.get(item, size)
        if isinstance(answer, str):
            self._note = answer
        else:
            paint = partial(cells, answer, self._ground, palette=self.app.console.color_system == "256")
            self._strips = await asyncio.to_thread(paint)
            self._picture = answer
        self.refresh()

    @property
    def _ground(self) -> Color:
        return self.background_colors[1]

    def on_resize(self) -> None:
        self._drop()
        self.refresh()
        if self._item is not None:
            self._load(self._rest if self._picture else 0.01)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Without the filter that makes ANSI colours true: the palette's numbers are meant."""
        return [filter for filter in super().get_line_filters() if not isinstance(filter, ANSIToTruecolor)]

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        if not self._strips:
            text = self._note if y == (self.size.height - 1) // 2 else ""
            return Strip([Segment(_centred(text, width), base)], width)
        row = y - (self.size.height - len(self._strips)) // 2
        if not 0 <= row < len(self._strips):
            return Strip.blank(width, base)
        strip = self._strips[row]
        left = (width - strip.cell_length) // 2
        right = width - left - strip.cell_length
        return Strip([Segment(" " * left, base), *strip, Segment(" " * right, base)], width)


def cells(picture: Picture, ground: Color, *, palette: bool) -> list[Strip]:
    """The strips of a picture; [] when its data is damaged."""
    try:
        size = picture.width * picture.height * 3
        pixels = zlib.decompressobj().decompress(picture.data, size)
        return strips(pixels, picture.width, picture.height, background=ground.rgb, palette=palette)
    except (zlib.error, ValueError):
        return []


class Caption(Widget, can_focus=False, inherit_bindings=False):
    """One centred line under a picture."""

    COMPONENT_CLASSES = {"caption--here"}
    DEFAULT_CSS = """
    Caption { height: 1; width: 1fr; color: $text-muted; & > .caption--here { color: $foreground; text-style: bold; } }
    """

    def __init__(self) -> None:
        super().__init__()
        self._text, self._here = "", False

    def tell(self, text: str, *, here: bool = False) -> None:
        """Show `text`; `here` marks the picture the cursor is on."""
        if (text, here) != (self._text, self._here):
            self._text, self._here = text, here
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        text = f"▸ {self._text}" if self._here else self._text
        style = self.get_component_rich_style("caption--here") if self._here else self.rich_style
        return Strip([Segment(_centred(text, width), style)], width)


def _centred(text: str, width: int) -> str:
    text = clip(plain(text), width)
    return fit(" " * ((width - cell_len(text)) // 2) + text, width)


class PictureGrid(Horizontal, can_focus=False, inherit_bindings=False):
    """A row of `columns` pictures with a caption under each; places without a picture stay empty."""

    DEFAULT_CSS = """
    PictureGrid {
        & > Vertical { width: 1fr; margin: 0 1 0 0; }
        & > Vertical.-last { margin: 0; }
    }
    """

    def __init__(
        self, source: PictureSource, *, columns: int = 4, rest: float = REST_SECONDS, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._views = [PictureView(source, rest=rest) for _column in range(columns)]
        self._captions = [Caption() for _column in range(columns)]

    def compose(self) -> ComposeResult:
        last = len(self._views) - 1
        for column, (view, caption) in enumerate(zip(self._views, self._captions, strict=True)):
            yield Vertical(view, caption, classes="-last" if column == last else "")

    def show(self, items: Sequence[Item | None], *, note: str = "", cursor: int | None = None) -> None:
        """Show these pictures from the left; `note` stands where one is missing, `cursor` marks one."""
        for column, (view, caption) in enumerate(zip(self._views, self._captions, strict=True)):
            item = items[column] if column < len(items) else None
            view.show(item, "" if item is not None else note)
            caption.tell(item.caption if item is not None else "", here=column == cursor and item is not None)

    @property
    def painted(self) -> bool:
        """Whether every picture asked for is on the screen."""
        return all(view.painted for view in self._views if view.item is not None)


class FullPicture(ModalScreen[int], inherit_bindings=False):
    """One of several pictures over the whole screen; returns the number of the one shown last."""

    BINDINGS = keys.bindings("picture")
    DEFAULT_CSS = """
    FullPicture { background: $background; & > Caption { dock: bottom; } }
    """

    def __init__(self, source: PictureSource, items: Sequence[Item], at: int = 0) -> None:
        super().__init__()
        self._items, self._at = list(items), at
        self._view = PictureView(source, rest=0.05)
        self._caption = Caption()

    def compose(self) -> ComposeResult:
        yield self._view
        yield self._caption

    def on_mount(self) -> None:
        self._turn(0)

    def _turn(self, by: int) -> None:
        self._at = (self._at + by) % len(self._items)
        item = self._items[self._at]
        self._view.show(item)
        place = f"{self._at + 1}/{len(self._items)}"
        self._caption.tell(f"{place}   {item.caption}   {_('← → turn · Esc back')}")

    def action_next(self) -> None:
        self._turn(1)

    def action_previous(self) -> None:
        self._turn(-1)

    def action_close(self) -> None:
        self.dismiss(self._at)


async def show_full(widget: Widget, source: PictureSource, items: Sequence[Item], at: int = 0) -> int:
    """Show pictures full-screen, in true pixels where the terminal has them; returns the one shown last.

    Must run in a worker, since it waits for the person.
    """
    protocol = pixel_protocol(os.environ)
    item = items[at]
    path = Path(item.root, item.file)
    if protocol and path.is_file():
        with widget.app.suspend():
            shown = await asyncio.to_thread(_draw, path, protocol, item.caption)
        if shown:
            return at
    answer = await widget.app.push_screen_wait(FullPicture(source, items, at))
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
