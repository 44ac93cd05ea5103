"""What the terminal knows of the engine's world: runs, queue, device, and the watched runs' journals folded.

Plain values and reducers over pushes; imports no textual and asks nothing of the engine (`client` does).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from engine.protocol.messages import Batch, DevicePush, Past, Push, RunsChanged
from engine.protocol.records import LIVE_STATES, WAITING_STATES, DeviceSample, RunRow
from lorabake_tui.store.run import Level, LogLine, RunFold, RunView
from lorabake_tui.store.series import Bucket, Series, downsample

__all__ = ["Bucket", "Level", "LogLine", "RunFold", "RunView", "Series", "Store", "downsample", "shown_state"]

DEVICE_SAMPLES = 600
KEPT_FOLDS = 4
"""How many watched runs stay folded in memory; older ones are replayed from their journal when opened again."""


class Store:
    """All that pushes brought. Screens read it on a timer; `version` grows with every change.

    `clock` gives Unix seconds (tests freeze it). `replaying` names the runs whose history is still coming in.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.version = 0
        self.runs: tuple[RunRow, ...] = ()
        self.listed = False
        """Whether the engine has told its runs, be there none; before, an empty list says nothing."""
        self.devices: deque[DeviceSample] = deque(maxlen=DEVICE_SAMPLES)
        self.replaying: set[str] = set()
        self._folds: dict[str, RunFold] = {}
        self._coming: dict[str, RunFold] = {}
        self._dropped: list[str] = []

    def push(self, message: Push) -> None:
        """Take what the host pushed on its own."""
        match message:
            case Batch():
                self._take_batch(message)
            case Past():
                self._take_past(message)
            case RunsChanged():
                self.set_runs(message.runs)
            case DevicePush():
                self.devices.append(message.sample)
        self.version += 1

    def _take_batch(self, batch: Batch) -> None:
        fold = self._folds.get(batch.run)
        if fold is None:
            return
        fold = self._folds[batch.run] = self._coming.pop(batch.run, fold)
        fold.add_lines(batch.events)
        (self.replaying.discard if batch.live else self.replaying.add)(batch.run)

    def _take_past(self, past: Past) -> None:
        if past.run not in self._folds:
            return
        if past.begins:
            self._coming[past.run] = RunFold(past.run)
        if past.run in self._coming:
            self.replaying.add(past.run)
            self._coming[past.run].take_past(past)

    def set_runs(self, runs: Iterable[RunRow]) -> None:
        """Take a list of runs that came as a reply."""
        self.runs, self.listed = tuple(runs), True
        self.version += 1

    def fold(self, run: str) -> RunFold:
        """The fold of a run, begun when there is none; the run asked for longest ago is let go beyond a few.

        Call it before watching a run: batches of a run that has no fold are ignored.
        """
        fold = self._folds.pop(run, None) or RunFold(run)
        self._folds[run] = fold
        while len(self._folds) > KEPT_FOLDS:
            oldest = next(iter(self._folds))
            del self._folds[oldest]
            self._coming.pop(oldest, None)
            self._dropped.append(oldest)
        return fold

    def take_dropped(self) -> list[str]:
        """The runs that were let go since the last call: whoever watches runs unwatches these."""
        dropped, self._dropped = [run for run in self._dropped if run not in self._folds], []
        return dropped

    def view(self, run: str) -> RunView:
        """The watched run as of now."""
        return self.fold(run).view()

    def row(self, run: str) -> RunRow | None:
        """The row of a run, None when the list does not have it."""
        return next((row for row in self.runs if row.id == run), None)

    def meant(self, run: str) -> RunRow | None:
        """The row a person means by an identifier, a name, or the beginning of an identifier, in this order."""
        ways: tuple[Callable[[RunRow], bool], ...] = (
            lambda row: row.id == run,
            lambda row: row.name == run,
            lambda row: row.id.startswith(run),
        )
        return next((row for way in ways for row in self.runs if way(row)), None)

    def queue(self) -> list[RunRow]:
        """Live runs first, then waiting jobs by position, then the others, newest first."""
        live = sorted((row for row in self.runs if row.state in LIVE_STATES), key=lambda row: row.created)
        waiting = sorted((row for row in self.runs if row.state in WAITING_STATES), key=lambda row: row.position)
        rest = [row for row in self.runs if row.state not in LIVE_STATES | WAITING_STATES]
        rest.sort(key=lambda row: row.finished or row.created, reverse=True)
        return live + waiting + rest

    def started(self) -> list[RunRow]:
        """The runs that have a history to look at, newest first."""
        past = WAITING_STATES | {"cancelled"}
        rows = [row for row in self.runs if row.kind != "test" and (row.step or row.state not in past)]
        return sorted(rows, key=lambda row: row.created, reverse=True)

    def current(self) -> RunRow | None:
        """The run a Monitor opens on: the live one, else the newest that has a history."""
        live = [row for row in self.runs if row.state in LIVE_STATES and row.kind != "test"]
        if live:
            return max(live, key=lambda row: row.created)
        return next(iter(self.started()), None)


def shown_state(row: RunRow | None, view: RunView | None) -> str:
    """The one state word of a run, from its row (queue, lock) and its journal.

    The row knows whether a process lives and wins at both ends of a run's life; in between the journal is fresher.
    """
    told = view.state if view is not None else ""
    if row is None:
        return told
    if row.state == "running" and told:
        return told
    if row.state == "starting" and told in ("running", "paused", "stopping"):
        return told
    if row.state in ("paused", "stopping") and told in ("done", "stopped", "failed"):
        return told
    return row.state
