"""A run's events as lines of text: one per phase, epoch and tenth for a pipe, a status line besides on a terminal.

What happened is folded by `store.run`; here it only becomes words.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from engine.protocol.errors import ErrorInfo
from engine.protocol.events import (
    Checkpoint,
    Event,
    Finished,
    Paused,
    Phase,
    Plan,
    Preview,
    Progress,
    Resumed,
    Step,
    Tagged,
    Tested,
    Validation,
    Warning,
)
from lorabake_tui.commands.text import duration, paint, size
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.store.run import RunFold, RunView
from lorabake_tui.widgets.plain import clip, plain
from lorabake_tui.widgets.states import PHASES, tagged, tested

_REDRAW_SECONDS = 0.2
_BAR = 24
_LONG = 50
"""A stage of fewer items than this gets one line, a longer one a line per tenth."""


class Lines:
    """Prints a run as it goes on. `live` adds a status line that is redrawn in place (a terminal's)."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._drawn = 0.0
        self._shown = False
        self._tenth = -1
        self._steps = 0
        self._plan = ""
        self._said = ""

    def event(self, event: Event, fold: RunFold) -> None:
        """Print what `event` (already folded) is worth a line."""
        match event:
            case Phase():
                self._phase(event)
            case Progress():
                self._progress(event)
            case Step() if not self._live:
                self._step(event, fold)
            case Checkpoint(kind="epoch"):
                self.say(
                    _("epoch {epoch} saved: {file} ({size})").format(
                        epoch=event.epoch, file=Path(event.path).name, size=size(event.bytes)
                    )
                )
            case Preview():
                self._preview(event, fold.view())
            case Validation() if event.loss is not None:
                self.say(_("epoch {epoch}: validation loss {loss:.4f}").format(epoch=event.epoch, loss=event.loss))
            case Tagged():
                self.say(tagged(event))
            case Tested():
                self.say(tested(event))
            case Warning():
                note = ErrorInfo(code=event.code, message=event.message, hint=event.hint, args=event.args)
                message, hint = told(note)
                self.say(paint(_("Note:"), "yellow", sys.stdout) + " " + plain(f"{message} {hint}".strip()))
            case Paused():
                self.say(_("paused after step {step}").format(step=event.step))
            case Resumed():
                self.say(_("going on from step {step}").format(step=event.step))
            case _:
                pass
        if self._live and not isinstance(event, Finished) and time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._draw(fold.view())

    def say(self, line: str) -> None:
        """A line that stays, above the status line; the same line twice in a row is said once."""
        if line == self._said:
            return
        self._said = line
        self.clear()
        print(line, flush=True)

    def clear(self) -> None:
        """Take the status line away."""
        if self._shown:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
        self._shown = False

    def _phase(self, event: Phase) -> None:
        if event.plan is not None:
            self._steps = event.plan.steps
            plan = plain(plan_line(event.plan))
            if plan != self._plan:
                self.say(plan)
            self._plan = plan
        # Training tells its steps and saving its file, so neither needs a line of its own.
        if event.name not in ("train", "save") and not self._live:
            self.say(_(PHASES.get(event.name, event.name)))

    def _progress(self, event: Progress) -> None:
        if self._live or event.total < _LONG:
            return
        tenth = event.done * 10 // event.total
        if tenth != self._tenth:
            words = [f"{_(PHASES.get(event.phase, event.phase))}  {event.done}/{event.total}", *_speed(event)]
            self.say(" · ".join(words))
        self._tenth = tenth if event.done < event.total else -1

    def _step(self, event: Step, fold: RunFold) -> None:
        if not self._steps:
            return
        tenth = event.step * 10 // self._steps
        if tenth != self._tenth:
            self.say(" · ".join(_facts(fold.view())))
        self._tenth = tenth

    def _preview(self, event: Preview, view: RunView) -> None:
        drawn = len(view.previews.get(event.epoch, {}))
        if drawn < max(view.plan.previews_per_epoch, 1):
            return
        if event.epoch == 0:
            self.say(ngettext("{n} baseline preview", "{n} baseline previews", drawn).format(n=drawn))
        else:
            text = ngettext("epoch {epoch}: {n} preview", "epoch {epoch}: {n} previews", drawn)
            self.say(text.format(epoch=event.epoch, n=drawn))

    def _draw(self, view: RunView) -> None:
        self._drawn = time.monotonic()
        if view.phase == "train" and view.plan.steps:
            done, total, facts = view.step, view.plan.steps, _facts(view)
        else:
            progress = view.progress
            done, total = (progress.done, progress.total) if progress is not None else (0, 0)
            facts = [_(PHASES.get(view.phase, view.phase)), *([f"{done}/{total}"] if total else [])]
            facts += _speed(progress)
        filled = _BAR * done // total if total else 0
        bar = "━" * filled + "─" * (_BAR - filled)
        width = shutil.get_terminal_size((80, 24)).columns - 1
        sys.stdout.write("\r\x1b[K" + clip(f"{bar}  {'  '.join(facts)}", width))
        sys.stdout.flush()
        self._shown = True


def progress_words(view: RunView) -> list[str]:
    """The phase, and how far it is."""
    progress = view.progress
    words = [_(PHASES.get(view.phase, view.phase))]
    return words + ([f"{progress.done}/{progress.total}"] if progress is not None and progress.total else [])


def speed_words(view: RunView) -> list[str]:
    """Steps, or images tagged, in a second."""
    last = view.last
    return [f"{last.it_s:.2f} it/s"] if last is not None and last.it_s is not None else _speed(view.progress)


def _speed(progress: Progress | None) -> list[str]:
    if progress is None or progress.per_s is None:
        return []
    facts = [_("{rate} images/s").format(rate=f"{progress.per_s:.1f}")]
    if progress.eta_s is not None and progress.done < progress.total:
        facts.append(_("{time} left").format(time=duration(progress.eta_s)))
    return facts


def plan_line(plan: Plan) -> str:
    """What a bake is going to do, in one line."""
    if plan.batch and not plan.epochs:
        return _tagging_line(plan)
    parts = [
        ngettext("{n} image", "{n} images", plan.images).format(n=plan.images),
        _("{n} image views").format(n=plan.image_views),
        _("{n} optimizer steps").format(n=plan.steps),
        ngettext("{n} epoch", "{n} epochs", plan.epochs).format(n=plan.epochs),
        " ".join(part for part in (plan.device, plan.precision) if part),
    ]
    return " · ".join(part for part in parts if part)


def _tagging_line(plan: Plan) -> str:
    """What a tagger is going to do, and on what."""
    parts = [
        plan.base,
        ngettext("{n} image", "{n} images", plan.images).format(n=plan.images),
        _("on the processor (CPU)") if plan.device == "CPU" else _("on {device}").format(device=plan.device),
        _("{n} at once").format(n=plan.batch),
    ]
    return " · ".join(parts)


def _facts(view: RunView) -> list[str]:
    wide = len(str(view.plan.steps))
    percent = f"{100 * view.fraction:3.0f} %"
    facts = [
        percent,
        _("epoch {epoch}/{epochs}").format(epoch=view.epoch, epochs=view.plan.epochs),
        _("step {step}/{steps}").format(step=f"{view.step:{wide}d}", steps=view.plan.steps),
    ]
    last = view.last
    if last is not None:
        facts.append(_("loss {loss}").format(loss="—" if last.loss is None else f"{last.loss:.4f}"))
        if last.it_s is not None:
            facts.append(f"{last.it_s:.2f} it/s")
        if last.eta_s is not None:
            facts.append(_("{time} left").format(time=duration(last.eta_s)))
    return facts


def made(view: RunView, folder: Path, out: str) -> list[str]:
    """The paths of everything a run made: each epoch's file and previews, then the copies in `out`."""
    lines: list[str] = []
    for epoch in sorted({*view.previews, *view.epochs}):
        lines.append(_("baseline") if epoch == 0 else _("epoch {epoch}").format(epoch=epoch))
        checkpoint = view.epochs.get(epoch)
        paths = [checkpoint.path] if checkpoint is not None else []
        paths += [preview.path for _index, preview in sorted(view.previews.get(epoch, {}).items())]
        lines += [f"  {plain(str(folder / path))}" for path in paths]
    if out and view.epochs:
        lines.append(_("copies"))
        lines += [f"  {plain(str(Path(out) / Path(c.path).name))}" for _e, c in sorted(view.epochs.items())]
    return lines
