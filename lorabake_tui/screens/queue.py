"""The Queue section: every job in its order with its state, and what can be done with the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from textual import on, work
from textual.app import ComposeResult

from engine.protocol.messages import Branch, ControlParams, MoveParams, RunParams, ScheduleParams
from engine.protocol.records import LIVE_STATES, WAITING_STATES, RunRow
from lorabake_tui import keys
from lorabake_tui.i18n import _, told
from lorabake_tui.screens.monitor_text import phase_word
from lorabake_tui.screens.section import Section, hints_of
from lorabake_tui.widgets import states
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.meter import Fact, FactLine, shortened
from lorabake_tui.widgets.rows import Cell, Column, RowList
from lorabake_tui.widgets.units import ABSENT, duration, loss, moment

_BAR = 10
_TONES = {"good": "row--good", "warn": "row--warn", "error": "row--error", "dim": "row--dim"}
_BAKES = ("bake", "fake")
_TO_BEGIN = WAITING_STATES | {"paused"}
_EMPTY = ("app.params", "app.dataset", "app.help")


class QueueSection(Section, inherit_bindings=False):
    """The jobs: those that run, those that wait, those that are over."""

    SECTION = "queue"
    BINDINGS = keys.bindings(SECTION)
    CSS_PATH = "queue.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[RunRow] = []

    def body(self) -> ComposeResult:
        with Frame(id="queue-none"):
            yield Empty()
        with Frame(title=_("Queue"), id="queue-some"):
            yield RowList(
                [
                    Column("", 2, right=True),
                    Column(_("State"), 11),
                    Column(_("Name")),
                    Column(_("Kind"), 5, shown_from=96),
                    Column(_("Progress"), _BAR + 5),
                    Column(_("Epoch"), 7, right=True),
                    Column(_("Loss"), 6, right=True, shown_from=96),
                    Column(_("Left"), 8, right=True),
                    Column(_("Starts"), 11, right=True, shown_from=110),
                    Column(_("Ends"), 11, right=True, shown_from=100),
                    Column(_("Created"), 11, right=True, shown_from=76),
                ],
                id="queue-list",
            )
        with Frame(id="queue-detail"):
            yield FactLine(id="queue-why")
            yield FactLine(id="queue-what")

    def on_mount(self) -> None:
        self.facts_changed()

    @property
    def _list(self) -> RowList:
        return self.query_one("#queue-list", RowList)

    @property
    def _row(self) -> RunRow | None:
        """The job under the cursor."""
        at = self._list.current
        return self._rows[at] if at is not None and at < len(self._rows) else None

    # -- showing ----------------------------------------------------------------------------------------------

    def facts_changed(self) -> None:
        if not self.composed:
            return
        here = self._row
        self._rows = self.bench.store.queue()
        some = bool(self._rows)
        self.query_one("#queue-none").display = not some
        self.query_one("#queue-some").display = self.query_one("#queue-detail").display = some
        if not some:
            sentence = self.nothing(_("No job is in the queue."))
            self.query_one(Empty).tell(sentence, [(keys.find(n).key, _(keys.find(n).help)) for n in _EMPTY])
            return
        if self.focused is None:
            # While there was nothing to show, the list could not take the keys.
            self._list.focus()
        waiting = sum(row.state in WAITING_STATES for row in self._rows)
        live = sum(row.state in LIVE_STATES for row in self._rows)
        title = _("{live} live · {waiting} waiting").format(live=live, waiting=waiting)
        self.query_one("#queue-some", Frame).set_title(_("Queue"), title)
        rows = self._list
        rows.show(range(len(self._rows)), self._cells)
        # The order changes under the cursor; it stays on its job, not on its number.
        if here is not None:
            at = next((number for number, row in enumerate(self._rows) if row.id == here.id), None)
            if at is not None:
                rows.go_to(at)
        self._tell_detail()

    def _cells(self, number: int) -> Sequence[Cell]:
        row = self._rows[number]
        look = states.look(row.state)
        tone = _TONES.get(look.tone, "")
        over = row.state not in states.GOING
        name = (row.name or row.id, "row--dim" if row.state == "cancelled" else "")
        return (
            (str(row.position) if row.position else "", "row--dim"),
            (states.told(row.state), tone),
            name,
            (_(row.kind), "row--dim"),
            (_progress(row), tone if row.state in ("failed", "stopped", "paused") else "row--bar"),
            f"{row.epoch}/{row.epochs}" if row.epochs else "",
            loss(row.loss) if row.loss is not None else "",
            duration(row.eta_s) if row.eta_s is not None and row.state in LIVE_STATES else "" if over else ABSENT,
            moment(row.starts) if row.starts is not None and row.state in _TO_BEGIN else "",
            moment(row.ends) if row.ends is not None and row.state not in ("done", "failed", "stopped") else "",
            (moment(row.created), "row--dim"),
        )

    @on(RowList.Highlighted)
    def _moved(self) -> None:
        self._tell_detail()

    def _tell_detail(self) -> None:
        row = self._row
        if row is None:
            return
        self.query_one("#queue-detail", Frame).set_title(row.name or row.id)
        self.query_one("#queue-why", FactLine).tell([_why(row)])
        line = self.query_one("#queue-what", FactLine)
        line.tell(_what(row, line.size.width // 3))
        self.refresh_hints()

    def hints(self) -> list[tuple[str, str]]:
        row = self._row
        names: list[str] = []
        if row is not None:
            names = ["list.select"]
            if row.state == "held":
                names += ["queue.start", "queue.cancel", "queue.move_up", "queue.move_down"]
            elif row.state in ("queued", "scheduled"):
                names += ["queue.hold", "queue.cancel", "queue.when", "queue.move_up", "queue.move_down"]
            elif row.resumable or row.state == "paused":
                names += ["queue.resume"]
            if row.state not in states.GOING and row.kind in _BAKES:
                names += ["queue.duplicate"]
        hints = hints_of([keys.find(name) for name in names])
        if row is not None and row.state in LIVE_STATES:
            hints.append((keys.find("queue.cancel").key, _("Stop")))
        return hints + hints_of([keys.find(name) for name in ("app.help", "app.palette", "app.leave")])

    # -- doing ------------------------------------------------------------------------------------------------

    def _do(self, method: str, params: msgspec.Struct, told: str = "") -> None:
        self.run_worker(self._call(method, params, told), exit_on_error=False, group="queue")

    async def _call(self, method: str, params: msgspec.Struct, told: str = "") -> bool:
        """Whether the engine did it; a refusal has been told."""
        if await self.call(method, params) is None:
            return False
        rows = await self.call("runs.list")
        if rows is not None:
            self.bench.store.set_runs(rows)
            self.bench.changed.publish(None)
        if told:
            self.bench.tell(told)
        return True

    def action_cancel(self) -> None:
        row = self._row
        if row is None:
            return
        name = row.name or row.id
        if row.state in LIVE_STATES:
            told = _("{name} is asked to stop: it finishes the step and saves.").format(name=name)
            self._do("runs.control", ControlParams(run=row.id, action="stop"), told)
        elif row.state in WAITING_STATES:
            told = _("{name} is cancelled; {key} puts it back.").format(name=name, key=keys.find("queue.resume").key)
            self._do("queue.cancel", RunParams(run=row.id), told)
        else:
            self.bench.tell(_("{name} is over already.").format(name=name))

    def action_hold(self) -> None:
        self._on_waiting("queue.hold", "queued", "scheduled")

    def action_start(self) -> None:
        self._on_waiting("queue.start", "held")

    def _on_waiting(self, method: str, *these: str) -> None:
        row = self._row
        if row is None:
            return
        if row.state in these:
            self._do(method, RunParams(run=row.id))
        elif "held" in these:
            self.bench.tell(_("{name} is not held.").format(name=row.name or row.id))
        else:
            self.bench.tell(_("Only a waiting job can be held."))

    def action_move_up(self) -> None:
        self._move(-1)

    def action_move_down(self) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        row = self._row
        if row is None:
            return
        if row.state in WAITING_STATES:
            self._do("queue.move", MoveParams(run=row.id, by=by))
        else:
            self.bench.tell(_("Only a waiting job can be moved."))

    @work(exit_on_error=False, group="dialog")
    async def action_when(self) -> None:
        row = self._row
        if row is None or row.state not in WAITING_STATES:
            self.bench.tell(_("Only a waiting job can be given a time."))
            return
        from lorabake_tui.dialogs.prompt import Prompt

        note = _("22:30 · 2026-11-23 22:30 · +2h · 22:00-07:00 · 22:00-07:00 pause · empty: at once")
        text: str | None = row.when
        # What was refused stands in the field again, to be mended.
        while (text := await self.app.push_screen_wait(Prompt(_("Start when"), text or "", note=note))) is not None:
            if await self._call("queue.plan", ScheduleParams(run=row.id, when=text)):
                return

    @work(exit_on_error=False, group="dialog")
    async def action_retries(self) -> None:
        row = self._row
        if row is None or row.state not in WAITING_STATES:
            self.bench.tell(_("Only a waiting job can be given retries."))
            return
        from lorabake_tui.dialogs.prompt import Prompt

        note = _("How often a worker that dies is replaced, from the last state on; 0 for never.")
        wrong = _("A whole number from 0 to 99.")

        def check(text: str) -> str:
            return "" if text.strip().isdecimal() and len(text.strip()) < 3 else wrong

        text = await self.app.push_screen_wait(Prompt(_("Retries"), str(row.retries), note=note, check=check))
        if text is not None:
            self._do("queue.plan", ScheduleParams(run=row.id, retries=int(text)))

    def action_duplicate(self) -> None:
        row = self._row
        if row is None:
            return
        if row.kind in _BAKES:
            told = _("{name} is queued once more.").format(name=row.name or row.id)
            self._do("runs.branch", Branch(run=row.id), told)
        else:
            self.bench.tell(_("Only bakes can be queued again like this."))

    def action_resume(self) -> None:
        row = self._row
        if row is None:
            return
        if row.state == "paused":
            self._do("runs.control", ControlParams(run=row.id, action="resume"))
        elif row.resumable or row.state == "held":
            self._do("runs.resume", RunParams(run=row.id))
        else:
            self.bench.tell(_("{name} has nothing to go on with.").format(name=row.name or row.id))

    @on(RowList.Selected)
    def _open(self) -> None:
        row = self._row
        if row is not None:
            self.bench.watch_run(row.id)


def _progress(row: RunRow) -> str:
    if not row.steps:
        return ""
    share = min(1.0, row.step / row.steps)
    full = int(share * _BAR)
    return "━" * full + "─" * (_BAR - full) + f" {int(share * 100):3d}%"


def _why(row: RunRow) -> Fact:
    """The sentence that fits the job's state."""
    look = states.look(row.state)
    if row.error is not None and row.state == "failed":
        message, hint = told(row.error)
        return Fact("", f"{message} {hint}".strip(), look.tone)
    key = keys.find("queue.start").key, keys.find("queue.resume").key
    if row.crash:
        return Fact(
            "", _("Held since the machine or the engine went down; {start} lets it go.").format(start=key[0]), "warn"
        )
    words = {
        "held": _("Held; {start} lets it go.").format(start=key[0]),
        "queued": _("Waits for its turn, place {place}.").format(place=row.position) + _times(row),
        "scheduled": _("Starts by itself: {when}.").format(when=row.when) + _times(row),
        "paused": _("Stands still after step {step}; {resume} lets it go on.").format(step=row.step, resume=key[1]),
        "stopped": _("Stopped after step {step}; {resume} goes on from there.").format(step=row.step, resume=key[1]),
        "cancelled": _("Cancelled; {resume} puts it back into the queue.").format(resume=key[1]),
        "done": _("All epochs are baked; {key} compares them.").format(key=keys.find("app.results").key),
    }
    if row.state == "paused" and row.starts is not None:
        # Quiet hours are over; a paused bake with a moment to start goes on by itself.
        words["paused"] = _("Stands still outside of its hours; goes on by itself {start}.").format(
            start=moment(row.starts)
        )
    if row.stalled:
        return Fact("", _("No word from the worker for a long time."), "warn")
    if row.state == "running" and row.phase:
        return Fact("", phase_word(row.phase), look.tone)
    return Fact("", words.get(row.state) or states.told(row.state), look.tone)


def _times(row: RunRow) -> str:
    """When a waiting job is expected to begin and end."""
    if row.starts is None:
        return ""
    begins = moment(row.starts)
    if row.ends is None and begins in row.when:
        return ""
    return (
        " "
        + _("About {start}").format(start=begins)
        + (_(" to {end}.").format(end=moment(row.ends)) if row.ends is not None else ".")
    )


def _what(row: RunRow, room: int) -> list[Fact]:
    """Step, dataset, base, folder; paths get `room` cells each."""
    facts = []
    if row.steps:
        facts.append(Fact(_("step"), f"{row.step}/{row.steps}"))
    if row.when and row.state != "scheduled":
        facts.append(Fact(_("when"), row.when))
    if row.parent:
        facts.append(Fact(_("branch of"), row.parent))
    if row.dataset:
        facts.append(Fact(_("dataset"), shortened(row.dataset, room)))
    if row.base:
        facts.append(Fact(_("base"), row.base))
    if row.device:
        facts.append(Fact(_("on"), row.device))
    if row.retries:
        facts.append(Fact(_("retries"), str(row.retries)))
    facts.append(Fact(_("folder"), shortened(row.dir, room)))
    return facts
