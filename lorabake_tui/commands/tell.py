"""`lorabake tell`: who hears that a bake ended, failed or stalled: the terminal, a command, a webhook."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, get_args

import msgspec

from engine.protocol.telling import Moment, TellReport, TellSettings
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import FAILED, OK, USAGE, Exit, complain
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import pairs
from lorabake_tui.i18n import _
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_MOMENTS: tuple[str, ...] = get_args(Moment)
_ON_OFF = ("on", "off")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--command", default=None, metavar=_("LINE"), help=_("A shell line that gets JSON on its input; '' for none.")
    )
    parser.add_argument(
        "--webhook", default=None, metavar="URL", help=_("An address that JSON is posted to; '' for none.")
    )
    on_off = "|".join(_ON_OFF)
    parser.add_argument(
        "--bell", choices=_ON_OFF, default=None, metavar=on_off, help=_("Ring the terminals that show LoRABake.")
    )
    parser.add_argument(
        "--desktop",
        choices=_ON_OFF,
        default=None,
        metavar=on_off,
        help=_("Ask these terminals for a notification."),
    )
    parser.add_argument("--on", default=None, metavar=",".join(_MOMENTS), help=_("When to tell."))
    parser.add_argument("--test", action="store_true", help=_("Try command and webhook now."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _run(args: argparse.Namespace) -> int:
    changes = {name: getattr(args, name) for name in ("command", "webhook") if getattr(args, name) is not None}
    changes |= {name: getattr(args, name) == "on" for name in ("bell", "desktop") if getattr(args, name) is not None}
    if args.on is not None:
        words = tuple(word for word in args.on.replace(",", " ").split())
        if unknown := [word for word in words if word not in _MOMENTS]:
            complain(
                _("{word} is no moment to tell of.").format(word=unknown[0]),
                _("There are: {names}.").format(names=", ".join(_MOMENTS)),
            )
            raise Exit(USAGE)
        changes["on"] = words

    async def work(client: EngineClient) -> int:
        settings: TellSettings = await client.call("tell.get")
        if changes:
            settings = await client.call("tell.set", msgspec.structs.replace(settings, **changes))
        if not args.test:
            print_json(settings) if args.json else print("\n".join(_lines(settings)))
            return OK
        report: TellReport = await client.call("tell.test")
        if args.json:
            print_json(report)
        else:
            print(
                "\n".join(pairs([(_("command"), plain(report.command or "–")), (_("webhook"), report.webhook or "–")]))
            )
        return OK if {report.command, report.webhook} <= {"", "ok"} else FAILED

    return converse(work, as_json=args.json)


def _lines(settings: TellSettings) -> list[str]:
    rows = [
        (_("command"), plain(settings.command) or "–"),
        (_("webhook"), plain(settings.webhook) or "–"),
        (_("bell"), _("on") if settings.bell else _("off")),
        (_("desktop"), _("on") if settings.desktop else _("off")),
        (_("when"), ", ".join(settings.on)),
    ]
    return pairs(rows)


COMMANDS = {"tell": Spec(_arguments, _run, "lorabake tell --command 'mail -s LoRABake me' --test")}
