"""When waiting jobs will begin and end, as far as that can be known: their estimates, laid end to end on the devices.

Arithmetic on rows; where the estimates come from is `estimate`, when a job may start is `schedule`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import msgspec

from engine.protocol.records import LIVE_STATES, RunRow
from engine.runs.schedule import Schedule

_GRAIN = 60.0
"""Seconds to which a moment is told, so that a list of waiting jobs does not change with every look at it."""


def timed(
    rows: Sequence[RunRow],
    *,
    takes: Callable[[str], float],
    schedule: Callable[[str], Schedule],
    lanes: int,
    now: float,
) -> list[RunRow]:
    """The rows with `starts` and `ends` where they are known, in the order given (waiting ones by their place).

    `takes` gives the seconds of a whole job by its id, 0 where nothing is known; after such a job nothing is known
    of the same lane. A held job takes no part. A paused one has no end; `starts` is when quiet hours let it go on.
    """
    free: list[float] = []
    told: dict[str, RunRow] = {}
    known = True
    for row in rows:
        if row.state in LIVE_STATES:
            if row.state == "paused":
                # What a person paused goes on when a person says so; what quiet hours paused, when they begin.
                plan = schedule(row.id)
                again = plan.opens(now) if plan.closed(now) else None
                told[row.id] = msgspec.structs.replace(row, starts=_rounded(again))
                known = False
                continue
            ends = _live_end(row, takes(row.id))
            told[row.id] = msgspec.structs.replace(row, ends=_rounded(ends))
            if ends is None:
                known = False
            else:
                free.append(max(now, ends))
    free = sorted(free)[:lanes]
    free += [now] * (lanes - len(free))
    heapq.heapify(free)
    for row in rows:
        if row.state not in ("queued", "scheduled") or not known:
            continue
        begins = max(free[0], schedule(row.id).opens(max(now, free[0])))
        seconds = takes(row.id)
        if row.steps:
            seconds *= 1.0 - min(1.0, row.step / row.steps)
        ends = begins + seconds if seconds else None
        told[row.id] = msgspec.structs.replace(row, starts=_rounded(begins), ends=_rounded(ends))
        if ends is None:
            known = lanes > 1 and len(free) > 1
            heapq.heappop(free)
        else:
            heapq.heapreplace(free, ends)
    return [told.get(row.id, row) for row in rows]


def _live_end(row: RunRow, seconds: float) -> float | None:
    if row.eta_s is not None:
        return row.told + row.eta_s
    return row.begun + seconds if seconds and row.begun else None


def _rounded(moment: float | None) -> float | None:
    return None if moment is None else round(moment / _GRAIN) * _GRAIN
