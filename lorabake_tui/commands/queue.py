"""`lorabake queue list | move | hold | start | cancel | plan | retry | duplicate`: the jobs that wait."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from engine.protocol.messages import Branch, MoveParams, RunParams, ScheduleParams
from engine.protocol.records import LIVE_STATES, WAITING_STATES, RunRow
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK, USAGE, Exit, complain
from lorabake_tui.commands.runs import act, show_runs
from lorabake_tui.commands.session import converse, fetch, print_json
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_ACTIONS = ("list", "move", "hold", "start", "cancel", "plan", "retry", "duplicate")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=_ACTIONS, metavar="|".join(_ACTIONS), help=_("What to do."))
    parser.add_argument("run", nargs="?", default="", metavar=_("RUN"), help=_("The job; not for list."))
    parser.add_argument(
        "--by", type=int, default=-1, metavar=_("PLACES"), help=_("How far to move; negative is towards the front.")
    )
    parser.add_argument(
        "--when",
        default=None,
        metavar=_("TIME"),
        help=_("For plan: 22:30, +2h, 22:00-07:00, with ` pause` to stand still outside of them; '' for at once."),
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=None,
        metavar=_("TIMES"),
        help=_("For plan: how often a worker that dies is replaced."),
    )
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _run(args: argparse.Namespace) -> int:
    if args.action == "list":
        return _list(as_json=args.json)
    if not args.run:
        complain(
            _("Which run? `queue {action}` needs one.").format(action=args.action),
            _("`lorabake queue list` shows them."),
        )
        raise Exit(USAGE)
    if args.action == "move":
        wanted = MoveParams(run=args.run, by=args.by)
        return fetch("queue.move", wanted, lambda row: _say(_moved(row)), as_json=args.json)
    if args.action == "plan":
        planned = ScheduleParams(run=args.run, when=args.when, retries=args.retries)
        return fetch("queue.plan", planned, lambda row: _say(_planned(row)), as_json=args.json)
    if args.action == "duplicate":
        return fetch("runs.branch", Branch(run=args.run), lambda row: _say(_moved(row)), as_json=args.json)
    if args.action == "retry":
        return act("runs.resume", RunParams(run=args.run), _TOLD["start"], as_json=args.json)
    return act(f"queue.{args.action}", RunParams(run=args.run), _TOLD[args.action], as_json=args.json)


def _list(*, as_json: bool) -> int:
    async def work(client: EngineClient) -> int:
        rows: list[RunRow] = await client.call("runs.list")
        live = [row for row in rows if row.state in LIVE_STATES]
        waiting = sorted((row for row in rows if row.state in WAITING_STATES), key=lambda row: row.position)
        if as_json:
            print_json([*live, *waiting])
        elif live or waiting:
            show_runs([*live, *waiting])
        else:
            print(_("The queue is empty."))
        return OK

    return converse(work, as_json=as_json)


def _moved(row: RunRow) -> str:
    return _("{name} is at place {place} of the queue.").format(name=row.name or row.id, place=row.position)


def _planned(row: RunRow) -> str:
    when = row.when or _("at once")
    words = _("{name} is held; once let go it starts {when}.") if row.state == "held" else _("{name} starts {when}.")
    told = words.format(name=row.name or row.id, when=when)
    if row.retries:
        again = ngettext(
            "A worker that dies is replaced once.", "A worker that dies is replaced {n} times.", row.retries
        )
        told += " " + again.format(n=row.retries)
    return told


def _say(text: str) -> int:
    print(plain(text))
    return OK


_TOLD = {
    "hold": lambda row: _("{name} is held; `lorabake queue start {run}` lets it go.").format(
        name=row.name or row.id, run=row.id
    ),
    "start": lambda row: _("{name} may start when its turn comes.").format(name=row.name or row.id),
    "cancel": lambda row: _("{name} was cancelled.").format(name=row.name or row.id),
}

COMMANDS = {
    "queue": Spec(
        _arguments,
        _run,
        "lorabake queue list\nlorabake queue move 3f2a --by -2\nlorabake queue plan 3f2a --when 22:00-07:00",
    ),
}
