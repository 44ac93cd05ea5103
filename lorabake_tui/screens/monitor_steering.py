"""What the Monitor's keys ask of a run: pause, stop, save, previews, other parameters, a branch; as a mixin of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import work

from engine.protocol import fields
from engine.protocol.control import Action
from engine.protocol.errors import EngineError
from engine.protocol.events import Changed
from engine.protocol.messages import Branch, ControlParams, RunParams
from engine.protocol.records import Job
from lorabake_tui import keys
from lorabake_tui.i18n import _, told

if TYPE_CHECKING:
    from lorabake_tui.screens.section import Section

    _Base = Section
else:
    _Base = object


class Steering(_Base):
    """Needs `run_shown`, `row`, `view`, `state`; tells `asked` of what is on its way."""

    if TYPE_CHECKING:
        run_shown: str
        row: Any
        view: Any
        state: str

    def asked(self, action: Action | None) -> None:
        """An action was sent (None: it was refused at once)."""
        raise NotImplementedError

    def _ask(self, action: Action, values: dict[str, float] | None = None) -> None:
        if self.run_shown:
            self.run_worker(self._send(action, values or {}), exit_on_error=False, group="steer")

    async def _send(self, action: Action, values: dict[str, float]) -> None:
        self.asked(action)
        if await self.call("runs.control", ControlParams(run=self.run_shown, action=action, values=values)) is None:
            self.asked(None)

    def action_pause(self) -> None:
        self._ask("pause")

    def action_resume(self) -> None:
        if self.state == "paused":
            self._ask("resume")
        elif self.run_shown:
            self.run_worker(self._resume(), exit_on_error=False, group="steer")

    async def _resume(self) -> None:
        self.bench.run_in_view = self.run_shown
        method = "queue.start" if self.state == "held" else "runs.resume"
        await self.call(method, RunParams(run=self.run_shown))

    def action_stop(self) -> None:
        self._ask("stop")

    def action_stop_now(self) -> None:
        self._ask("stop_now")

    def action_save_now(self) -> None:
        self._ask("save_now")

    def action_preview_now(self) -> None:
        self._ask("preview_now")

    @work(exit_on_error=False, group="dialog")
    async def action_change(self) -> None:
        """Other learning rates or epochs for the bake under way."""
        from lorabake_tui.dialogs.prompt import Prompt

        if self.state not in ("running", "starting", "paused"):
            self.bench.tell(
                _("Only a bake under way can be changed; {key} begins a new one.").format(key=_branch_key())
            )
            return
        job: Job | None = await self.call("runs.job", RunParams(run=self.run_shown))
        if job is None:
            return
        changed = {"unet_lr": job.params.unet_lr}
        for mark in self.view.marks:
            changed |= mark.values if isinstance(mark, Changed) else {}
        value = f"unet_lr={changed['unet_lr']:g} epochs={self.view.plan.epochs or job.params.epochs}"
        note = _(
            "unet_lr, text_encoder_lr, epochs, save_every_epochs, preview_every_epochs; it counts from the next step."
        )
        text = await self.app.push_screen_wait(Prompt(_("Change this bake"), value, note=note, check=_wrong))
        if text:
            self._ask("set", values_of(text))

    @work(exit_on_error=False, group="dialog")
    async def action_branch(self) -> None:
        """A new bake from this one's epochs or state."""
        from lorabake_tui.dialogs.picker import Option, Picker
        from lorabake_tui.dialogs.prompt import Prompt

        view, row = self.view, self.row
        if row is None or row.kind not in ("bake", "fake"):
            return
        options = [
            Option(("epoch", epoch), _("epoch {epoch}").format(epoch=epoch), _("its weights")) for epoch in view.epochs
        ]
        if view.saved is not None:
            note = _("step {step}, with the optimizer's memory").format(step=view.saved.step)
            options.append(Option(("state", 0), _("saved state"), note))
        options.append(Option(("again", 0), _("the beginning"), _("the same again, on the dataset as it is now")))
        begin = options[-2].value if len(options) > 1 else options[-1].value
        chosen = await self.app.push_screen_wait(Picker(_("Branch from"), options, value=begin))
        if chosen is None:
            return
        note = _("What is different, as name=value; nothing for the same.")
        text = await self.app.push_screen_wait(Prompt(_("Parameters of the branch"), note=note, check=_wrong))
        if text is None:
            return
        kind, epoch = chosen
        asked = Branch(
            run=row.id, epoch=epoch if kind == "epoch" else None, state=kind == "state", params=values_of(text)
        )
        made = await self.call("runs.branch", asked)
        if made is not None:
            self.bench.watch_run(made.id)


def _branch_key() -> str:
    return keys.find("monitor.branch").key


def values_of(text: str) -> dict[str, Any]:
    """`name=value` words as checked values; raises EngineError."""
    values = {}
    for word in text.replace(",", " ").split():
        name, _equals, value = word.partition("=")
        values[name] = fields.parse(name, value)
    return values


def _wrong(text: str) -> str:
    try:
        values_of(text)
    except EngineError as error:
        return " ".join(part for part in told(error.info) if part)
    return ""
