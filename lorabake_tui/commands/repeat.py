"""`lorabake repeat`: how often each image is seen, by image, mark and folder; `lorabake mark` groups images."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import msgspec

from engine.protocol.datasets import GroupViews, MarkParams, PlanParams, PlanTable, RepeatParams
from engine.protocol.records import ImageRow
from lorabake_tui.commands import Spec, found
from lorabake_tui.commands.exits import OK, USAGE, Exit, complain
from lorabake_tui.commands.options import absolute, add_sets, set_parameters
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import table
from lorabake_tui.i18n import _, ngettext

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_ROWS = 60


def _repeat_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar=_("FOLDER"), help=_("The folder of training images."))
    found.add_choice(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--to", type=int, default=None, metavar=_("COUNT"), help=_("The repeat; 0 leaves images out."))
    what.add_argument("--clear", action="store_true", help=_("Take the repeat away again."))
    parser.add_argument("--mark", default="", metavar=_("LETTER"), help=_("Everything with this mark."))
    parser.add_argument(
        "--in", dest="below", default="", metavar=_("FOLDER"), help=_("Everything in this folder of it.")
    )
    parser.add_argument("--reg", default="", metavar=_("FOLDER"), help=_("A folder of regularisation images."))
    add_sets(parser, _("List for a bake with this parameter, for example repeat=10; may be given many times."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _repeat(args: argparse.Namespace) -> int:
    path, params = absolute(args.folder), set_parameters(args.sets)
    changes = args.clear or args.to is not None

    async def work(client: EngineClient) -> int:
        names = await found.chosen(client, path, args)
        if changes:
            if not (names or args.mark or args.below):
                complain(
                    _("Name the images, a --mark or a folder (--in)."),
                    _("The repeat of all others is `--set repeat=…`."),
                )
                raise Exit(USAGE)
            repeat = None if args.clear else args.to
            asked = RepeatParams(path=path, repeat=repeat, images=names, mark=args.mark, folder=args.below)
            await client.call("dataset.repeat", asked)
        plan: PlanTable = await client.call(
            "dataset.plan", PlanParams(path=path, reg=absolute(args.reg), params=params)
        )
        rows = await found.every_row(client, path)
        if args.json:
            print_json(_document(plan, rows))
        else:
            print("\n".join(_lines(plan, rows)))
        return OK

    return converse(work, as_json=args.json)


def _document(plan: PlanTable, rows: list[ImageRow]) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(plan)
    del document["bucket"], document["enlarged"]
    document["views"] = [
        {
            "file": row.name,
            "repeat": row.repeat,
            "own": row.own_repeat,
            "marks": row.marks,
            "flip": row.flip,
            "views": n,
        }
        for row, n in zip(rows, plan.views, strict=False)
    ]
    return document


def _lines(plan: PlanTable, rows: list[ImageRow]) -> list[str]:
    head = [_("name"), _("repeat"), _("image views"), _("marks"), _("mirrored")]
    body = [
        [row.name, _number(row.repeat), str(n), row.marks, _("yes") if row.flip else ""]
        for row, n in zip(rows[:_ROWS], plan.views, strict=False)
    ]
    lines = table(head, body, right=(1, 2))
    if len(rows) > _ROWS:
        lines.append(_("… and {count} more; --json lists all.").format(count=len(rows) - _ROWS))
    lines += ["", *_groups(_("folder"), plan.folders)]
    if plan.marks:
        lines += ["", *_groups(_("mark"), plan.marks)]
    counts = _("{views} image views in {epochs} epochs, {steps} steps per epoch, {total} in all")
    lines += [
        "",
        counts.format(
            views=plan.image_views, epochs=plan.epochs, steps=plan.steps_per_epoch, total=plan.optimizer_steps
        ),
    ]
    if plan.reg is not None:
        use = _("regularisation: {used} images give {views} views an epoch, {repeated} repeated, {unused} unused")
        lines.append(use.format(**msgspec.to_builtins(plan.reg)))
    return lines


def _groups(title: str, groups: list[GroupViews]) -> list[str]:
    head = [title, _("repeat"), _("images"), _("image views")]
    body = [[row.name, _number(row.repeat), str(row.images), str(row.views)] for row in groups]
    return table(head, body, right=(1, 2, 3))


def _number(repeat: int | None) -> str:
    return "–" if repeat is None else str(repeat)


def _mark_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar=_("FOLDER"), help=_("The folder of training images."))
    parser.add_argument("mark", metavar=_("LETTER"), help=_("The mark: one letter or digit."))
    found.add_choice(parser)
    parser.add_argument("--off", action="store_true", help=_("Take the mark away."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _mark(args: argparse.Namespace) -> int:
    path = absolute(args.folder)

    async def work(client: EngineClient) -> int:
        names = await found.chosen(client, path, args)
        if not names:
            complain(_("Name the images to mark."), _("For example `lorabake mark FOLDER f 'front/*'`."))
            raise Exit(USAGE)
        asked = MarkParams(path=path, images=names, mark=args.mark, on=not args.off)
        report = await client.call("dataset.mark", asked)
        if args.json:
            print_json(report)
        else:
            words = ngettext("{count} image changed.", "{count} images changed.", len(names))
            print(words.format(count=len(names)))
        return OK

    return converse(work, as_json=args.json)


COMMANDS = {
    "repeat": Spec(_repeat_arguments, _repeat, "lorabake repeat ~/datasets/mira --mark f --to 12"),
    "mark": Spec(_mark_arguments, _mark, "lorabake mark ~/datasets/mira f 'front/*'"),
}
