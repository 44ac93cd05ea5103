"""CropReview: the crops of a dataset one by one: look, move the part, accept, next. Returns the rows that changed.

Boxes are arithmetic (`store.cropping`); the engine keeps them and knows where faces are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.timer import Timer

from engine.protocol.datasets import CropChoices, RowsReport, SetCrop, SuggestParams
from engine.protocol.records import ImageRow
from lorabake_tui import keys
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import N_, _
from lorabake_tui.screens.dataset_text import BLURS
from lorabake_tui.screens.section import hints_of
from lorabake_tui.store import cropping
from lorabake_tui.store.cropping import Part, Size
from lorabake_tui.widgets import boxed
from lorabake_tui.widgets.boxed import BoxedPicture
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.page import Block, Page, Text
from lorabake_tui.widgets.picture import Item, PictureSource
from lorabake_tui.widgets.rows import Cell, Column, RowList
from lorabake_tui.widgets.status import HintLine

if TYPE_CHECKING:
    from lorabake_tui.app import LoRABake

HINTS = ("subject", "shape", "close", "help", "next", "flagged", "undo", "whole")
GRIPS = (("hjkl", N_("Move")), ("+-", N_("Size")))
"""Keys that move or grow the part, told as one hint each."""
SHOWN = (N_("all"), N_("enlarged"), N_("face cut"))
"""What the list is narrowed to, in turn."""

WHY = {
    "faces": N_("around all faces"),
    "face": N_("around one face"),
    "salient": N_("around what stands out"),
    "center": N_("the middle"),
}
STEP, FAR = 0.015, 0.08
"""Shares of the picture's longer side that a key moves the part by."""
GROWS = 1.06
REST_SECONDS = 0.25


