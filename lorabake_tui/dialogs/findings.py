"""FindingsBox: everything the doctor found, by kind, with counts; answers with what to do about a kind.

It shows the newest findings there are: a check that ends while it is open, its own or another, changes what it says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast

from textual import on, work
from textual.app import ComposeResult

from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.screens import dataset_text as text
from lorabake_tui.store.findings import Findings, Kind
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.page import Block, Page, Text
from lorabake_tui.widgets.rows import Cell, Column, RowList

if TYPE_CHECKING:
    from lorabake_tui.app import LoRABake

Answer = tuple[str, str]
"""`show`, `fix`, `fix_all` or `undo`, and the code of the kind under the cursor."""

_NAMED = 40


class FindingsBox(Box[Answer]):
    """Kinds above, the sentences of the one under the cursor below."""

    BINDINGS = keys.bindings("findings")
    HINTS = ("findings.show", "findings.fix", "findings.fix_all", "findings.undo", "findings.check", "findings.close")
    DEFAULT_CSS = """
    FindingsBox {
        & > Frame { width: 96%; max-width: 100; height: 90%; max-height: 34; }
        & RowList { height: 1fr; min-height: 4; }
        & Page { height: 7; border-top: solid $border-blurred; }
    }
    """

    def __init__(self, latest: Callable[[], Findings | None], check: Callable[[], Awaitable[bool]]) -> None:
        self._latest, self._check = latest, check
        self._findings = latest() or Findings()
        self._checking = False
        super().__init__(self._said())

    def _said(self) -> str:
        found = self._findings
        images = ngettext("{count} image", "{count} images", found.images).format(count=found.images)
        mendable = _("{count} can be mended").format(count=found.fixable)
        return f"{_('Findings')} · {found.total} · {images} · {mendable}"

    def body(self) -> ComposeResult:
        columns = [Column(_("Count"), 6, right=True), Column(_("What"), 16), Column(_("Fix (f)"))]
        yield RowList(columns, empty=_("Nothing to complain of."), id="kinds")
        yield Page(id="kind-page")

    def on_mount(self) -> None:
        cast("LoRABake", self.app).changed.subscribe(self, self._follow, immediate=True)
        self._show_kinds()
        self.query_one(RowList).focus()

    def _follow(self, _nothing: None) -> None:
        latest = self._latest()
        if latest is not None and latest is not self._findings:
            self._findings = latest
            self._show_kinds()

    def _show_kinds(self) -> None:
        rows = self.query_one(RowList)
        rows.show(range(len(self._findings.kinds)), self._cells)
        rows.restyle()
        self.query_one(Frame).set_title(self._said(), _("checking") if self._checking else "")
        self._show_kind()

    @property
    def _kind(self) -> Kind | None:
        number = self.query_one(RowList).current
        kinds = self._findings.kinds
        return kinds[number] if number is not None and number < len(kinds) else None

    def _cells(self, number: int) -> Sequence[Cell]:
        kind = self._findings.kinds[number]
        fix = next((found.fix for found in kind.found if found.fix), "")
        what: Cell = (_(text.KINDS.get(kind.code, kind.code)), "row--warn")
        if not kind.fixable:
            return (str(len(kind.found)), what, (_("a person's eye"), "row--dim"))
        words = _(text.FIXES.get(fix, fix))
        if kind.fixable < len(kind.found):
            words += " " + _("({count} of them)").format(count=kind.fixable)
        return (str(len(kind.found)), what, words)

    @on(RowList.Highlighted)
    def _show_kind(self) -> None:
        kind = self._kind
        blocks: list[Block] = []
        if kind is not None:
            message, hint = told(kind.found[0].info)
            blocks = [Text(message), Text(hint, "faint")]
            names = [found.file for found in kind.found[:_NAMED] if found.file]
            if len(names) > 1:
                more = "…" if len(kind.found) > _NAMED else ""
                blocks.append(Text(", ".join(names) + more, "faint"))
        self.query_one("#kind-page", Page).show(blocks)

    def _answer(self, what: str) -> None:
        kind = self._kind
        self.dismiss((what, kind.code if kind is not None else ""))

    @on(RowList.Selected)
    def action_show(self) -> None:
        if self._kind is not None:
            self._answer("show")

    def action_fix(self) -> None:
        if self._kind is not None and self._kind.fixable:
            self._answer("fix")

    def action_fix_all(self) -> None:
        if self._findings.fixable:
            self._answer("fix_all")

    def action_undo(self) -> None:
        self._answer("undo")

    def action_check(self) -> None:
        if not self._checking:
            self._checking = True
            self._show_kinds()
            self._look()

    @work(exit_on_error=False, group="check")
    async def _look(self) -> None:
        try:
            await self._check()
        finally:
            self._checking = False
            if self.is_attached:
                self._follow(None)
                self._show_kinds()

    def action_close(self) -> None:
        self.dismiss(None)
