"""`lorabake presets`: list, show, compare, save, take over, write out and forget presets."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from engine.protocol import fields
from engine.protocol.messages import ImportPreset, PathParams, PresetParams, SavePreset
from engine.protocol.params import BakeParams
from engine.protocol.params_toml import scalar
from engine.protocol.recipes import Recipe, WriteRecipe
from engine.protocol.records import PresetRow
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK, USAGE, Exit, complain
from lorabake_tui.commands.options import absolute, add_sets, foreign, parameters
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import table
from lorabake_tui.i18n import N_, _, told
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_ACTIONS = ("list", "show", "diff", "save", "import", "export", "remove")
_OUTCOMES = {"mapped": N_("mapped"), "ignored": N_("ignored"), "refused": N_("refused")}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", default="list", choices=_ACTIONS, metavar="|".join(_ACTIONS), help=_("What to do.")
    )
    parser.add_argument(
        "name", nargs="?", default="", metavar=_("NAME|FILE"), help=_("The preset, or for import a file.")
    )
    parser.add_argument(
        "other", nargs="?", default="", metavar=_("OTHER"), help=_("diff: compare with this preset. export: the file.")
    )
    parser.add_argument("--preset", default="", metavar=_("NAME"), help=_("save: start from this preset."))
    parser.add_argument("--title", default="", metavar=_("TEXT"), help=_("save: what it is called in lists."))
    parser.add_argument("--as", dest="new", default="", metavar=_("NAME"), help=_("import: keep it under this name."))
    parser.add_argument(
        "--from", dest="file", default="", metavar=_("FILE"), help=_("save: take parameters from this file.")
    )
    add_sets(parser, _("Set one parameter."))
    parser.add_argument("--force", action="store_true", help=_("Write over what is there."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _run(args: argparse.Namespace) -> int:
    if args.action != "list" and not args.name:
        complain(_("`presets {action}` needs a name.").format(action=args.action), _("`lorabake presets` lists them."))
        raise Exit(USAGE)
    work = {
        "list": _list,
        "show": _show,
        "diff": _diff,
        "save": _save,
        "import": _import,
        "export": _export,
        "remove": _remove,
    }[args.action]
    return converse(lambda client: work(client, args), as_json=args.json)


async def _list(client: EngineClient, args: argparse.Namespace) -> int:
    rows: list[PresetRow] = await client.call("presets.list")
    if args.json:
        print_json(rows)
        return OK
    head = [_("name"), _("family"), _("image views"), _("bases"), _("title")]
    body = [
        [row.name, row.family, str(row.views or ""), ", ".join(row.bases), _(row.title) + (" *" if row.own else "")]
        for row in rows
    ]
    print("\n".join(table(head, body, right=(2,))))
    if any(row.own for row in rows):
        print(_("* your own"))
    return OK


async def _show(client: EngineClient, args: argparse.Namespace) -> int:
    found = await client.call("presets.text", PresetParams(name=args.name))
    if args.json:
        print_json(found)
    else:
        print("\n".join(plain(line) for line in found.text.rstrip("\n").splitlines()))
    return OK


async def _diff(client: EngineClient, args: argparse.Namespace) -> int:
    """Against another preset, or against the defaults."""
    one = fields.build((await _written(client, args.name)).params, parameters(args))
    other = fields.build((await _written(client, args.other)).params) if args.other else BakeParams()
    changed = fields.changed(one, other)
    rows = [{"name": name, "value": value, "other": getattr(other, name)} for name, value in changed.items()]
    if args.json:
        print_json(rows)
    elif not rows:
        print(_("They say the same."))
    else:
        head = [_("parameter"), plain(args.name), plain(args.other) or _("default"), _("title")]
        body = [
            [name, scalar(value), scalar(getattr(other, name)), _(fields.field(name).title)]
            for name, value in changed.items()
        ]
        print("\n".join(table(head, body, right=(1, 2))))
    return OK


async def _written(client: EngineClient, name: str) -> PresetRow:
    rows: list[PresetRow] = await client.call("presets.list")
    found = next((row for row in rows if row.name == name), None)
    row: PresetRow = found or await client.call("presets.resolve", PresetParams(name=name))
    return row


async def _save(client: EngineClient, args: argparse.Namespace) -> int:
    values: dict[str, Any] = {}
    if args.file and foreign(args.file):
        values = (await client.call("recipes.read", PathParams(path=absolute(args.file)))).params
    values |= parameters(args)
    wanted = SavePreset(name=args.name, preset=args.preset, params=values, title=args.title, force=args.force)
    return _saved(await client.call("presets.save", wanted), as_json=args.json)


async def _import(client: EngineClient, args: argparse.Namespace) -> int:
    wanted = ImportPreset(path=absolute(args.name), name=args.new, force=args.force)
    found = await client.call("presets.import", wanted)
    if args.json:
        print_json(found)
        return OK
    tell_recipe(found.recipe, whole=True)
    return _saved(found.row, as_json=False)


def _saved(row: PresetRow, *, as_json: bool) -> int:
    if as_json:
        print_json(row)
    else:
        print(plain(_("{name} is kept. `lorabake bake --preset {name}` bakes with it.").format(name=row.name)))
    return OK


async def _export(client: EngineClient, args: argparse.Namespace) -> int:
    """A configuration of sd-scripts."""
    if not args.other:
        complain(_("Into which file?"), "lorabake presets export anime.sdxl recipe.toml")
        raise Exit(USAGE)
    values = {**(await _written(client, args.name)).params, **parameters(args)}
    wanted = WriteRecipe(out=absolute(args.other), params=values, overwrite=args.force)
    found = await client.call("recipes.write", wanted)
    if args.json:
        print_json(found)
        return OK
    print(plain(found.path))
    if found.left_out:
        print(_("Without a word in it: {names}.").format(names=", ".join(found.left_out)))
    return OK


async def _remove(client: EngineClient, args: argparse.Namespace) -> int:
    await client.call("presets.remove", PresetParams(name=args.name))
    if not args.json:
        print(plain(_("{name} is forgotten.").format(name=args.name)))
    return OK


def tell_recipe(recipe: Recipe, *, whole: bool = False) -> None:
    """What became of the keys of a file, on stderr: how many of each, and those that were refused; all if `whole`."""
    counts = {outcome: sum(row.outcome == outcome for row in recipe.rows) for outcome in _OUTCOMES}
    said = ", ".join(f"{count} {_(_OUTCOMES[outcome])}" for outcome, count in counts.items())
    print(plain(f"{recipe.format}: {said}"), file=sys.stderr)
    for row in recipe.rows:
        if whole or row.outcome == "refused":
            message = " ".join(told(row.why)) if row.why is not None else row.to
            print(plain(f"  {_(_OUTCOMES[row.outcome])}  {row.key}  {message}"), file=sys.stderr)


COMMANDS = {
    "presets": Spec(
        _arguments,
        _run,
        "lorabake presets save mine --preset anime.sdxl --set network_dim=32\nlorabake presets import ~/mira.json",
    ),
}
