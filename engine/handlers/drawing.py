"""Tests for the viewer: what one would be by default, ask for one, list and show them."""

from __future__ import annotations

from engine.handlers import Context
from engine.protocol.drawing import DrawDefaults, Drawn, DrawnParams, DrawParams
from engine.protocol.messages import Empty
from engine.protocol.records import LIVE_STATES, WAITING_STATES


def draw_defaults(_: Context, params: DrawParams) -> DrawDefaults:
    """A form's first values."""
    from engine.drawing.request import defaults

    return defaults(params.source, params.epoch)


def draw_submit(_: Context, params: DrawParams) -> Drawn:
    """Check everything, write it down, wake a worker."""
    from engine.drawing.submit import submit

    return submit(params)


def draw_list(context: Context, _: Empty) -> list[Drawn]:
    """The tests there are, newest first."""
    from engine.drawing import history

    live = _live(context)
    return [history.settled(drawn, live) for drawn in history.tests()]


def draw_show(context: Context, params: DrawnParams) -> Drawn:
    """One test."""
    from engine.drawing import history

    return history.settled(history.find(params.id), _live(context))


def draw_now(_: Context, params: DrawnParams) -> Drawn:
    """Draw beside the bake that a test waits for."""
    from engine.drawing.beside import now

    return now(params.id)


def draw_stop(_: Context, params: DrawnParams) -> Drawn:
    """Take a test back, or end its worker."""
    from engine.drawing.submit import stop

    return stop(params.id)


def _live(context: Context) -> set[str]:
    return {row.id for row in context.runs.rows() if row.state in LIVE_STATES | WAITING_STATES}
