"""`lorabake doctor`: what the engine finds about this machine, one line a check."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from rich.cells import cell_len

from engine.protocol.records import DoctorReport
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import FAILED, OK
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import paint
from lorabake_tui.i18n import N_, _
from lorabake_tui.widgets.plain import fit, plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_STATES = {
    "ok": ("✓", N_("ok"), "green"),
    "warn": ("!", N_("note"), "yellow"),
    "fail": ("✗", N_("fails"), "red"),
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _run(args: argparse.Namespace) -> int:
    async def work(client: EngineClient) -> int:
        report: DoctorReport = await client.call("doctor")
        if args.json:
            print_json(report)
        else:
            print("\n".join(_lines(report)))
        return FAILED if any(check.state == "fail" for check in report.checks) else OK

    return converse(work, as_json=args.json)


def _lines(report: DoctorReport) -> list[str]:
    wide = max((cell_len(_(check.name)) for check in report.checks), default=0)
    state_wide = max(cell_len(_(word)) for _sign, word, _style in _STATES.values())
    lines = []
    for check in report.checks:
        sign, word, style = _STATES[check.state]
        state = paint(f"{sign} {fit(_(word), state_wide)}", style, sys.stdout)
        lines.append(f"{state}  {fit(_(check.name), wide)}  {plain(_(check.text))}")
        if check.hint and check.state != "ok":
            lines.append(f"{'':{state_wide + 2}}  {'':{wide}}  {plain(_(check.hint))}")
    return lines


COMMANDS = {"doctor": Spec(_arguments, _run, "lorabake doctor")}
