"""What is told and done while a test waits: which job has the device, drawing beside it, pausing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import work
from textual.screen import Screen

from engine.protocol.control import Action
from engine.protocol.drawing import Drawn, DrawnParams
from engine.protocol.messages import ControlParams
from engine.protocol.records import LIVE_STATES, WAITING_STATES, RunRow
from lorabake_tui import keys
from lorabake_tui.i18n import _
from lorabake_tui.screens.section import hints_of
from lorabake_tui.widgets import states
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.status import HintLine
from lorabake_tui.widgets.units import duration

if TYPE_CHECKING:
    from lorabake_tui.app import LoRABake

GOING = ("waiting", "drawing")
_BAKES = ("bake", "fake")


class WaitingTests(Screen[None], inherit_bindings=False):
    """Mixed into the screen of tests, whose cursor says which one is meant."""

    _tests: list[Drawn]
    _pausing = ""

    @property
    def current(self) -> Drawn | None:
        """The test under the cursor."""
        raise NotImplementedError

    def ask(self) -> object:
        """Ask the engine anew for the tests."""
        raise NotImplementedError

    @property
    def bench(self) -> LoRABake:
        """The app, with the engine and what it told."""
        return cast("LoRABake", self.app)

    def _ahead(self, test: Drawn | None) -> RunRow | None:
        """The job that has the device a test waits for; None where none is in its way."""
        if test is None or test.state != "waiting":
            return None
        own = next((row for row in self.bench.store.runs if row.id == test.run), None)
        if own is None or own.state not in WAITING_STATES:
            return None
        return next((row for row in self.bench.store.runs if row.state in LIVE_STATES and row.id != test.run), None)

    def tell_wait(self) -> None:
        """What is to be seen where no picture is yet: why, and which keys change that."""
        test, ahead = self.current, self._ahead(self.current)
        names = ["tests.pictures", "tests.again", "tests.command"]
        if test is not None and test.state in GOING:
            names = [*(["tests.now", *self._pausable(ahead)] if ahead is not None else []), "tests.stop"]
        elif any(row.state == "paused" for row in self.bench.store.runs):
            names.append("tests.pause")
        actions = [keys.find(name) for name in names]
        self.query_one(HintLine).tell(hints_of([*actions, keys.find("tests.close")]))
        if not self.query_one(Empty).display:
            return
        offered = [(action.key, _(action.help)) for action in actions] if ahead is not None else []
        self.query_one(Empty).tell(self._why(test, ahead), offered)

    @staticmethod
    def _pausable(ahead: RunRow) -> list[str]:
        return ["tests.pause"] if ahead.kind in _BAKES and ahead.state in ("starting", "running") else []

    def _why(self, test: Drawn | None, ahead: RunRow | None) -> str:
        if test is None:
            return _("Nothing was drawn yet: t draws with an epoch, x a grid.")
        if ahead is not None:
            if self._pausing:
                return _("{name} is pausing; then this test is drawn.").format(name=ahead.name)
            said = [_(states.look(ahead.state).word)]
            said += [_("epoch {epoch}").format(epoch=f"{ahead.epoch}/{ahead.epochs}")] if ahead.epochs else []
            said += [_("{time} to go").format(time=duration(ahead.eta_s))] if ahead.eta_s else []
            words = _("{name} has the device ({state}), and this test waits for it.")
            return words.format(name=ahead.name, state=", ".join(said))
        if test.state == "waiting":
            return _("The base model is being loaded; the first picture takes longest.")
        return _("drawing") + f" · {test.done}/{len(test.shots)}" if test.state == "drawing" else _("no picture")

    @work(exit_on_error=False, group="again")
    async def action_now(self) -> None:
        test = self.current
        if test is None or self._ahead(test) is None:
            self.bench.tell(_("This test waits for nothing."))
            return
        await self._now(test.id)

    async def _now(self, test: str) -> None:
        if await self.bench.call("draw.now", DrawnParams(id=test)) is not None:
            self.ask()

    @work(exit_on_error=False, group="again")
    async def action_pause(self) -> None:
        """Pause the bake in the way; with none in the way, let the one go on that was paused."""
        ahead = self._ahead(self.current)
        if ahead is not None and self._pausable(ahead):
            assert self.current is not None
            test = self.current.id
            if await self._control(ahead, "pause"):
                self._pausing = test
                self.tell_wait()
            return
        paused = next((row for row in self.bench.store.runs if row.state == "paused"), None)
        if paused is None:
            self.bench.tell(_("No bake is in the way, and none is paused."))
        elif await self._control(paused, "resume"):
            self.bench.tell(_("{name} goes on.").format(name=paused.name))

    async def _control(self, row: RunRow, action: Action) -> bool:
        asked = ControlParams(run=row.id, action=action)
        return await self.bench.call("runs.control", asked) is not None

    def draw_when_paused(self) -> None:
        """Once the bake has given its memory back, the test that waited for it begins."""
        test = next((one for one in self._tests if one.id == self._pausing), None)
        ahead = self._ahead(test)
        if test is not None and ahead is not None and ahead.state != "paused":
            return
        if test is not None and ahead is not None:
            words = _("{name} is paused for this test; p lets it go on.")
            self.bench.tell(words.format(name=ahead.name))
            self._start_now(test.id)
        self._pausing = ""

    @work(exit_on_error=False, group="again")
    async def _start_now(self, test: str) -> None:
        await self._now(test)
