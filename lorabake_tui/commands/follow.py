"""Follows one run to its end: replay, then live, as raw JSON lines or as words, and the exit code it deserves."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from engine.protocol.errors import ErrorInfo, describe
from engine.protocol.events import Finished, decode_event
from engine.protocol.messages import Batch, Past, Push, RunParams, RunsChanged, WatchParams
from engine.protocol.records import LIVE_STATES, WAITING_STATES, RunRow
from lorabake_tui.client import ClientError, EngineClient
from lorabake_tui.commands.exits import FAILED, INTERRUPTED, OK, complain
from lorabake_tui.commands.lines import Lines, made
from lorabake_tui.commands.panel import Panel, fits
from lorabake_tui.commands.session import converse
from lorabake_tui.commands.text import duration, steerable
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.outside import Outside
from lorabake_tui.store.run import RunFold
from lorabake_tui.widgets.plain import plain

_GOING = LIVE_STATES | WAITING_STATES
_OUTCOME_LOOKS = 10


class Follower:
    """One run, watched: `run` a coroutine function that ends in `until_end`."""

    def __init__(self, *, as_json: bool, quiet: bool = False, inline: bool = False) -> None:
        """With `quiet` nothing of the run is printed but its failure; `inline` draws ten lines in place of many, where
        the terminal has room."""
        self._as_json = as_json
        self._json = as_json and not quiet
        self._pushes: asyncio.Queue[Push | None] = asyncio.Queue()
        live = steerable(sys.stdout)
        self._outside = Outside(_to_terminal) if live and not (as_json or quiet) else None
        self._lines: Lines | Panel | None = None
        if not (as_json or quiet):
            self._lines = Panel() if inline and live and fits() else Lines(live=live)
        self.row: RunRow | None = None
        self._fold = RunFold("")
        self._caught_up = False
        self._at_finish = False
        self._ended = False

    def push(self, message: Push) -> None:
        """Take a push of the host, in order."""
        self._pushes.put_nowait(message)

    def lost(self) -> None:
        """The host ended by itself."""
        self._pushes.put_nowait(None)

    async def until_end(self, client: EngineClient, row: RunRow) -> int:
        """Print the run from its first event to its last; returns 0 done, 1 failed, 130 stopped or cancelled."""
        self.row = row
        if isinstance(self._lines, Panel):
            self._lines.name = row.name or row.id
        self._fold = RunFold(row.id)
        if self._outside is not None:
            self._outside.settings = await client.call("tell.get")
        self._take_rows(await client.call("runs.subscribe"))
        # Ten lines show a history at once; what is printed event by event needs every one.
        brief = isinstance(self._lines, Panel)
        watched: RunRow = await client.call("runs.watch", WatchParams(run=row.id, brief=brief))
        self.row = watched
        await self._until(self._over)
        if not self._ended and not self._at_finish:
            # The list said it before the journal did: read the journal's end before believing that all is told.
            self._caught_up = False
            await client.call("runs.watch", WatchParams(run=row.id, seq=self._fold.seq))
            await self._until(self._told_all)
        await client.call("runs.unwatch", RunParams(run=row.id))
        code = self._close()
        if code == OK and self._lines is not None and row.kind == "bake":
            await self._tell_outcome(client, row)
        return code

    async def _tell_outcome(self, client: EngineClient, row: RunRow) -> None:
        """The estimate beside the truth, which the worker writes just after its last event."""
        from lorabake_tui.commands.estimate import took

        for _attempt in range(_OUTCOME_LOOKS):
            found = await client.call("runs.outcome", RunParams(run=row.id))
            if found:
                print("\n".join(plain(line) for line in took(found[0])))
                return
            await asyncio.sleep(0.1)

    def run(self, work: Callable[[EngineClient], Awaitable[int]]) -> int:
        """Connect and do `work`, which ends in `until_end`; ctrl+c says goodbye."""
        try:
            return converse(work, as_json=self._as_json, on_push=self.push, on_lost=self.lost)
        except KeyboardInterrupt:
            return self._farewell()
        finally:
            if self._outside is not None:
                self._outside.close()

    def _farewell(self) -> int:
        """Ctrl+C while following: the run goes on, and how to come back to it."""
        if self._lines is not None:
            self._lines.clear()
        if self.row is not None and self.row.state in _GOING:
            run = self.row.id
            complain(
                _("{name} goes on without this viewer.").format(name=self.row.name or run),
                _("`lorabake watch {run}` follows it, `lorabake stop {run}` ends it.").format(run=run),
            )
        return INTERRUPTED

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._take(await self._pushes.get())

    def _take(self, message: Push | None) -> None:
        if message is None:
            raise ClientError(describe("engine_lost"))
        if isinstance(message, RunsChanged):
            self._take_rows(message.runs)
        elif isinstance(message, Past) and self.row is not None and message.run == self.row.id:
            self._take_past(message)
        elif isinstance(message, Batch) and self.row is not None and message.run == self.row.id:
            self._take_batch(message)

    def _over(self) -> bool:
        return self._ended or (self._caught_up and self.row is not None and self.row.state not in _GOING)

    def _told_all(self) -> bool:
        waiting_for_finish = self.row is not None and self.row.finished is not None
        return self._at_finish or (self._caught_up and not waiting_for_finish)

    def _take_past(self, past: Past) -> None:
        if past.begins:
            self._fold = RunFold(past.run)
        self._fold.take_past(past)
        newest = self._fold.newest
        self._at_finish = isinstance(newest, Finished)
        if self._lines is not None and newest is not None:
            self._lines.event(newest, self._fold)
        self._settle()

    def _settle(self) -> None:
        if isinstance(self._lines, Panel):
            self._lines.settle(self._fold)

    def _take_batch(self, batch: Batch) -> None:
        for raw in batch.events:
            line = bytes(raw)
            event = decode_event(line)
            new = event is not None and self._fold.add(event)
            if self._json and (new or event is None):
                sys.stdout.buffer.write(line + b"\n")
            if event is None or not new:
                continue
            if self._lines is not None:
                self._lines.event(event, self._fold)
            self._at_finish = isinstance(event, Finished)
            # The first live batch still holds the end of the history, where an earlier boot may have finished.
            self._ended = self._caught_up and self._at_finish
        if self._json:
            sys.stdout.buffer.flush()
        self._settle()
        self._caught_up = self._caught_up or batch.live

    def _take_rows(self, rows: list[RunRow]) -> None:
        mine = next((row for row in rows if self.row is not None and row.id == self.row.id), None)
        if mine is None:
            return
        self.row = mine
        if self._outside is not None:
            self._outside.runs([mine])
        if self._lines is None or mine.state not in WAITING_STATES:
            return
        ahead = next((row for row in rows if row.state in LIVE_STATES and row.id != mine.id), None)
        if mine.state == "held":
            self._lines.say(_("held; `lorabake queue start {run}` lets it go").format(run=mine.id))
        elif ahead is not None:
            text = _("waiting in the queue, place {place}, while {name} bakes")
            self._lines.say(plain(text.format(place=mine.position, name=ahead.name or ahead.id)))

    def _close(self) -> int:
        view, row = self._fold.view(), self.row
        assert row is not None
        finished = view.finished
        reason = finished.reason if finished is not None and self._at_finish else row.state
        if self._outside is not None:
            # The list's own word may come after the journal's last one.
            self._outside.runs([msgspec.structs.replace(row, state=reason)])
            self._outside.close()
        code = {"done": OK, "stopped": INTERRUPTED, "cancelled": INTERRUPTED}.get(reason, FAILED)
        if self._lines is not None:
            self._lines.clear()
            if reason in ("done", "stopped") and row.kind == "reg":
                drawn = finished.step if finished is not None else 0
                word = _("done") if reason == "done" else _("stopped")
                count = ngettext("{n} picture", "{n} pictures", drawn).format(n=drawn)
                where = plain(finished.out) if finished is not None else ""
                print(f"{word}: {plain(row.name or row.id)} · {count} · {where}")
            elif reason in ("done", "stopped") and row.kind in ("tag", "probe"):
                told_time = f" · {duration(finished.seconds)}" if finished is not None and finished.seconds else ""
                print(plain(f"{_('done') if reason == 'done' else _('stopped')}: {row.name or row.id}{told_time}"))
            elif reason in ("done", "stopped"):
                print(_ending(reason, row.name or row.id, view.epoch, view.step, finished))
                if finished is not None and finished.hint is not None:
                    print(plain(" ".join(told(finished.hint))))
            elif reason == "cancelled":
                print(_("{name} was cancelled.").format(name=plain(row.name or row.id)))
            out = finished.out if finished is not None and row.kind != "reg" else ""
            for line in made(view, Path(row.dir), out):
                print(line)
            if reason == "stopped":
                print(_("`lorabake resume {run}` goes on from there.").format(run=row.id))
        if code == FAILED:
            failure = view.error.error if view.error is not None else row.error
            _tell_failure(failure, row)
        return code


def _to_terminal(sequence: str) -> None:
    sys.stdout.write(sequence)
    sys.stdout.flush()


def _ending(reason: str, name: str, epoch: int, step: int, finished: Finished | None) -> str:
    steps = ngettext("{n} optimizer step", "{n} optimizer steps", step).format(n=step)
    epochs = ngettext("{n} epoch", "{n} epochs", epoch).format(n=epoch)
    time = f" · {duration(finished.seconds)}" if finished is not None and finished.seconds else ""
    word = _("done") if reason == "done" else _("stopped")
    return f"{word}: {plain(name)} · {epochs} · {steps}{time}"


def _tell_failure(failure: ErrorInfo | None, row: RunRow) -> None:
    if failure is None:
        complain(_("{name} failed.").format(name=row.name or row.id), _("Its folder is {dir}.").format(dir=row.dir))
    else:
        complain(*told(failure))
