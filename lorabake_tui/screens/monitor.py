"""The Monitor section: one run as its journal tells it, live or long finished, and the keys that steer it."""

from __future__ import annotations

import time

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from engine.protocol.control import Action
from engine.protocol.messages import Past, Push, RunParams, WatchParams
from engine.protocol.records import RunRow
from lorabake_tui import keys
from lorabake_tui.i18n import _
from lorabake_tui.screens import monitor_text as text
from lorabake_tui.screens.monitor_curves import Curves
from lorabake_tui.screens.monitor_steering import Steering
from lorabake_tui.screens.outcomes import Outcomes
from lorabake_tui.screens.section import Section, hints_of
from lorabake_tui.screens.watching import Watching
from lorabake_tui.store import RunView, shown_state
from lorabake_tui.widgets import states
from lorabake_tui.widgets.chart import Chart
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.log import LogView
from lorabake_tui.widgets.meter import FactLine, Meter
from lorabake_tui.widgets.picture import PictureSource, show_full
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.previews import Previews

TICK_SECONDS = 0.5
CHART_SECONDS = 1.0
CHART_SHARE = 0.015
"""Of a core, what drawing curves may take: where one takes 40 ms, a new one comes every three seconds."""
_LIVE_HINTS = (
    "monitor.pause",
    "monitor.stop",
    "monitor.pictures",
    "monitor.log",
    "monitor.save_now",
    "monitor.preview_now",
)
_PAUSED_HINTS = (
    "monitor.resume",
    "monitor.stop",
    "monitor.pictures",
    "monitor.log",
    "monitor.change",
    "monitor.branch",
)
_ENDED_HINTS = ("monitor.pictures", "monitor.log", "monitor.previous_run", "monitor.next_run")
_NO_RUN = ("app.params", "app.dataset", "app.help")


