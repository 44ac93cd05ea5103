"""The app: six sections as modes, the theme, and the things all sections share (engine client, dataset, draft, runs).

Sections are imported when they are first opened. What a section shows is its own business.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from textual import work
from textual.screen import Screen
from textual.signal import Signal
from textual.widget import AwaitMount

from engine.protocol.errors import ErrorInfo, describe
from engine.protocol.messages import DatasetRows, PathParams, Push, RunsChanged
from engine.protocol.records import LIVE_STATES, RunRow
from lorabake_tui import i18n, keys
from lorabake_tui.ahead import Ahead
from lorabake_tui.catalogue import Catalogue
from lorabake_tui.client import ClientError, EngineClient, State
from lorabake_tui.draft import Draft
from lorabake_tui.i18n import _
from lorabake_tui.opened import OpenedDataset
from lorabake_tui.outside import Outside
from lorabake_tui.screens.section import Section
from lorabake_tui.store import Store
from lorabake_tui.theme import THEME
from lorabake_tui.typeahead import KeysInOrder
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.status import Run

_CLASSES = {
    "dataset": "DatasetSection",
    "tags": "TagsSection",
    "params": "ParamsSection",
    "queue": "QueueSection",
    "monitor": "MonitorSection",
    "results": "ResultsSection",
}


def _open_section(name: str) -> Screen[Any]:
    module = importlib.import_module(f"lorabake_tui.screens.{name}")
    section: Screen[Any] = getattr(module, _CLASSES[name])()
    return section


class LoRABake(KeysInOrder[None], inherit_bindings=False):
    """The terminal workbench.

    `dataset` is a folder to open at once, `section` the section to begin with, `run` a run that the Monitor shows.
    `pushed` publishes every push of the engine, `changed` that dataset, runs or engine state changed.
    `rules_applied` is the state of the style rules that what is mounted shows, by Textual's own count (-1: none yet).
    """

    TITLE = "LoRABake"
    ENABLE_COMMAND_PALETTE = False
    PAUSE_GC_ON_SCROLL = True
    ALLOW_SELECT = False
    BINDINGS = keys.bindings("app")
    MODES = {name: partial(_open_section, name) for name, _title in keys.SECTIONS}
    CSS_PATH = "styles/app.tcss"

    def __init__(self, *, dataset: str = "", section: str = "dataset", run: str = "", language: str = "") -> None:
        # The first mode is read by App.__init__; starting in it saves mounting a blank screen.
        self.DEFAULT_MODE = section  # type: ignore[misc]
        i18n.use(language or i18n.preferred())
        super().__init__()
        self.register_theme(THEME)
        self.theme = THEME.name
        self.animation_level = "none"
        self.engine = EngineClient(on_push=self._take_push, on_state=self._engine_state, restart=True)
        self.pushed: Signal[Push] = Signal(self, "pushed")
        self.changed: Signal[None] = Signal(self, "changed")
        self.store = Store()
        self.outside = Outside(self._to_terminal)
        self.opened = OpenedDataset()
        self.draft = Draft()
        self.catalogue = Catalogue(self.engine.call, self.draft)
        self.run_in_view = run
        self._first_dataset = dataset
        self.rules_applied = -1
        self.ahead = Ahead(self)

    # -- life -------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.changed.subscribe(self, self._show_facts, immediate=True)
        self.run_worker(self._connect(), exit_on_error=False, group="engine")
        self.call_after_refresh(self.run_worker, self._settle, exit_on_error=False, group="settle")

    async def _settle(self) -> None:
        if not self.is_headless:
            await self.ahead.open()
        # What lives now lives to the end; taking it out of the collector's sight shortens every later pass.
        gc.collect()
        gc.freeze()

    async def _connect(self) -> None:
        try:
            await self.engine.start()
        except ClientError:
            return

    async def on_unmount(self) -> None:
        self.outside.close()
        await self.engine.close()

    def _to_terminal(self, sequence: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    # -- the engine -------------------------------------------------------------------------------------------

    async def call(self, method: str, params: msgspec.Struct | None = None) -> Any:
        """The result of an engine call, None when it failed; the failure has then been told as a toast."""
        try:
            return await self.engine.call(method, params)
        except ClientError as failure:
            self.tell_error(failure.info)
            return None

    def tell_error(self, info: ErrorInfo) -> None:
        """Say what went wrong and what to do about it, as a toast."""
        message, hint = i18n.told(info)
        self.notify(plain(message) + ("\n" + plain(hint) if hint else ""), severity="error", timeout=10, markup=False)

    def tell(self, text: str) -> None:
        """Say something in passing, as a toast."""
        self.notify(plain(text), markup=False)

    def _engine_state(self, state: State) -> None:
        if state == "ready":
            self.run_worker(self._subscribe(), exit_on_error=False, group="engine")
        elif state == "lost":
            self.tell_error(self.engine.error or describe("engine_lost"))
        self.changed.publish(None)

    async def _subscribe(self) -> None:
        rows = await self.call("runs.subscribe")
        self.outside.settings = await self.call("tell.get") or self.outside.settings
        if rows is not None:
            self.store.set_runs(rows)
            self.outside.runs(self.store.runs)
        self.changed.publish(None)
        await self.call("device.subscribe")
        path = self._first_dataset or self.opened.path
        self._first_dataset = ""
        if path and not self.opened.complete:
            self.open_dataset(path)
        await self._load_catalogue()

    async def _load_catalogue(self) -> None:
        try:
            await self.catalogue.load()
            await self.catalogue.stand(self.opened.count)
        except ClientError as failure:
            self.tell_error(failure.info)
        self.changed.publish(None)

    def stand(self) -> None:
        """Resolve the draft's preset anew: its base, its preset or the dataset changed."""
        self.run_worker(self._stand(), exclusive=True, exit_on_error=False, group="stand")

    async def _stand(self) -> None:
        try:
            await self.catalogue.stand(self.opened.count)
        except ClientError as failure:
            self.tell_error(failure.info)
        self.changed.publish(None)

    def _take_push(self, push: Push) -> None:
        self.store.push(push)
        if isinstance(push, RunsChanged):
            self.outside.runs(self.store.runs)
            self.changed.publish(None)
        self.pushed.publish(push)

    @property
    def runs(self) -> tuple[RunRow, ...]:
        """All runs and waiting jobs, as the engine last told."""
        return self.store.runs

    # -- the dataset ------------------------------------------------------------------------------------------

    def open_dataset(self, path: str) -> None:
        """Open a folder for all sections; its rows come page by page, and the list can be used meanwhile."""
        self.run_worker(self._open(path), exclusive=True, exit_on_error=False, group="dataset")

    def reload_dataset(self) -> None:
        """Read the open folder again, since its files changed; until it is read, the rows before stay."""
        self.run_worker(self.reloaded(), exclusive=True, exit_on_error=False, group="dataset")

    async def reloaded(self) -> None:
        """As `reload_dataset`, for those who wait for it."""
        before = self.opened
        summary = await self.call("dataset.open", PathParams(path=before.path))
        if summary is None:
            return
        opened = OpenedDataset(summary)
        if await self._rows_of(opened, lambda: self.opened is before):
            opened.findings = before.findings
            self.opened = opened
            if self.catalogue.presets and opened.count != before.count:
                self.stand()
            self.changed.publish(None)

    async def _open(self, path: str) -> None:
        summary = await self.call("dataset.open", PathParams(path=path))
        if summary is None:
            return
        self.opened = opened = OpenedDataset(summary)
        self.changed.publish(None)
        if self.catalogue.presets:
            self.stand()
        await self._rows_of(opened, lambda: self.opened is opened)

    async def _rows_of(self, opened: OpenedDataset, wanted: Callable[[], bool]) -> bool:
        """Fetch the rows page by page while they are wanted; whether all came."""
        offset: int | None = 0
        while offset is not None:
            page = await self.call("dataset.rows", DatasetRows(path=opened.path, offset=offset))
            if page is None or not wanted():
                return False
            opened.add(page)
            offset = page.next
            if self.opened is opened:
                self.changed.publish(None)
        if opened.summary is not None and not opened.summary.complete:
            summary = await self.call("dataset.summary", PathParams(path=opened.path))
            opened.summary = summary or opened.summary
            if self.opened is opened:
                self.changed.publish(None)
        return True

    @work(exit_on_error=False, group="sample")
    async def open_sample(self) -> None:
        """Open the person's own copy of the sample dataset."""
        sample = await self.call("dataset.sample")
        if sample is not None:
            self.open_dataset(sample.path)

    # -- what every section shows -----------------------------------------------------------------------------

    def facts(self) -> list[Run]:
        """What stands at the right of the top line, the most important first."""
        facts: list[Run] = []
        if self.opened.path:
            facts.append((f"{self.opened.name} · {self.opened.count}", ""))
        live = next((run for run in self.runs if run.state in LIVE_STATES and run.kind != "test"), None)
        if self.engine.state == "lost":
            facts.append((_("✗ engine lost"), "line--error"))
        elif live is not None:
            facts.append((f"● {_(live.state)} {live.epoch}/{live.epochs}", "line--good"))
        return facts

    def _show_facts(self, _nothing: None) -> None:
        for section in self._opened_sections():
            section.refresh_lines_of_frame()
            section.facts_changed()

    def _opened_sections(self) -> list[Section]:
        return [screen for stack in self._screen_stacks.values() for screen in stack[:1] if isinstance(screen, Section)]

    def refresh_css(self, animate: bool = True) -> None:
        """As Textual does; remembers which state of the rules it was."""
        super().refresh_css(animate)
        self.rules_applied = self._css_update_count

    # -- actions ----------------------------------------------------------------------------------------------

    def go(self, section: str, then: Callable[[Section], object] | None = None) -> None:
        """Open a section, and do something with it once it is there."""
        self.run_worker(self._go(section, then), exit_on_error=False, group="go")

    async def _go(self, section: str, then: Callable[[Section], object] | None) -> None:
        await self._enter(section)
        if then is not None and isinstance(self.screen, Section):
            then(self.screen)

    async def _enter(self, section: str) -> None:
        await self.ahead.there(section)
        await self.switch_mode(section)

    def is_open(self, section: str) -> bool:
        """Whether a section was opened, or mounted unseen."""
        return section in self._screen_stacks

    def mount_section(self, section: str) -> AwaitMount:
        """Mount a section behind the one in front."""
        return self._init_mode(section)

    def watch_run(self, run: str) -> None:
        """Show a run in the Monitor."""
        self.run_in_view = run
        self.changed.publish(None)
        self.go("monitor")

    def show_tag(self, tag: str) -> None:
        """Show the images that carry a tag, in the Dataset section."""
        self.go("dataset", lambda section: section.show_tag(tag))

    @work(exit_on_error=False, group="dialog")
    async def action_palette(self) -> None:
        from lorabake_tui import palette
        from lorabake_tui.dialogs.picker import Picker

        section = self._section
        if section is None:
            return
        chosen = await self.push_screen_wait(Picker(_("Actions"), palette.options(section.SECTION), typed=True))
        if chosen is not None:
            await self._do(chosen)

    async def _do(self, action: keys.Action) -> None:
        if action.section == "app":
            await self.run_action(action.name, self)
            return
        await self._enter(action.section)
        await self.run_action(action.name, self.screen)

    def action_help(self) -> None:
        from lorabake_tui.dialogs.help import HelpBox

        section = self._section
        if section is not None:
            self.push_screen(HelpBox(section.SECTION))

    @property
    def _section(self) -> Section | None:
        return self.screen if isinstance(self.screen, Section) else None

    def action_language(self) -> None:
        """Speak the other language: every section is built anew, for its words were written when it was."""
        i18n.use("en" if i18n.current() != "en" else "zh_CN")
        self.run_worker(self._rebuild(), exclusive=True, exit_on_error=False, group="language")

    async def _rebuild(self) -> None:
        here = self.current_mode
        if "blank" not in self._modes:
            self.add_mode("blank", Screen)
        await self.switch_mode("blank")
        for name in self.MODES:
            await self.remove_mode(name)
            self.add_mode(name, self.MODES[name])
        await self.switch_mode(here)

    def action_dataset(self) -> None:
        self.go("dataset")

    def action_tags(self) -> None:
        self.go("tags")

    def action_params(self) -> None:
        self.go("params")

    def action_queue(self) -> None:
        self.go("queue")

    def action_monitor(self) -> None:
        self.go("monitor")

    def action_results(self) -> None:
        self.go("results")

    def action_next_pane(self) -> None:
        self.screen.focus_next()

    def action_previous_pane(self) -> None:
        self.screen.focus_previous()

    def action_leave(self) -> None:
        live = [run for run in self.runs if run.state in LIVE_STATES and run.kind != "test"]
        message = ""
        if live:
            message = _("{name} goes on baking. `lorabake` shows it again.").format(name=plain(live[0].name))
        self.exit(message=message or None)

    def action_interrupt(self) -> None:
        self.tell(_("ctrl+q leaves. A bake that is running goes on."))