class CropReview(ModalScreen[list[ImageRow]], inherit_bindings=False):
    """Pictures at the left with their part in the light, the list of crops at the right."""

    BINDINGS = keys.bindings("review")
    AUTO_FOCUS = ""  # every key is the screen's; the list only shows
    DEFAULT_CSS = """
    CropReview {
        background: $background;
        & > Horizontal { height: 1fr; }
        & #review-picture { width: 1fr; height: 1fr; }
        & #review-side { width: 30; height: 1fr; }
        & #review-list { height: 1fr; }
        & #review-facts { height: 8; }
        & > HintLine { dock: bottom; }
    }
    """

    def __init__(
        self, path: str, rows: Sequence[ImageRow], sizes: Sequence[str], face_model: str, here: ImageRow | None
    ) -> None:
        super().__init__()
        self._path, self._face_model = path, face_model
        self._rows = list(rows)
        self._sizes = [_size(text) for text in sizes]
        usual = next((row.crop.size for row in rows if row.crop is not None), self._sizes[0])
        self._parts = [cropping.of_row(row, usual) for row in rows]
        self._before = list(self._parts)
        self._accepted = {number for number, row in enumerate(rows) if row.crop is not None and row.crop.accepted}
        self._written: dict[int, ImageRow] = {}
        self._seen: dict[int, CropChoices] = {}
        self._turn: dict[int, int] = {}
        self._why: dict[int, str] = {}
        self._narrow = 0
        self._number = next((n for n, row in enumerate(rows) if here is not None and row.name == here.name), 0)
        self._writing = asyncio.Lock()
        self._timer: Timer | None = None

    @property
    def bench(self) -> LoRABake:
        """The app, with its type."""
        return cast("LoRABake", self.app)

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Frame(id="review-picture"):
                yield BoxedPicture(PictureSource(self.bench.engine.call), rest=0.03, keep=True)
            with Vertical(id="review-side"):
                with Frame(id="review-list"):
                    yield RowList([Column("", 1), Column(""), Column("", 6, right=True)], head=False, led=True)
                with Frame(id="review-facts"):
                    yield Page()
        yield HintLine()

    def on_mount(self) -> None:
        accept, *others = hints_of([keys.find(f"review.{name}") for name in ("accept", *HINTS)])
        self.query_one(HintLine).tell([accept, *((key, _(verb)) for key, verb in GRIPS), *others])
        self._list()
        self.query_one(RowList).go_to(self._number)

    # -- showing ----------------------------------------------------------------------------------------------

    def _list(self) -> None:
        rows = self.query_one(RowList)
        fits = (lambda n: True, lambda n: self._parts[n].factor >= BLURS, self._cuts)[self._narrow]
        rows.empty = _("none")
        rows.show([number for number in range(len(self._rows)) if fits(number)], self._cells)
        title = _("Crops") if not self._narrow else _(SHOWN[self._narrow])
        self.query_one("#review-list", Frame).set_title(f"{title} · {len(rows.shown)}")

    def _cells(self, number: int) -> Sequence[Cell]:
        part = self._parts[number]
        sign: Cell = ("✓", "row--good") if number in self._accepted else " "
        flag: Cell = ""
        if part.box is None:
            flag = (_("whole"), "row--dim")
        elif self._cuts(number):
            flag = ("⚠ " + _("face"), "row--warn")
        elif part.factor >= BLURS:
            flag = (f"⚠×{part.factor:.2f}"[:6], "row--warn")
        return (sign, self._rows[number].name, flag)

    def _cuts(self, number: int) -> bool:
        box, seen = self._parts[number].box, self._seen.get(number)
        if box is None:
            return False
        if seen is not None:
            return cropping.cuts(box, seen.faces)
        crop = self._rows[number].crop
        return crop is not None and crop.cuts_face and crop.box == box

    @on(RowList.Highlighted)
    def _moved(self, event: RowList.Highlighted) -> None:
        if event.row is None:
            self.query_one(BoxedPicture).show_part(None, None, _("none"))
            self.query_one(Page).show([])
            return
        if event.row != self._number:
            self._keep(self._number)
            self._number = event.row
        self._show()
        self._look_soon()

    def _show(self) -> None:
        number = self._number
        row, part = self._rows[number], self._parts[number]
        seen = self._seen.get(number)
        faces = tuple(seen.faces) if seen is not None else ()
        full = (row.width, row.height)
        light = boxed.Part(part.box or (0, 0, *full), full, faces, self._cuts(number))
        self.query_one(BoxedPicture).show_part(Item(self._path, row.name, version=row.bytes), light)
        rows = self.query_one(RowList)
        place = f"{rows.cursor + 1}/{len(rows.shown)} · {row.name}"
        self.query_one("#review-picture", Frame).set_title(place, f"{row.width}×{row.height}")
        self.query_one("#review-facts", Frame).set_title(f"{part.size[0]}×{part.size[1]}")
        self.query_one(Page).show(self._facts(number))

    def _facts(self, number: int) -> list[Block]:
        part = self._parts[number]
        if part.box is None:
            return [Text(_("The whole picture trains; f or b crops it."))]
        left, top, right, bottom = part.box
        blocks: list[Block] = [Text(f"{right - left}×{bottom - top} + {left},{top}")]
        if why := self._why.get(number, ""):
            blocks.append(Text(_(WHY[why]), "faint"))
        if part.factor >= BLURS:
            blocks.append(Text(_("⚠ enlarges ×{factor:.2f}").format(factor=part.factor), "warn"))
        if self._cuts(number):
            blocks.append(Text(_("⚠ cuts a face"), "warn"))
        if number in self._accepted:
            blocks.append(Text(_("✓ accepted"), "good"))
        return blocks

    def _put(self, part: Part, why: str = "") -> None:
        number = self._number
        self._parts[number] = part
        self._why[number] = why
        self._accepted.discard(number)
        self.query_one(RowList).restyle()
        self._show()

    @property
    def _full(self) -> Size:
        row = self._rows[self._number]
        return row.width, row.height

    # -- what the engine knows and keeps ----------------------------------------------------------------------

    def _look_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(REST_SECONDS, self._look)

    @work(exit_on_error=False, exclusive=True, group="look")
    async def _look(self) -> None:
        if self._number not in self._seen:
            await self._suggest(self._number)
            self._show()
            self.query_one(RowList).restyle()

    async def _suggest(self, number: int) -> CropChoices | None:
        size = self._parts[number].size
        asked = SuggestParams(
            path=self._path,
            image=self._rows[number].name,
            size=f"{size[0]}x{size[1]}",
            face_model=self._face_model,
        )
        try:
            seen: CropChoices = await self.bench.engine.call("dataset.suggest_crops", asked)
        except ClientError:
            return None  # an unreadable picture says so itself
        self._seen[number] = seen
        return seen

    def _keep(self, number: int) -> None:
        """Write a part that was moved; the next key need not wait for it."""
        if self._parts[number] != self._before[number]:
            self._write(number, number in self._accepted)

    @work(exit_on_error=False, group="write")
    async def _write(self, number: int, accepted: bool) -> None:
        await self._written_crop(number, accepted)

    async def _written_crop(self, number: int, accepted: bool) -> None:
        part = self._parts[number]
        asked = SetCrop(
            path=self._path,
            image=self._rows[number].name,
            size=f"{part.size[0]}x{part.size[1]}" if part.box else "",
            box=part.box,
            accepted=accepted,
            face_model=self._face_model,
        )
        async with self._writing:
            report: RowsReport | None = await self.bench.call("dataset.set_crop", asked)
        if report is not None:
            self._before[number] = part
            for row in report.rows:
                self._written[number] = row

    # -- keys -------------------------------------------------------------------------------------------------

    def _nudge(self, right: float, down: float) -> None:
        part, full = self._parts[self._number], self._full
        if part.box is not None:
            step = max(full)
            box = cropping.moved(full, part.box, round(right * step), round(down * step))
            self._put(part._replace(box=box))

    def action_left(self) -> None:
        self._nudge(-STEP, 0)

    def action_right(self) -> None:
        self._nudge(STEP, 0)

    def action_up(self) -> None:
        self._nudge(0, -STEP)

    def action_down(self) -> None:
        self._nudge(0, STEP)

    def action_far_left(self) -> None:
        self._nudge(-FAR, 0)

    def action_far_right(self) -> None:
        self._nudge(FAR, 0)

    def action_far_up(self) -> None:
        self._nudge(0, -FAR)

    def action_far_down(self) -> None:
        self._nudge(0, FAR)

    def action_larger(self) -> None:
        self._put(cropping.scaled(self._full, self._parts[self._number], GROWS))

    def action_smaller(self) -> None:
        self._put(cropping.scaled(self._full, self._parts[self._number], 1 / GROWS))

    def action_shape(self) -> None:
        part = self._parts[self._number]
        place = self._sizes.index(part.size) + 1 if part.size in self._sizes else 0
        size = part.size if part.box is None else self._sizes[place % len(self._sizes)]
        self._seen.pop(self._number, None)  # where the subject fits depends on the shape
        self._put(cropping.reshaped(self._full, part, size))
        self._look_soon()

    @work(exit_on_error=False, exclusive=True, group="look")
    async def action_subject(self) -> None:
        number, part = self._number, self._parts[self._number]
        seen = self._seen.get(number) or await self._suggest(number)
        if seen is None or not seen.choices or number != self._number or part != self._parts[number]:
            return  # a later key has gone on
        place = self._turn.get(number, -1) + 1
        if place == 0 and part.box == seen.choices[0].box and len(seen.choices) > 1:
            place = 1  # what it stands on is no change
        choice = seen.choices[place % len(seen.choices)]
        self._turn[number] = place
        self._put(part._replace(box=choice.box), choice.why)

    def action_whole(self) -> None:
        part = self._parts[self._number]
        if part.box is None:
            self._put(cropping.reshaped(self._full, part, part.size))
        else:
            self._put(part._replace(box=None))

    def action_undo(self) -> None:
        number = self._number
        self._parts[number] = cropping.of_row(self._rows[number], self._parts[number].size)
        self._why.pop(number, None)
        self.query_one(RowList).restyle()
        self._show()

    def action_accept(self) -> None:
        number, rows = self._number, self.query_one(RowList)
        if not rows.shown:
            return
        self._accepted.add(number)
        self._write(number, True)
        rows.restyle()
        if rows.cursor + 1 < len(rows.shown):
            rows.step(1)
        else:
            self._show()
            self.bench.tell(_("That was the last one; Esc goes back."))

    def action_next(self) -> None:
        self.query_one(RowList).step(1)

    def action_previous(self) -> None:
        self.query_one(RowList).step(-1)

    def action_flagged(self) -> None:
        self._keep(self._number)
        self._narrow = (self._narrow + 1) % len(SHOWN)
        self._list()

    def action_help(self) -> None:
        from lorabake_tui.dialogs.help import KeysBox

        self.app.push_screen(KeysBox(_("Crop review"), "review"))

    @work(exit_on_error=False, exclusive=True, group="close")
    async def action_close(self) -> None:
        number = self._number
        if self._parts[number] != self._before[number]:
            await self._written_crop(number, number in self._accepted)
        async with self._writing:  # those that are on their way
            pass
        self.dismiss(list(self._written.values()))


def _size(text: str) -> Size:
    width, _x, height = text.partition("x")
    return int(width), int(height)
