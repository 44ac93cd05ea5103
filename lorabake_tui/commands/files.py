"""What changes the files of a dataset: `lorabake add`, `remove`, `mirror`, `split`, `undo`; and `sheet`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, get_args

from engine.protocol.datasets import (
    DEFAULT_LIMIT,
    AddHow,
    AddParams,
    AddReport,
    ChangeKind,
    ChangeReport,
    FlipParams,
    ImagesParams,
    MirrorParams,
    SheetParams,
    SplitParams,
    TrashReport,
    UndoParams,
)
from engine.protocol.messages import PathParams
from lorabake_tui.commands import Spec, found
from lorabake_tui.commands.exits import FAILED, OK, USAGE, Exit, complain
from lorabake_tui.commands.options import absolute
from lorabake_tui.commands.progress import ProgressLine
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import paint, size, table
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

KINDS: dict[str, str] = {
    "fix": N_("fixed"),
    "add": N_("added"),
    "remove": N_("removed"),
    "mirror": N_("mirrored"),
    "split": N_("split"),
    "crop": N_("cropped"),
    "repeat": N_("repeat set"),
    "flip": N_("mirrored views set"),
    "mark": N_("marked"),
}
"""Kind of a round of changes → what was done to its images."""


def _talk(args: argparse.Namespace, work: Callable[[EngineClient, ProgressLine], Awaitable[int]]) -> int:
    """A conversation with a line of progress."""
    line = ProgressLine()
    return converse(lambda client: work(client, line), as_json=args.json, on_push=None if args.json else line.push)


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar=_("FOLDER"), help=_("The folder of training images."))


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _tell(report: Any, shown: list[str], args: argparse.Namespace, *, failed: bool) -> int:
    if args.json:
        print_json(report)
    else:
        print("\n".join(shown))
    return FAILED if failed else OK


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar=_("FOLDER"), help=_("The dataset; made where it is missing."))
    parser.add_argument("sources", nargs="+", metavar=_("SOURCE"), help=_("Images, folders and zip archives."))
    parser.add_argument(
        "--how",
        choices=get_args(AddHow),
        default="copy",
        help=_("As copies, as hard links, or in place: linked to where they are and stay."),
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=DEFAULT_LIMIT,
        metavar=_("COUNT"),
        help=_("How many images the dataset may hold; 0 for any number."),
    )
    _json(parser)


def _add(args: argparse.Namespace) -> int:
    asked = AddParams(
        path=absolute(args.folder),
        sources=[absolute(source) for source in args.sources],
        how=args.how,
        limit=args.limit,
    )

    async def work(client: EngineClient, line: ProgressLine) -> int:
        report: AddReport = await client.call("dataset.add", asked)
        line.clear()
        shown = [*found.lines(report.notices, failed=False), *found.lines(report.skipped, failed=True)]
        count = ngettext("{count} image added, {all} in all.", "{count} images added, {all} in all.", report.added)
        shown.append(count.format(count=report.added, all=report.images))
        return _tell(report, shown, args, failed=bool(report.skipped))

    return _talk(args, work)


def _choice_arguments(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    found.add_choice(parser)
    _json(parser)


def _remove(args: argparse.Namespace) -> int:
    path = absolute(args.folder)

    async def work(client: EngineClient, line: ProgressLine) -> int:
        names = await found.chosen(client, path, args)
        if not names:
            complain(_("Name the images to remove."), _("For example `lorabake remove FOLDER 'blurry*'`."))
            raise Exit(USAGE)
        report = await client.call("dataset.remove", ImagesParams(path=path, images=names))
        line.clear()
        one = N_("{count} image is in the dataset's trash; `lorabake undo` brings it back.")
        many = N_("{count} images are in the dataset's trash; `lorabake undo` brings them back.")
        return _tell(report, _changed(report, one, many), args, failed=bool(report.failed))

    return _talk(args, work)


def _changed(report: ChangeReport, one: str, many: str) -> list[str]:
    shown = [f"{paint('+', 'green', sys.stdout)} {plain(name)}" for name in report.made[:40]]
    shown += found.lines(report.notices, failed=False) + found.lines(report.failed, failed=True)
    return [*shown, ngettext(one, many, report.count).format(count=report.count)]


def _augment_arguments(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    found.add_choice(parser)
    parser.add_argument(
        "--repeat", type=int, default=None, metavar=_("COUNT"), help=_("The repeat of what is made; else as it was.")
    )
    _json(parser)


def _mirror_arguments(parser: argparse.ArgumentParser) -> None:
    _augment_arguments(parser)
    parser.add_argument(
        "--views",
        choices=["on", "off"],
        default="",
        help=_("Write no files: let the images train mirrored as well (on), or no longer (off)."),
    )


def _mirror(args: argparse.Namespace) -> int:
    path = absolute(args.folder)

    async def work(client: EngineClient, line: ProgressLine) -> int:
        names = await found.chosen(client, path, args)
        if args.views:
            names = names or [row.name for row in await found.every_row(client, path)]
            asked = FlipParams(path=path, images=names, on=args.views == "on", repeat=args.repeat)
            report = await client.call("dataset.flip", asked)
            line.clear()
            on = (N_("{count} image trains mirrored as well."), N_("{count} images train mirrored as well."))
            off = (N_("{count} image trains as it is."), N_("{count} images train as they are."))
            one, many = on if args.views == "on" else off
            shown = found.lines(report.notices, failed=False)
            shown.append(ngettext(one, many, len(names)).format(count=len(names)))
            return _tell(report, shown, args, failed=False)
        made = await client.call("dataset.mirror", MirrorParams(path=path, images=names, repeat=args.repeat))
        line.clear()
        shown = _changed(made, N_("{count} image mirrored."), N_("{count} images mirrored."))
        return _tell(made, shown, args, failed=bool(made.failed))

    return _talk(args, work)


def _split_arguments(parser: argparse.ArgumentParser) -> None:
    _augment_arguments(parser)
    parser.add_argument("--size", default="", metavar=_("WxH"), help=_("The shape of a part; squares otherwise."))
    parser.add_argument(
        "--overlap", type=float, default=0.2, metavar=_("SHARE"), help=_("What neighbours share of a part, 0 to 0.9.")
    )
    parser.add_argument(
        "--ratio",
        type=float,
        default=1.5,
        metavar=_("RATIO"),
        help=_("Split only pictures that are this many times longer than a part."),
    )


def _split(args: argparse.Namespace) -> int:
    path = absolute(args.folder)

    async def work(client: EngineClient, line: ProgressLine) -> int:
        asked = SplitParams(
            path=path,
            images=await found.chosen(client, path, args),
            size=args.size,
            overlap=args.overlap,
            ratio=args.ratio,
            repeat=args.repeat,
        )
        report = await client.call("dataset.split", asked)
        line.clear()
        shown = _changed(report, N_("{count} image split."), N_("{count} images split."))
        return _tell(report, shown, args, failed=bool(report.failed))

    return _talk(args, work)


def _undo_arguments(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    parser.add_argument(
        "--kind", choices=get_args(ChangeKind), default="", help=_("The last change of this kind, not the last of all.")
    )
    parser.add_argument("--list", action="store_true", help=_("Change nothing; list what can be taken back."))
    _json(parser)


def _undo(args: argparse.Namespace) -> int:
    path = absolute(args.folder)

    async def work(client: EngineClient, line: ProgressLine) -> int:
        if args.list:
            rows = await client.call("dataset.history", PathParams(path=path))
            body = [
                [time.strftime("%Y-%m-%d %H:%M", time.localtime(row.t)), str(row.count), _(KINDS[row.kind])]
                for row in rows
            ]
            return _tell(rows, table([_("when"), _("images"), _("what")], body, right=(1,)), args, failed=False)
        report = await client.call("dataset.undo", UndoParams(path=path, kind=args.kind))
        line.clear()
        one, many = N_("Taken back: {count} image {what}."), N_("Taken back: {count} images {what}.")
        words = ngettext(one, many, report.change.count)
        shown = found.lines(report.failed, failed=True)
        shown.append(words.format(count=report.change.count, what=_(KINDS[report.change.kind])))
        return _tell(report, shown, args, failed=bool(report.failed))

    return _talk(args, work)


def _trash_arguments(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    parser.add_argument(
        "--empty", action="store_true", help=_("Throw away what is in it, for good; without this it is only looked at.")
    )
    _json(parser)


def _trash(args: argparse.Namespace) -> int:
    path = absolute(args.folder)

    async def work(client: EngineClient, line: ProgressLine) -> int:
        method = "dataset.empty_trash" if args.empty else "dataset.trash"
        report: TrashReport = await client.call(method, PathParams(path=path))
        line.clear()
        held = ngettext("{count} file, {size}", "{count} files, {size}", report.files)
        shown = held.format(count=report.files, size=size(report.bytes))
        if args.empty:
            shown = _("Thrown away: {what}.").format(what=shown)
        elif report.rounds:
            rounds = ngettext(
                "{count} change can be taken back only while they are there; --empty throws them away.",
                "{count} changes can be taken back only while they are there; --empty throws them away.",
                report.rounds,
            )
            shown += ". " + rounds.format(count=report.rounds)
        return _tell(report, [shown], args, failed=False)

    return _talk(args, work)


def _sheet_arguments(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    found.add_choice(parser)
    parser.add_argument("--out", default="", metavar=_("FILE"), help=_("The PNG file; else one in the cache."))
    parser.add_argument("--columns", type=int, default=8, metavar=_("COUNT"), help=_("Pictures in a row."))
    parser.add_argument("--cell", type=int, default=192, metavar=_("PIXELS"), help=_("The side of a picture."))
    _json(parser)


def _sheet(args: argparse.Namespace) -> int:
    path = absolute(args.folder)

    async def work(client: EngineClient, line: ProgressLine) -> int:
        names = await found.chosen(client, path, args)
        asked = SheetParams(path=path, images=names, out=absolute(args.out), columns=args.columns, cell=args.cell)
        report = await client.call("dataset.sheet", asked)
        line.clear()
        return _tell(report, [plain(file) for file in report.files], args, failed=False)

    return _talk(args, work)


COMMANDS = {
    "add": Spec(_add_arguments, _add, "lorabake add ~/datasets/mira ~/pictures/new mira.zip"),
    "remove": Spec(_choice_arguments, _remove, "lorabake remove ~/datasets/mira 'blurry*'"),
    "mirror": Spec(_mirror_arguments, _mirror, "lorabake mirror ~/datasets/mira --views on"),
    "split": Spec(_split_arguments, _split, "lorabake split ~/datasets/mira --size 512x512 --repeat 2"),
    "undo": Spec(_undo_arguments, _undo, "lorabake undo ~/datasets/mira"),
    "trash": Spec(_trash_arguments, _trash, "lorabake trash ~/datasets/mira"),
    "sheet": Spec(_sheet_arguments, _sheet, "lorabake sheet ~/datasets/mira --out sheet.png"),
}
