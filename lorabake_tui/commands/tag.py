"""`lorabake tag`: let taggers write the captions of a dataset, or make other captions of the scores they left."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, get_args

import msgspec

from engine.protocol.records import RunRow
from engine.protocol.tag_options import FLOOR, ORDER, Existing, Group, Merge, TagOptions
from engine.protocol.tagging import TaggingReport, TagSubmit, ThresholdParams
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK, USAGE, Exit, complain
from lorabake_tui.commands.options import absolute, base_model
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import paint
from lorabake_tui.i18n import _
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.states import summary

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_SHOWN = 40
"""Changed captions that are printed for a person; --json has them all."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar=_("FOLDER"), help=_("The folder of training images."))
    parser.add_argument(
        "--tagger",
        dest="taggers",
        action="append",
        default=[],
        metavar=_("NAME|PATH"),
        help=_("A tagger of `lorabake models`, or a folder with model.onnx and selected_tags.csv; may be given again."),
    )
    parser.add_argument(
        "--merge",
        choices=get_args(Merge),
        default="union",
        help=_("Of several taggers: what any of them sees (union, the default), or what all see (intersection)."),
    )
    parser.add_argument(
        "--general",
        type=float,
        default=0.0,
        metavar=_("SCORE"),
        help=_("Threshold of general tags, {floor} to 1; the tagger's own otherwise.").format(floor=FLOOR),
    )
    parser.add_argument(
        "--character", type=float, default=0.0, metavar=_("SCORE"), help=_("Threshold of characters' names.")
    )
    parser.add_argument(
        "--mcut", action="store_true", help=_("Set the thresholds for each image at the widest gap between its scores.")
    )
    parser.add_argument(
        "--existing",
        choices=get_args(Existing),
        default="keep",
        help=_(
            "Captions that are there: keep them as they are (the default), put the tags in front or behind, or replace "
            "them. What was added or taken out by hand after a tagging stays in every case."
        ),
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar=_("TAGS"),
        help=_("Tags never to write, with commas between; * stands for anything."),
    )
    parser.add_argument("--no-characters", action="store_true", help=_("Leave out the names of characters."))
    parser.add_argument("--rating", action="store_true", help=_("Write the rating as well."))
    parser.add_argument("--underscores", action="store_true", help=_("Write long_hair, not long hair."))
    parser.add_argument(
        "--order",
        default="",
        metavar=_("GROUPS"),
        help=_("The order of the groups {groups}; within one the surest come first.").format(groups=",".join(ORDER)),
    )
    parser.add_argument("--limit", type=int, default=0, metavar=_("COUNT"), help=_("The most tags of one image."))
    parser.add_argument("--batch", type=int, default=0, metavar=_("COUNT"), help=_("Images the model sees at once."))
    parser.add_argument("--again", action="store_true", help=_("Score images that have scores once more."))
    parser.add_argument(
        "--stored", action="store_true", help=_("Make captions of the stored scores, without running the model.")
    )
    parser.add_argument("--dry-run", action="store_true", help=_("Show what would change, and change no caption."))
    parser.add_argument("--detach", action="store_true", help=_("Do not follow; print the run's identifier."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _options(args: argparse.Namespace) -> TagOptions:
    order = tuple(word.strip() for word in args.order.split(",") if word.strip()) or ORDER
    unknown = next((word for word in order if word not in get_args(Group)), None)
    if unknown is not None:
        complain(
            _("There is no group {word}.").format(word=unknown), _("Groups: {known}.").format(known=", ".join(ORDER))
        )
        raise Exit(USAGE)
    return msgspec.convert(
        {
            "taggers": [base_model(word) for word in args.taggers] or ["demo"],
            "merge": args.merge,
            "general": args.general,
            "character": args.character,
            "mcut": args.mcut,
            "characters": not args.no_characters,
            "rating": args.rating,
            "spaces": not args.underscores,
            "exclude": [tag.strip() for words in args.exclude for tag in words.split(",") if tag.strip()],
            "order": order,
            "limit": args.limit,
            "existing": args.existing,
            "batch": args.batch,
            "again": args.again,
            "write": not args.dry_run,
        },
        TagOptions,
    )


def _run(args: argparse.Namespace) -> int:
    path, options = absolute(args.folder), _options(args)
    if not args.taggers and not args.stored:
        complain(_("Name the tagger."), _("`lorabake models` lists them; --tagger demo is always there."))
        raise Exit(USAGE)
    if args.detach and args.dry_run:
        complain(_("--detach and --dry-run exclude each other."), _("Leave one of them out."))
        raise Exit(USAGE)
    if args.stored:
        return converse(lambda client: _show(client, path, options, args), as_json=args.json)
    submit = TagSubmit(path=path, options=options)
    if args.detach:
        return converse(lambda client: _submit(client, submit, as_json=args.json), as_json=args.json)
    return _follow(submit, args)


async def _submit(client: EngineClient, submit: TagSubmit, *, as_json: bool) -> int:
    row: RunRow = await client.call("tags.submit", submit)
    if as_json:
        print_json(row)
    else:
        print(row.id)
    return OK


def _follow(submit: TagSubmit, args: argparse.Namespace) -> int:
    """Queue the job and follow it; a dry run then shows what its scores would change."""
    from lorabake_tui.commands.follow import Follower

    # The one document of a dry run is the report, so that the events of its job stay out of it.
    follower = Follower(as_json=args.json, quiet=args.json and args.dry_run)

    async def work(client: EngineClient) -> int:
        row: RunRow = await client.call("tags.submit", submit)
        code = await follower.until_end(client, row)
        return code if code != OK or not args.dry_run else await _show(client, submit.path, submit.options, args)

    return follower.run(work)


async def _show(client: EngineClient, path: str, options: TagOptions, args: argparse.Namespace) -> int:
    """Make the captions of the stored scores, or only show them."""
    asked = ThresholdParams(path=path, options=options, dry_run=args.dry_run)
    report: TaggingReport = await client.call("tags.thresholds", asked)
    if args.json:
        print_json(report)
        return OK
    for change in report.changes[:_SHOWN] if args.dry_run else []:
        print(plain(change.file))
        for sign, colour, text in (("-", "red", change.before), ("+", "green", change.after)):
            if text:
                first = plain(text.split("\n", 1)[0])
                print(f"  {paint(sign, colour, sys.stdout)} {first}")
    if args.dry_run and report.changed > _SHOWN:
        print("…")
    print(" · ".join(summary(report, dry_run=args.dry_run)))
    return OK


COMMANDS = {
    "tag": Spec(
        _arguments,
        _run,
        "lorabake tag ~/pictures/mira --tagger wd-eva02-large-v3 --general 0.4 --exclude 'solo, *background'\n"
        "lorabake tag ~/pictures/mira --tagger wd-eva02-large-v3 --stored --general 0.5 --dry-run",
    )
}