class MonitorSection(Steering, Section, inherit_bindings=False):
    """Shows the run that lives, else the newest; once a run was chosen it stays on that one."""

    SECTION = "monitor"
    BINDINGS = keys.bindings(SECTION)
    CSS_PATH = "monitor.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.run_shown = ""
        self._chosen = ""
        self._asked: tuple[str, int] | None = None
        self._painted: tuple[object, ...] = ()
        self._logged = (-1, "")
        self._noticed = ("", "")
        self._hinted = ""
        self._replaying = False
        self._beside = ""
        self._drawn_at = 0.0
        self._curves = Curves()
        self._watching = Watching(self)
        self._outcomes = Outcomes(self, self._paint_anew)
        self._pictures = PictureSource(lambda method, params: self.bench.engine.call(method, params))
        self._empty = Empty()
        self._head = Frame(id="monitor-head")
        self._state_line, self._speed_line = FactLine(), FactLine()
        self._plan_line = FactLine(id="monitor-plan")
        self._device_line = FactLine(id="monitor-device")
        self._meter = Meter()
        self._notice = Static(id="monitor-notice", markup=False)
        self._curve_frame = Frame(id="monitor-curve")
        self._chart = Chart()
        self._log = LogView()
        self._previews = Previews(self._pictures)

    def body(self) -> ComposeResult:
        with Frame(id="monitor-none"):
            yield self._empty
        with Vertical(id="monitor-some"):
            with self._head:
                yield self._state_line
                yield self._meter
                yield self._speed_line
                yield self._plan_line
                yield self._notice
            with Horizontal(id="monitor-middle"):
                with Vertical(id="monitor-left"):
                    with self._curve_frame:
                        yield self._chart
                    with Frame(title=_("Log"), id="monitor-log"):
                        yield self._log
                with Frame(title=_("Previews"), id="monitor-previews"):
                    yield self._previews
            yield self._device_line

    def on_mount(self) -> None:
        self.set_interval(TICK_SECONDS, self._tick)
        self.set_interval(CHART_SECONDS, self._draw_in_turn)
        self.bench.pushed.subscribe(self, self._heard, immediate=True)
        self.facts_changed()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.facts_changed()
        self._tick()

    # -- which run --------------------------------------------------------------------------------------------

    def facts_changed(self) -> None:
        if not self.composed:
            return
        if self.bench.run_in_view:
            self._chosen, self.bench.run_in_view = self.bench.run_in_view, ""
        store = self.bench.store
        current = store.current()
        run = self._chosen or (current.id if current is not None else "")
        self.query_one("#monitor-none").display = not run
        self.query_one("#monitor-some").display = bool(run)
        if run and self.focused is None:
            self._log.focus()
        if not run:
            sentence = self.nothing(_("Nothing has been baked yet."))
            self._empty.tell(sentence, [(keys.find(n).key, _(keys.find(n).help)) for n in _NO_RUN])
            return
        row = store.meant(run) or current
        if row is None:
            return
        if row.id != self.run_shown:
            self.run_shown, self._asked, self._painted, self._logged = row.id, None, (), (-1, "")
            self._curves.at = None
            self._draw_curves()
            self._tick()
        self._watching.follow(row.id)
        if not self._painted:
            self._tick()

    def _switch(self, by: int) -> None:
        runs = [row.id for row in self.bench.store.started()]
        if not runs:
            return
        at = runs.index(self.run_shown) if self.run_shown in runs else 0
        to = min(len(runs) - 1, max(0, at + by))
        if runs[to] == self.run_shown:
            self.bench.tell(_("This is the oldest run.") if by > 0 else _("This is the newest run."))
            return
        self._chosen = runs[to]
        self.facts_changed()

    # -- painting ---------------------------------------------------------------------------------------------

    @property
    def row(self) -> RunRow | None:
        """The run on the screen as the list tells it."""
        return self.bench.store.row(self.run_shown)

    @property
    def view(self) -> RunView:
        """The run on the screen as its journal tells it."""
        return self.bench.store.view(self.run_shown)

    @property
    def state(self) -> str:
        """The state word of the run on the screen."""
        return shown_state(self.row, self.view)

    def _heard(self, push: Push) -> None:
        """A history that has come in is painted at once."""
        if isinstance(push, Past) and push.run == self.run_shown:
            self._replaying = True
        elif self._replaying and self.run_shown not in self.bench.store.replaying:
            self._tick()

    def _tick(self) -> None:
        """Twice a second: paint what changed; nothing at all while another section is in front."""
        if not self.run_shown or not self.is_current:
            return
        store = self.bench.store
        now = store.clock()
        # While history comes in, every paint would delay its end; once a second shows that it comes.
        replaying = self.run_shown in store.replaying
        if self._replaying and not replaying:
            self._replaying = False
            self._draw_curves()
        self._replaying = replaying
        version = 0 if replaying else store.version
        stamp = (self.run_shown, version, int(now), self._asked)
        if stamp == self._painted:
            return
        self._painted = stamp
        view, row, state = self.view, self.row, self.state
        self._paint_head(state, row, view, now)
        self._paint_log(view)
        self._paint_previews(view, row)
        self._device_line.tell(text.device_facts(store.devices[-1] if store.devices else None))
        if state != self._hinted:
            self._hinted = state
            self.refresh_hints()

    def _paint_anew(self) -> None:
        self._painted = ()
        self._tick()

    def _paint_head(self, state: str, row: RunRow | None, view: RunView, now: float) -> None:
        self._head.set_title(row.name or row.id if row is not None else self.run_shown)
        self._state_line.tell(text.head_facts(state, view))
        self._speed_line.tell(text.speed_facts(view, now))
        self._plan_line.tell(text.plan_facts(row, view))
        plan = view.plan
        ticks = [epoch / plan.epochs for epoch in range(1, plan.epochs)] if plan.epochs else []
        tone = {"done": "good", "failed": "error", "stopped": "warn", "paused": "warn"}.get(state, "done")
        self._meter.tell(view.fraction, ticks, tone)
        if self._asked is not None and text.answered(view, *self._asked):
            self._asked = None
        asked = self._asked[0] if self._asked is not None else ""
        told = text.notice(state, row, view, asked, now)
        if truth := self._outcomes.sentence(row):
            told = (f"{told[0]}\n{truth}", told[1])
        if told != self._noticed:
            self._noticed = words, tone = told
            self._notice.display = bool(words)
            self._notice.set_classes(f"-{tone}" if tone else "")
            self._notice.update(Content("\n".join(plain(line) for line in words.split("\n"))))

    def _paint_log(self, view: RunView) -> None:
        if (len(view.log), view.run) == self._logged and len(view.log) < 5000:
            return
        self._logged = len(view.log), view.run
        self._log.show(text.entries(view.log))

    def _paint_previews(self, view: RunView, row: RunRow | None) -> None:
        root = row.dir if row is not None else ""
        at = self._curves.at
        drawn = sorted(
            epoch
            for epoch, pictures in view.previews.items()
            # Reading the history shows what had been drawn by then.
            if epoch and (at is None or any(picture.step <= at for picture in pictures.values()))
        )
        newest = drawn[-1] if drawn else None
        note = _("not drawn yet") if self.state in states.GOING else _("no previews")
        self._previews.show(
            text.previews(root, view, 0), text.previews(root, view, newest) if newest is not None else [], note
        )

    def _draw_in_turn(self) -> None:
        """Once a second at most, and less often where that would cost too much; a run that is over, only when it has
        changed."""
        if time.monotonic() - self._drawn_at >= self._chart.cost / CHART_SHARE:
            self._draw_curves()

    def _draw_curves(self) -> None:
        """In turn, and at once after a key."""
        self._drawn_at = time.monotonic()
        if self.run_shown and self.is_current and not self._replaying:
            view, beside = self.view, self.bench.store.row(self._beside)
            other = (beside.name or beside.id, self.bench.store.view(beside.id)) if beside is not None else None
            self._curve_frame.set_title(self._curves.title(view))
            self._chart.draw(self._curves.plot(view, self._chart.size.width, other))

    def hints(self) -> list[tuple[str, str]]:
        state = self.state if self.run_shown else ""
        if not self.run_shown:
            names: tuple[str, ...] = ()
        elif state == "paused":
            names = _PAUSED_HINTS
        elif state in ("starting", "running", "stopping"):
            names = _LIVE_HINTS
        else:
            names = ("monitor.resume", *_ENDED_HINTS) if state in states.GOES_ON else _ENDED_HINTS
        return hints_of([keys.find(name) for name in (*names, "app.help", "app.palette", "app.leave")])

    # -- steering ---------------------------------------------------------------------------------------------

    def asked(self, action: Action | None) -> None:
        self._asked = (action, self.view.seq) if action is not None else None
        self._tick()

    def action_previous_run(self) -> None:
        self._switch(1)

    def action_next_run(self) -> None:
        self._switch(-1)

    # -- looking ----------------------------------------------------------------------------------------------

    def action_curve(self) -> None:
        self._curves.next_kind()
        self._draw_curves()

    def action_log_scale(self) -> None:
        self._curves.log = not self._curves.log
        self._draw_curves()

    def action_smoothing(self) -> None:
        self._curves.next_smoothing()
        self._draw_curves()

    def action_zoom(self) -> None:
        self._curves.next_zoom()
        self._draw_curves()

    def action_step_back(self) -> None:
        self._read(self._curves.walk(self.view, -1))

    def action_step_forward(self) -> None:
        self._read(self._curves.walk(self.view, 1))

    def action_epoch_back(self) -> None:
        self._read(self._curves.walk_epoch(self.view, -1))

    def action_epoch_forward(self) -> None:
        self._read(self._curves.walk_epoch(self.view, 1))

    def action_newest(self) -> None:
        self._curves.at = None
        self._read(True)

    def _read(self, moved: bool) -> None:
        if moved:
            self._draw_curves()
            self._paint_previews(self.view, self.row)

    @work(exit_on_error=False, group="dialog")
    async def action_compare(self) -> None:
        from lorabake_tui.dialogs.picker import Option, Picker

        rows = [row for row in self.bench.store.started() if row.id != self.run_shown and row.step]
        if self._beside:
            self._beside = ""
        elif not rows:
            self.bench.tell(_("There is no other run to compare with."))
        else:
            options = [Option(row.id, row.name or row.id, states.told(row.state)) for row in rows]
            self._beside = await self.app.push_screen_wait(Picker(_("Compare with"), options)) or ""
        if self._beside:
            seq = self.bench.store.fold(self._beside).seq
            await self.call("runs.watch", WatchParams(run=self._beside, seq=seq, brief=True))
            for gone in self.bench.store.take_dropped():
                await self.call("runs.unwatch", RunParams(run=gone))
        self._draw_curves()

    def action_log(self) -> None:
        self.toggle_class("-log")

    @work(exit_on_error=False, group="pictures")
    async def action_pictures(self) -> None:
        view, row = self.view, self.row
        root = row.dir if row is not None else ""
        rows = [text.previews(root, view, epoch) for epoch in sorted(view.previews)]
        if rows:
            await show_full(self, self._pictures, rows, (len(rows) - 1, 0))
        else:
            self.bench.tell(_("No previews yet."))
