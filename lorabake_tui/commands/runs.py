"""`lorabake runs | watch | stop | pause | resume`: what runs there are, and asking things of one."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.protocol.control import Action
from engine.protocol.messages import ControlParams, RunParams
from engine.protocol.records import LIVE_STATES, RunRow
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK
from lorabake_tui.commands.session import converse, fetch, print_json
from lorabake_tui.commands.text import duration, table
from lorabake_tui.i18n import _
from lorabake_tui.widgets import states
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient


def add_run(parser: argparse.ArgumentParser) -> None:
    """The argument that names a run, and `--json`."""
    parser.add_argument("run", metavar=_("RUN"), help=_("Identifier, the beginning of one, a name, or `last`."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _list(args: argparse.Namespace) -> int:
    return fetch("runs.list", None, show_runs, as_json=args.json)


def show_runs(rows: list[RunRow]) -> int:
    """Runs as a table, or a sentence where there are none."""
    if not rows:
        print(_("There are no runs yet. `lorabake demo` makes one."))
        return OK
    timed = any(row.starts is not None or row.when for row in rows)
    head = [_("id"), _("name"), _("state"), _("epoch"), _("step"), _("time left"), _("begun")]
    head += [_("starts"), _("ends")] if timed else []
    body = [
        [
            row.id,
            row.name,
            states.told(row.state) + (f" {row.position}" if row.position else ""),
            f"{row.epoch}/{row.epochs}" if row.epochs else "",
            f"{row.step}/{row.steps}" if row.steps else "",
            duration(row.eta_s) if row.eta_s is not None and row.state in LIVE_STATES else "",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(row.created)),
            *([row.when or _clock(row.starts), _clock(row.ends)] if timed else []),
        ]
        for row in rows
    ]
    print("\n".join(table(head, body, right=(3, 4, 5))))
    return OK


def _clock(moment: float | None) -> str:
    return time.strftime("%m-%d %H:%M", time.localtime(moment)) if moment is not None else ""


def _watch(args: argparse.Namespace) -> int:
    from lorabake_tui.commands.follow import Follower

    follower = Follower(as_json=args.json, inline=True)

    async def work(client: EngineClient) -> int:
        return await follower.until_end(client, await _row(client, args.run))

    return follower.run(work)


async def _row(client: EngineClient, run: str) -> RunRow:
    """The row of a run named by id, prefix, name or `last`."""
    job = await client.call("runs.job", RunParams(run=run))
    rows: list[RunRow] = await client.call("runs.list")
    return next(row for row in rows if row.id == job.id)


def act(method: str, params: RunParams | ControlParams, told: Callable[[RunRow], str], *, as_json: bool) -> int:
    """Ask one thing of a run and say that it was asked."""

    def show(row: RunRow) -> int:
        print(plain(told(row)))
        return OK

    return fetch(method, params, show, as_json=as_json)


def _stop_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--now", action="store_true", help=_("End at once, without finishing the step."))


def _stop(args: argparse.Namespace) -> int:
    action: Action = "stop_now" if args.now else "stop"
    return act(
        "runs.control",
        ControlParams(run=args.run, action=action),
        lambda row: _("{name} was asked to stop; what it made is kept.").format(name=row.name or row.id),
        as_json=args.json,
    )


def _pause(args: argparse.Namespace) -> int:
    return act(
        "runs.control",
        ControlParams(run=args.run, action="pause"),
        lambda row: _("{name} was asked to pause; `lorabake resume {run}` lets it go on.").format(
            name=row.name or row.id, run=row.id
        ),
        as_json=args.json,
    )


def _resume(args: argparse.Namespace) -> int:
    async def work(client: EngineClient) -> int:
        row = await _row(client, args.run)
        if row.state == "paused":
            row = await client.call("runs.control", ControlParams(run=row.id, action="resume"))
        else:
            row = await client.call("runs.resume", RunParams(run=row.id))
        if args.json:
            print_json(row)
        else:
            text = _("{name} goes on; `lorabake watch {run}` follows it.")
            print(plain(text.format(name=row.name or row.id, run=row.id)))
        return OK

    return converse(work, as_json=args.json)


COMMANDS = {
    "runs": Spec(_list_arguments, _list, "lorabake runs --json"),
    "watch": Spec(add_run, _watch, "lorabake watch last"),
    "stop": Spec(_stop_arguments, _stop, "lorabake stop last --now"),
    "pause": Spec(add_run, _pause, "lorabake pause last"),
    "resume": Spec(add_run, _resume, "lorabake resume last"),
}
