"""RulesBox: what rules would take out of the captions or write otherwise, each to be chosen, with captions as they
will be; own rules are written here and kept with the dataset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input, Static

from engine.protocol.tags import EditParams, RuleRow, RulesParams, RuleTable, TagOp, TagReport, TagRule
from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.screens.tags_text import rule_words
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.rows import Cell, Column, RowList


class RulesBox(Box[TagReport]):
    """Returns what applying the chosen rules changed, or None."""

    BINDINGS = keys.bindings("rules")
    HINTS = ("rules.toggle", "rules.new", "rules.drop", "rules.apply", "rules.close")
    DEFAULT_CSS = """
    RulesBox {
        & > Frame { width: 96%; max-width: 100; height: 92%; max-height: 40; }
        & RowList { height: 1fr; }
        & Input { height: 1; display: none; }
        & #rule-samples { height: 5; margin-top: 1; color: $text-muted; }
    }
    """

    def __init__(self, path: str, where: str, call: Callable[[str, Any], Awaitable[Any]]) -> None:
        super().__init__(_("Rules"))
        self._path, self._where, self._call = path, where, call
        self._rows: list[RuleRow] = []
        self._chosen: list[bool] = []

    def body(self) -> ComposeResult:
        columns = [Column("", 1), Column(_("Rule")), Column(_("Images"), 7, right=True), Column("", 8)]
        yield RowList(columns, empty=_("Nothing is said twice, and nothing is rare."))
        field = Input(compact=True, placeholder=_("tag never wanted · old>new · <3 for tags on fewer than 3"))
        field.cursor_blink = False
        yield field
        yield Static(id="rule-samples", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(RowList).focus()
        self._load(None)

    @property
    def _own(self) -> list[TagRule]:
        return [row.rule for row in self._rows if row.own]

    @work(exit_on_error=False, exclusive=True, group="load")
    async def _load(self, keep: list[TagRule] | None) -> None:
        asked = RulesParams(path=self._path, where=self._where, keep=keep)
        table: RuleTable | None = await self._call("tags.rules", asked)
        if table is None:
            if not self._rows:
                self.dismiss(None)
            return
        before = {repr(row.rule): on for row, on in zip(self._rows, self._chosen, strict=True)}
        self._rows = table.rows
        self._chosen = [before.get(repr(row.rule), row.sure) for row in table.rows]
        images = ngettext("{count} image", "{count} images", table.images).format(count=table.images)
        self.query_one(Frame).set_title(self._title, images)
        rows = self.query_one(RowList)
        rows.show(range(len(self._rows)), self._cells)
        rows.restyle()
        self._preview()

    def _cells(self, number: int) -> Sequence[Cell]:
        row, chosen = self._rows[number], self._chosen[number]
        note = _("one's own") if row.own else "" if row.sure else _("perhaps")
        look = "row--strong" if chosen else "row--dim"
        return (("■" if chosen else "□", look), rule_words(row.rule), str(row.count), (note, "row--dim"))

    def _op(self) -> TagOp:
        rules = [row.rule for row, chosen in zip(self._rows, self._chosen, strict=True) if chosen]
        return TagOp(verb="rules", rules=rules, where=self._where, source="rule")

    @work(exclusive=True, exit_on_error=False, group="preview")
    async def _preview(self) -> None:
        """Some captions as they will be."""
        shown = self.query_one("#rule-samples", Static)
        op = self._op()
        if not op.rules:
            shown.update(_("Nothing is chosen."))
            return
        report: TagReport | None = await self._call(
            "tags.edit", EditParams(path=self._path, op=op, dry_run=True, diffs=2)
        )
        if report is None:
            return
        lines = [
            ngettext("changes {count} caption", "changes {count} captions", report.changed).format(count=report.changed)
        ]
        for diff in report.diffs:
            lines += [f"− {plain(diff.before or '')}", f"+ {plain(diff.after or '')}"]
        shown.update("\n".join(lines))

    def action_toggle(self) -> None:
        rows = self.query_one(RowList)
        if rows.current is not None:
            self._chosen[rows.current] = not self._chosen[rows.current]
            rows.step(1)
            rows.restyle()
            self._preview()

    def action_new(self) -> None:
        field = self.query_one(Input)
        field.display = True
        field.focus()

    @on(Input.Submitted)
    def _written(self, event: Input.Submitted) -> None:
        event.stop()
        rule = rule_of(event.value)
        self._leave_field()
        if rule is not None and rule not in self._own:
            self._load([*self._own, rule])

    def _leave_field(self) -> None:
        field = self.query_one(Input)
        field.value = ""
        field.display = False
        self.query_one(RowList).focus()

    def action_drop(self) -> None:
        number = self.query_one(RowList).current
        if number is not None and self._rows[number].own:
            dropped = self._rows[number].rule
            self._load([rule for rule in self._own if rule != dropped])

    @on(RowList.Selected)
    def action_apply(self) -> None:
        self._apply()

    @work(exit_on_error=False, group="apply")
    async def _apply(self) -> None:
        op = self._op()
        if op.rules:
            self.dismiss(await self._call("tags.edit", EditParams(path=self._path, op=op, diffs=0)))

    def action_close(self) -> None:
        if self.query_one(Input).display:
            self._leave_field()
        else:
            self.dismiss(None)


def rule_of(typed: str) -> TagRule | None:
    """The rule that a person writes in a line."""
    text = typed.strip()
    if text.startswith("<") and text[1:].strip().isdecimal():
        below = int(text[1:])
        return TagRule(kind="rare", below=below) if below else None
    old, arrow, new = text.partition(">")
    if arrow and old.strip() and new.strip():
        return TagRule(kind="replace", tags=[old.strip()], new=new.strip())
    tags = [tag for part in text.split(",") if (tag := part.strip().removeprefix("-").strip())]
    return TagRule(kind="exclude", tags=tags) if tags else None
