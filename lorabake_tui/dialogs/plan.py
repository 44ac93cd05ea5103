"""PlanBox: what a bake takes from the dataset: folders and marks with their repeats, buckets, regularisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from engine.protocol.datasets import GroupViews, PlanTable
from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _
from lorabake_tui.widgets.rows import Cell, Column, RowList


class Answer(NamedTuple):
    """`what` is show, repeat or reg; `kind` folder, mark, bucket or reg; `name` which one, `value` its repeat."""

    what: str
    kind: str
    name: str = ""
    value: str = ""


class _Row(NamedTuple):
    kind: str
    name: str
    cells: tuple[Cell, ...]
    value: str = ""


class PlanBox(Box[Answer]):
    """One list with headings; the cursor stands on folders, marks, buckets and the regularisation set."""

    BINDINGS = keys.bindings("plan")
    HINTS = ("plan.show", "plan.repeat", "plan.reg", "plan.close")
    DEFAULT_CSS = """
    PlanBox {
        & > Frame { width: 96%; max-width: 84; height: 90%; max-height: 40; }
        & RowList { height: 1fr; }
        & #plan-steps { margin-top: 1; height: auto; color: $text-muted; }
    }
    """

    def __init__(self, plan: PlanTable, reg: str, repeat: object) -> None:
        super().__init__(_("Plan of a bake"))
        self._plan, self._reg, self._repeat = plan, reg, repeat
        self._rows = self._made()

    def body(self) -> ComposeResult:
        columns = [
            Column(""),
            Column(_("Images"), 7, right=True),
            Column(_("Repeat"), 7, right=True),
            Column(_("Views"), 7, right=True),
            Column(_("Steps"), 7, right=True),
        ]
        yield RowList(columns, id="plan-rows")
        yield Static(id="plan-steps", markup=False)

    def on_mount(self) -> None:
        rows = self.query_one(RowList)
        rows.skip = lambda number: not self._rows[number].kind
        rows.show(range(len(self._rows)), lambda number: self._rows[number].cells)
        rows.focus()
        plan = self._plan
        told = _("{views} image views in {epochs} epochs · {steps} steps an epoch, {total} in all (repeat {repeat})")
        words = told.format(
            views=plan.image_views,
            epochs=plan.epochs,
            steps=plan.steps_per_epoch,
            total=plan.optimizer_steps,
            repeat=self._repeat,
        )
        self.query_one("#plan-steps", Static).update(words)

    def _made(self) -> list[_Row]:
        plan = self._plan
        rows = [_head(_("Folders"))]
        rows += [
            self._group("folder", group, _("(top)") if group.name == "." else group.name) for group in plan.folders
        ]
        if plan.marks:
            rows += [_head(_("Letters")), *(self._group("mark", group, group.name) for group in plan.marks)]
        rows.append(_head(_("Buckets")))
        for place, bucket in enumerate(plan.buckets):
            size = f"{bucket.width} × {bucket.height}"
            figures = (str(bucket.images), "", str(bucket.views), str(bucket.steps))
            rows.append(_Row("bucket", str(place), ("  " + size, *figures)))
        rows.append(_head(_("Regularisation")))
        return [*rows, *self._of_reg()]

    def _group(self, kind: str, group: GroupViews, label: str) -> _Row:
        own = "" if group.repeat is None else str(group.repeat)
        repeat: Cell = (own, "row--strong") if own else (str(self._repeat), "row--dim")
        return _Row(kind, group.name, ("  " + label, str(group.images), repeat, str(group.views), ""), own)

    def _of_reg(self) -> list[_Row]:
        use = self._plan.reg
        if not self._reg:
            return [_Row("reg", "", ("  " + _("none; P chooses a folder"), "", "", "", ""))]
        if use is None:
            return [_Row("reg", "", ("  " + self._reg, "", "", "", ""))]
        count = use.used + use.unused
        told = [
            _("{used} used, {repeated} of them more than once").format(used=use.used, repeated=use.repeated),
            _("{unused} left out").format(unused=use.unused),
        ]
        return [
            _Row("reg", "", ("  " + self._reg, str(count), "", str(use.views), "")),
            *(_Row("", "", (("    " + words, "row--dim"), "", "", "", "")) for words in told),
        ]

    @property
    def _here(self) -> _Row | None:
        number = self.query_one(RowList).current
        return None if number is None else self._rows[number]

    def _answer(self, what: str) -> None:
        row = self._here
        if row is not None and row.kind:
            self.dismiss(Answer(what, row.kind, row.name, row.value))

    @on(RowList.Selected)
    def action_show(self) -> None:
        self._answer("reg" if self._here is not None and self._here.kind == "reg" else "show")

    def action_repeat(self) -> None:
        if self._here is not None and self._here.kind in ("folder", "mark"):
            self._answer("repeat")

    def action_reg(self) -> None:
        self.dismiss(Answer("reg", "reg"))

    def action_close(self) -> None:
        self.dismiss(None)


def _head(title: str) -> _Row:
    cells: Sequence[Cell] = ((title, "row--strong"), "", "", "", "")
    return _Row("", "", tuple(cells))
