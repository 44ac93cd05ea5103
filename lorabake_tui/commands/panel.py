"""`lorabake watch` on a terminal: the Monitor in ten lines under the prompt, redrawn in place at most twice a second.

The run is folded by `store.run`, as for the Monitor; here are only lines of text, without Textual.
"""

from __future__ import annotations

import shutil
import sys
import time

from engine.protocol.events import Ack, Changed, Checkpoint, Error, Event, Paused, Phase, Resumed, Validation, Warning
from lorabake_tui.commands.lines import progress_words, speed_words
from lorabake_tui.commands.text import duration, paint
from lorabake_tui.i18n import _, told
from lorabake_tui.store.run import RunFold, RunView
from lorabake_tui.store.series import downsample
from lorabake_tui.widgets import states
from lorabake_tui.widgets.acks import ack_text
from lorabake_tui.widgets.plain import clip, plain

ROWS = 10
LEAST_ROWS, LEAST_COLUMNS = 13, 40
_CURVE_ROWS = 5
_REDRAW_SECONDS = 0.4
_BLOCKS = " ▁▂▃▄▅▆▇█"


def fits() -> bool:
    """Whether the terminal is large enough for the ten lines and a prompt."""
    size = shutil.get_terminal_size((80, 24))
    return size.lines >= LEAST_ROWS and size.columns >= LEAST_COLUMNS


class Panel:
    """Takes what `Lines` takes, and keeps ten lines up to date instead of adding to them."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._drawn = 0.0
        self._shown = 0
        self._news = ""
        self._fresh = False

    def event(self, event: Event, _fold: RunFold) -> None:
        """Take one of several events that came; news stay in the last line until there are others."""
        news = _news(event)
        self._fresh = self._fresh or bool(news)
        self._news = news or self._news

    def settle(self, fold: RunFold) -> None:
        """Show what the events came to: news at once, steps now and then."""
        if self._fresh or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._fresh = False
            self._draw(fold.view())

    def say(self, line: str) -> None:
        """News that come from elsewhere than the journal."""
        self._news = line
        if not self._shown:
            self._write([line])

    def clear(self) -> None:
        """Take the ten lines away."""
        self._write([])

    def _draw(self, view: RunView) -> None:
        self._drawn = time.monotonic()
        width = shutil.get_terminal_size((80, 24)).columns - 1
        self._write(panel(view, self.name, self._news, width, time.time()))

    def _write(self, lines: list[str]) -> None:
        up = f"\x1b[{self._shown}F\x1b[J" if self._shown else ""
        sys.stdout.write(up + "".join(line + "\n" for line in lines))
        sys.stdout.flush()
        self._shown = len(lines)


def panel(view: RunView, name: str, news: str, width: int, now: float) -> list[str]:
    """Ten lines of at most `width` cells: state, bar, numbers, the curve of the loss, the news."""
    look = states.look(view.state or "starting")
    plan, last = view.plan, view.last
    head = [f"{states.told(view.state or 'starting')}  {plain(name or view.run)}"]
    if view.phase and view.phase != "train":
        head += progress_words(view)
    if plan.epochs:
        head.append(_("epoch {epoch}/{epochs}").format(epoch=view.epoch, epochs=plan.epochs))
    if plan.steps:
        head.append(_("step {step}/{steps}").format(step=view.step, steps=plan.steps))
    filled = int(view.fraction * (width - 6))
    bar = "━" * filled + "─" * (width - 6 - filled) + f" {100 * view.fraction:3.0f} %"
    first, second = [], speed_words(view)
    if last is not None:
        first.append(_("loss {loss}").format(loss="—" if last.loss is None else f"{last.loss:.4f}"))
        if len(view.series) > 4:
            first.append(_("smoothed {loss}").format(loss=f"{view.series.smoothed(0.9)[-1]:.4f}"))
        left = view.seconds_left(now)
        if left is not None:
            first.append(_("{time} left").format(time=duration(left)))
        second += [f"lr {group} {value:.2e}" for group, value in last.lr.items()]
        if last.grad_norm is not None:
            second.append(_("gradient {norm}").format(norm=f"{last.grad_norm:.3f}"))
    spent = view.seconds_spent(now)
    if spent is not None:
        first.append(_("{time} spent").format(time=duration(spent)))
    if view.validation and view.validation[-1].loss is not None:
        second.append(_("validation {loss}").format(loss=f"{view.validation[-1].loss:.4f}"))
    tone = {"good": "green", "warn": "yellow", "error": "red"}.get(look.tone, "dim")
    lines = [clip(" · ".join(head), width), bar, clip(" · ".join(first), width), clip(" · ".join(second), width)]
    lines += curve(view, width)
    lines.append(clip(news, width))
    return [
        paint(lines[0], tone, sys.stdout),
        *lines[1:4],
        *(paint(row, "cyan", sys.stdout) for row in lines[4:9]),
        lines[9],
    ]


def curve(view: RunView, width: int) -> list[str]:
    """The smoothed loss as five rows of blocks, the highest and lowest value at the right."""
    label = 8
    room = max(8, width - label)
    series = view.series
    if len(series) < 2:
        return [""] * _CURVE_ROWS
    means = [
        bucket.mean if bucket is not None else None for bucket in downsample(series.steps, series.smoothed(0.9), room)
    ]
    known = [value for value in means if value is not None]
    if not known:
        return [""] * _CURVE_ROWS
    low, high = min(known), max(known)
    levels = _CURVE_ROWS * (len(_BLOCKS) - 1)
    heights = [0 if v is None else 1 + round((v - low) / ((high - low) or 1.0) * (levels - 1)) for v in means]
    rows = []
    for row in reversed(range(_CURVE_ROWS)):
        under = row * (len(_BLOCKS) - 1)
        cells = "".join(_BLOCKS[min(len(_BLOCKS) - 1, max(0, height - under))] for height in heights)
        edge = f" {high:.4f}" if row == _CURVE_ROWS - 1 else f" {low:.4f}" if not row else ""
        rows.append(cells + edge)
    return rows


def _news(event: Event) -> str:
    match event:
        case Phase():
            return _(states.PHASES.get(event.name, event.name))
        case Checkpoint(kind="epoch"):
            return plain(_("epoch {epoch}: {file}").format(epoch=event.epoch, file=event.path.rpartition("/")[2]))
        case Warning():
            return plain(event.message)
        case Error():
            return plain(told(event.error)[0])
        case Paused():
            return _("paused after step {step}").format(step=event.step)
        case Resumed():
            return _("going on from step {step}").format(step=event.step)
        case Changed():
            values = ", ".join(f"{name} = {value:g}" for name, value in event.values.items())
            return _("from step {step} on: {values}").format(step=event.step + 1, values=values)
        case Validation() if event.loss is not None:
            return _("validation {loss}").format(loss=f"{event.loss:.4f}")
        case Ack():
            return ack_text(event)
        case _:
            return ""
