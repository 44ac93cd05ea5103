"""`lorabake models | params`: what there is to choose from."""

from __future__ import annotations

import argparse
import shutil

from engine.protocol import fields
from engine.protocol.records import ModelRow
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK
from lorabake_tui.commands.session import fetch, print_json
from lorabake_tui.commands.text import pairs, size, table
from lorabake_tui.i18n import _
from lorabake_tui.widgets.plain import plain, wrap


def _json_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _models(args: argparse.Namespace) -> int:
    def show(rows: list[ModelRow]) -> int:
        head = [_("name"), _("kind"), _("family"), _("here"), _("size"), _("licence"), _("title")]
        body = [
            [
                row.name,
                row.kind,
                row.family,
                _("yes") if row.present else _("no"),
                size(row.bytes) if row.bytes else "",
                row.licence,
                row.title,
            ]
            for row in rows
        ]
        print("\n".join(table(head, body, right=(4,))))
        return OK

    return fetch("models.list", None, show, as_json=args.json)


def _params_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar=_("NAME"), help=_("Explain this parameter only."))
    _json_only(parser)


def _params(args: argparse.Namespace) -> int:
    chosen = [fields.field(args.name)] if args.name else list(fields.fields().values())
    if args.json:
        print_json(chosen[0] if args.name else chosen)
    elif args.name:
        print("\n".join(_explained(chosen[0])))
    else:
        print("\n".join(_listed(chosen)))
    return OK


def _listed(chosen: list[fields.Field]) -> list[str]:
    head = [_("name"), _("default"), _("allowed"), _("title")]
    groups: dict[str, list[fields.Field]] = {}
    for field in chosen:
        groups.setdefault(field.group, []).append(field)
    lines: list[str] = []
    body = [[f.name, _word(f.default), f.allowed, _(f.title)] for rows in groups.values() for f in rows]
    printed = table(head, body, right=(1,))
    lines.append("  " + printed[0])
    place = 1
    for group, rows in groups.items():
        lines += ["", _(group)]
        lines += ["  " + line for line in printed[place : place + len(rows)]]
        place += len(rows)
    return [*lines, "", _("`lorabake params NAME` explains one.")]


def _explained(field: fields.Field) -> list[str]:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    facts = [
        (_("default"), _word(field.default)),
        (_("allowed"), field.allowed),
        (_("unit"), _(field.unit)),
        (_("group"), _(field.group)),
        (_("level"), _(field.level)),
        (_("families"), ", ".join(field.families)),
        (_("in kohya"), field.kohya),
    ]
    shown = [(name, told) for name, told in facts if told]
    return [f"{field.name} · {_(field.title)}", "", *wrap(_(field.help), width), "", *pairs(shown, width=width)]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(f"{value:g}" if isinstance(value, float) else str(value))


COMMANDS = {
    "models": Spec(_json_only, _models, "lorabake models"),
    "params": Spec(_params_arguments, _params, "lorabake params network_dim"),
}
