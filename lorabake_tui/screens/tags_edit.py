"""Doing and undoing in the Tags section: edits one after the other, what became of them, repeating, macros.

What there is to look at is `tags_view`, which keys ask for what `tags`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from textual import work

from engine.protocol.errors import ErrorInfo
from engine.protocol.tags import MAX_FAILED, EditParams, OwnParams, StepParams, TagOp, TagReport
from lorabake_tui.i18n import ngettext
from lorabake_tui.screens.tags_view import TagsView
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.plain import plain


class TagsEdits(TagsView, inherit_bindings=False):
    """The half that changes captions."""

    def __init__(self) -> None:
        super().__init__()
        self._last: list[TagOp] = []
        self._turn = asyncio.Lock()
        self._recorded: list[TagOp] | None = None
        """What a macro has so far, while one is being recorded."""

    # -- doing ------------------------------------------------------------------------------------------------

    async def in_turn(self, method: str, params: Any) -> Any:
        """The answer to a call, None when it failed or no dataset is open; what is typed first is done first."""
        if not self.bench.opened.path:
            return None
        async with self._turn:
            return await self.call(method, params)

    def edit(self, ops: Sequence[TagOp], *, expected: str | None = None) -> None:
        """Carry out operations one after the other, and show what became of them."""
        if ops:
            self._edit(list(ops), expected)

    @work(exit_on_error=False, group="edits")
    async def _edit(self, ops: list[TagOp], expected: str | None) -> None:
        path = self.bench.opened.path
        for asked in ops:
            op = asked
            report = await self.in_turn("tags.edit", EditParams(path=path, op=op, expected=expected, diffs=0))
            if report is not None and op.verb != "write" and (stale := _changed_meanwhile(report)):
                # A tagger that has just ended, say. They were read again: what was asked for is done to what is there.
                self.take(msgspec.structs.replace(report, failed=[]))
                count = ngettext(
                    "{count} caption was changed by another program; it was read again.",
                    "{count} captions were changed by another program; they were read again.",
                    len(stale),
                )
                self.bench.tell(count.format(count=len(stale)))
                op = msgspec.structs.replace(op, names=stale)
                report = await self.in_turn("tags.edit", EditParams(path=path, op=op, diffs=0))
            if report is None:
                return
            if op.verb != "write":
                self._last = ops
                if self._recorded is not None:
                    self._recorded.append(asked)
            self.take(report)

    def take(self, report: TagReport) -> None:
        """Show the images as they are after an edit, and say what it did."""
        if report.path != self.bench.opened.path:
            return
        self.bench.opened.replace(report.rows)
        if report.reload:
            self.bench.reload_dataset()
        self.bench.changed.publish(None)
        count = ngettext("{count} caption", "{count} captions", report.changed).format(count=report.changed)
        self.query_one("#tags-own", Frame).set_title(
            self.image.name if self.image else "", f"{report.title} · {count}" if report.title else count
        )
        if report.failed:
            first = report.failed[0]
            self.bench.tell_error(ErrorInfo(code=first.code, message=first.message, hint=first.hint, args=first.args))

    def action_repeat(self) -> None:
        self.again(self._last)

    def again(self, ops: Sequence[TagOp]) -> None:
        """Do operations of before on what is chosen now."""
        names = [row.name for row in self.chosen]
        if names:
            self.edit([msgspec.structs.replace(op, names=names, where="") for op in ops])

    @work(exit_on_error=False, group="edits")
    async def action_undo(self) -> None:
        report = await self.in_turn("tags.undo", StepParams(path=self.bench.opened.path))
        if report is not None:
            self.take(report)

    @work(exit_on_error=False, group="edits")
    async def action_redo(self) -> None:
        report = await self.in_turn("tags.redo", StepParams(path=self.bench.opened.path))
        if report is not None:
            self.take(report)

    @work(exit_on_error=False, group="edits")
    async def action_own(self) -> None:
        """What is a tagger's becomes a person's."""
        tag, image = self.tag_under_cursor(), self.image if self.focused is self._owned else None
        if not tag:
            return
        names, where = ([image.name], "") if image is not None else ([], self._where)
        asked = OwnParams(path=self.bench.opened.path, tags=[tag], names=names, where=where)
        report = await self.in_turn("tags.own", asked)
        if report is None:
            return
        words = ngettext("yours on {count} image", "yours on {count} images", report.images)
        self.bench.tell(f"{plain(tag)} · {words.format(count=report.images)}")
        self.sources_changed()


def _changed_meanwhile(report: TagReport) -> list[str]:
    """Captions to try again; none where there are more than the report can name: then the folder is read again."""
    if report.reload or len(report.failed) >= MAX_FAILED:
        return []
    return [found.file for found in report.failed if found.code == "caption_changed"]
