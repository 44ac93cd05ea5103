"""The Params section: the form of a bake, the help of the field under the cursor, the live estimate, the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.protocol import fields
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.estimates import Estimate
from lorabake_tui import i18n, keys
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _
from lorabake_tui.screens import params_text
from lorabake_tui.screens.params_find import find
from lorabake_tui.screens.params_pick import ParamsPick, wrong
from lorabake_tui.screens.params_work import ParamsWork
from lorabake_tui.screens.section import hints_of
from lorabake_tui.widgets.ask import AskLine
from lorabake_tui.widgets.form import Form
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.page import Page, Text


class ParamsSection(ParamsPick, ParamsWork, inherit_bindings=False):
    """Edit the app's draft of a bake and start it."""

    SECTION = "params"
    BINDINGS = keys.bindings(SECTION)
    # As CSS_PATH it would have every rule of the app parsed anew when the section is first opened.
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text("utf-8")

    def __init__(self) -> None:
        super().__init__()
        self._found: list[str] = []
        self._concerns: dict[str, list[ErrorInfo]] = {}
        self._asked: tuple[object, ...] = ()
        self._asking = self._outdated = False

    def body(self) -> ComposeResult:
        with Horizontal(id="params-top"):
            with Frame(id="params-form"):
                yield Form()
            with Vertical(id="params-side"):
                with Frame(id="params-figures", title=_("Estimate")):
                    yield Page(id="figures", focusable=True)
                with Frame(id="params-help-beside", classes="params-help"):
                    yield Page(id="help-beside")
        with Frame(id="params-help-below", classes="params-help"):
            yield Page(id="help-below")
        yield AskLine()

    def on_mount(self) -> None:
        self._show()
        self._form.rows.focus()

    def on_screen_resume(self) -> None:
        if self.composed:
            self._show()

    def facts_changed(self) -> None:
        # Behind another section nobody reads the figures; they are asked for when it comes to the front.
        if self.composed and self._in_front:
            self._show()

    # -- showing ----------------------------------------------------------------------------------------------

    @property
    def _in_front(self) -> bool:
        return self in self.app.screen_stack

    @property
    def _form(self) -> Form:
        return self.query_one(Form)

    def _show(self) -> None:
        draft = self.bench.draft
        self._show_rows()
        mode = _("pro") if draft.pro else _("basic")
        self.query_one("#params-form", Frame).set_title(_("Bake") + " · " + mode, self._changes())
        self._show_help()
        if self._in_front:
            self._estimate_soon()

    def _show_rows(self) -> None:
        catalogue, name = self.bench.catalogue, self.bench.opened.name
        rows = params_text.entries(self.bench.draft, name, catalogue.base, catalogue.preset, self._concerns)
        self._form.show(rows)

    def _changes(self) -> str:
        count = len(self.bench.draft.edits)
        return i18n.ngettext("{count} changed", "{count} changed", count).format(count=count) if count else ""

    def _show_help(self, problem: str = "") -> None:
        name = self._form.current
        blocks = params_text.help_of(name, self.bench.draft, problem, self.bench.catalogue.base, self._concerns)
        for page in self.query(".params-help > Page").results(Page):
            page.show(blocks)
        for frame in self.query(".params-help").results(Frame):
            frame.set_title(params_text.title_of(name))

    @on(Form.Moved)
    def _moved(self) -> None:
        self._show_help()
        self.refresh_hints()

    def hints(self) -> list[tuple[str, str]]:
        if self._form.editing or self.query_one(AskLine).asking:
            return hints_of([keys.find("dialog.accept"), keys.find("dialog.cancel")])
        return super().hints()

    # -- the estimate -----------------------------------------------------------------------------------------

    def _estimate_soon(self) -> None:
        opened, draft = self.bench.opened, self.bench.draft
        figures = self.query_one("#figures", Page)
        if not opened.path:
            figures.show([Text(_("Open a dataset (1) to see what a bake of it takes."), "faint")])
            return
        probed = sum(run.kind in ("bake", "probe") and run.state == "done" for run in self.bench.runs)
        asked = (opened.path, opened.version, draft.version, draft.base, draft.reg, self.bench.engine.state, probed)
        if asked != self._asked:
            self._asked = asked
            self.ask_again()

    def ask_again(self) -> None:
        """Ask for the figures at once; while an answer is awaited, only the newest question is asked after it."""
        self._outdated = True
        if not self._asking:
            self._estimate()

    @work(exit_on_error=False, group="estimate")
    async def _estimate(self) -> None:
        self._asking = True
        try:
            while self._outdated:
                self._outdated = False
                await self._ask()
        finally:
            self._asking = False

    async def _ask(self) -> None:
        opened, page = self.bench.opened, self.query_one("#figures", Page)
        frame = self.query_one("#params-figures", Frame)
        try:
            found: Estimate = await self.bench.engine.call("estimate", self.bench.draft.estimate(opened.path))
        except ClientError as failure:
            self.estimate = None
            page.show(params_text.notice_text(failure.info, "error")[1:])
            frame.set_title(_("Estimate"), "")
            return
        self.estimate = found
        page.show(params_text.figures(found))
        concerns = params_text.concerns_of(found.notices)
        if concerns != self._concerns:
            self._concerns = concerns
            self._show_rows()
            if not self._form.editing:
                self._show_help()
        frame.set_title(_("Estimate"), params_text.source_of(found))

    # -- changing a value -------------------------------------------------------------------------------------

    @on(Form.Chosen)
    def _chosen(self) -> None:
        self.action_change()

    def action_change(self) -> None:
        name = self._form.current
        if name == "dataset":
            self._pick_dataset()
        elif name == "reg":
            self._pick_reg()
        elif name == "base":
            self._pick_base()
        elif name == "preset":
            self._pick_preset()
        elif name == "name":
            self._edit(self.bench.draft.name, lambda _text: "")
        elif name:
            self._change_field(fields.field(name))

    def _change_field(self, field: fields.Field) -> None:
        value = self.bench.draft.value(field.name)
        if field.kind == "bool":
            self._set(field.name, not value)
        elif field.kind == "choice":
            self._pick_choice(field)
        else:
            self._edit(params_text.written(value), lambda text: wrong(field.name, text))

    def _edit(self, text: str, check: Any) -> None:
        self._form.edit(text, check)
        self.refresh_hints()

    @on(Form.Typed)
    def _typed(self, event: Form.Typed) -> None:
        self._show_help("" if event.key == "name" else wrong(event.key, event.text))

    @on(Form.Dropped)
    def _dropped(self) -> None:
        self._show_help()
        self.refresh_hints()

    @on(Form.Written)
    def _written(self, event: Form.Written) -> None:
        if event.key == "name":
            self.bench.draft.name = event.text.strip()
        else:
            self.bench.draft.write(event.key, event.text)
        self._show()
        self.refresh_hints()

    def _set(self, name: str, value: Any) -> None:
        try:
            self.bench.draft.set(name, value)
        except EngineError as error:
            self.bench.tell_error(error.info)
        self._show()

    def action_toggle(self) -> None:
        self._step(1)

    def action_next_choice(self) -> None:
        self._step(1)

    def action_previous_choice(self) -> None:
        self._step(-1)

    def _step(self, way: int) -> None:
        name = self._form.current
        if name == "preset":
            self._step_preset(way)
            return
        field = fields.fields().get(name)
        if field is None:
            return
        value = self.bench.draft.value(name)
        if field.kind == "bool":
            self._set(name, not value)
        elif field.kind == "choice":
            choices = [choice for choice in field.choices if not wrong(name, str(choice))]
            at = choices.index(value) if value in choices else 0
            self._set(name, choices[(at + way) % len(choices)])
        elif field.kind == "int":
            stepped = value + way * (field.multiple_of or 1)
            if not wrong(name, str(stepped)):
                self._set(name, stepped)

    def _step_preset(self, way: int) -> None:
        names = [row.name for row in self.bench.catalogue.fitting()]
        if names:
            at = names.index(self.bench.draft.preset) if self.bench.draft.preset in names else 0
            self.bench.draft.preset = names[(at + way) % len(names)]
            self.bench.stand()

    def action_reset(self) -> None:
        name, draft = self._form.current, self.bench.draft
        if name == "reg":
            draft.reg = ""
        elif name == "name":
            draft.name = ""
        elif name in draft.edits:
            draft.reset(name)
        self._show()

    def action_pro(self) -> None:
        self.bench.draft.pro = not self.bench.draft.pro
        self._show()

    # -- finding ----------------------------------------------------------------------------------------------

    def action_find(self) -> None:
        self.query_one(AskLine).ask("find", _("Find"), note=_("kohya's names too"))
        self.refresh_hints()

    @on(AskLine.Changed)
    def _finding(self, event: AskLine.Changed) -> None:
        self._found = find(event.text)
        shown = [name for name in self._found if self.bench.draft.pro or _is_basic(name)]
        if shown:
            self._form.go_to(shown[0])

    @on(AskLine.Answered)
    def _find_answered(self) -> None:
        if self._found:
            if not self.bench.draft.pro and not any(_is_basic(name) for name in self._found):
                self.action_pro()
            shown = [name for name in self._found if self.bench.draft.pro or _is_basic(name)]
            self._form.go_to(shown[0])
        else:
            self.bench.tell(_("No parameter has that name."))
        self._form.rows.focus()
        self.refresh_hints()

    @on(AskLine.Dropped)
    def _find_dropped(self) -> None:
        self._form.rows.focus()
        self.refresh_hints()

    def action_next_found(self) -> None:
        self._to_next([name for name in self._found if self.bench.draft.pro or _is_basic(name)])

    def action_next_changed(self) -> None:
        if not self.bench.draft.pro and self.bench.draft.pro_edits:
            self.action_pro()
        self._to_next([name for name in fields.fields() if name in self.bench.draft.edits])

    def _to_next(self, names: list[str]) -> None:
        if names:
            at = names.index(self._form.current) if self._form.current in names else -1
            self._form.go_to(names[(at + 1) % len(names)])

    # -- the start --------------------------------------------------------------------------------------------

    @work(exclusive=True, exit_on_error=False, group="start")
    async def action_start(self) -> None:
        if not self.bench.opened.path:
            self.bench.tell(_("Open a dataset first (1, then o)."))
            return
        row = await self.call("runs.submit", self.bench.draft.submit(self.bench.opened.path))
        if row is not None:
            self.bench.draft.parent = ""
            self.bench.watch_run(row.id)


def _is_basic(name: str) -> bool:
    return fields.field(name).level == "basic"
