"""`lorabake tags`: every verb of the tag editor on a folder, with a preview, undo and redo, and replaying of edits."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.found import TagTable
from engine.protocol.messages import FilterParams, PathParams
from engine.protocol.tags import (
    EditHistory,
    EditParams,
    OwnParams,
    OwnReport,
    ReplayParams,
    StepParams,
    TagOp,
    TagReport,
    TraitsParams,
    ops_of,
)
from lorabake_tui.commands import Spec, tag_rules
from lorabake_tui.commands.exits import FAILED, OK, USAGE, Exit, complain
from lorabake_tui.commands.options import absolute
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import paint, table
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

EDITS = ("add", "remove", "replace", "prepend", "append", "move", "dedupe", "sort", "rules", "bind", "write")
VERBS = ("list", "traits", *EDITS, "own", "undo", "redo", "history", "apply")
_MANY = 1_000_000
_SHOWN = 20
_LISTED = 100


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar=_("FOLDER"), help=_("The folder of training images."))
    parser.add_argument("verb", metavar=_("VERB"), help=", ".join(VERBS))
    parser.add_argument(
        "tags",
        nargs="*",
        metavar=_("TAG"),
        help=_(
            "The tags of the verb; `*` stands for anything and /…/ is a regular expression where tags are looked for. "
            "`replace` takes the old one and the new one, `bind` and `traits` the trigger word first, `write` an image "
            "and its caption, `apply` a file of edits."
        ),
    )
    parser.add_argument(
        "--where", default="", metavar=_("FILTER"), help=_("Only on the images that this filter finds.")
    )
    parser.add_argument(
        "--at", type=int, default=0, metavar=_("PLACE"), help=_("Where add and move put it: 1 is first.")
    )
    parser.add_argument(
        "--off", action="append", default=[], metavar=_("TAGS"), help=_("Tags that add takes off in the same edit.")
    )
    parser.add_argument(
        "--source",
        choices=["manual", "model"],
        default="manual",
        help=_("Whose the tags of own are: a person's (the default), which no tagger takes away, or a model's."),
    )
    parser.add_argument(
        "--by",
        choices=["name", "count", "people"],
        default="name",
        help=_("What sort goes by; people puts 1girl first."),
    )
    parser.add_argument(
        "--keep", type=int, default=0, metavar=_("COUNT"), help=_("Tags in front that sort leaves alone.")
    )
    tag_rules.arguments(parser)
    parser.add_argument("--count", type=int, default=1, metavar=_("COUNT"), help=_("How many edits undo or redo goes."))
    parser.add_argument("--dry-run", action="store_true", help=_("Show what would change, and change nothing."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _run(args: argparse.Namespace) -> int:
    if args.folder == "apply" and len(args.tags) == 1 and not os.path.isdir("apply"):
        args.folder, args.verb, args.tags = args.tags[0], "apply", [args.verb]
    if args.verb not in VERBS:
        _mistake(
            _("There is no verb {verb}.").format(verb=args.verb), _("Verbs: {verbs}.").format(verbs=", ".join(VERBS))
        )
    path = absolute(args.folder)
    if args.verb == "list":
        return _ask("tags.table", FilterParams(path=path, text=args.where), _list, args)
    if args.verb == "traits":
        trigger = args.tags[0] if args.tags else ""
        return _ask("tags.traits", TraitsParams(path=path, trigger=trigger), tag_rules.traits, args)
    rules = tag_rules.rules_of(args) if args.verb == "rules" else []
    if args.verb == "rules" and (args.remember or not rules):
        return _ask("tags.rules", tag_rules.asked(args, path, rules), tag_rules.found, args)
    if args.verb == "history":
        return _ask("tags.history", PathParams(path=path), _history, args)
    if args.verb in ("undo", "redo"):
        return _ask(f"tags.{args.verb}", StepParams(path=path, count=args.count), _report, args)
    if args.verb == "own":
        owned = OwnParams(path=path, tags=args.tags, where=args.where, source=args.source, dry_run=args.dry_run)
        return _ask("tags.own", owned, _owned, args)
    if args.verb == "apply":
        return _ask("tags.replay", _replay(args, path), _report, args)
    diffs = _MANY if args.json and args.dry_run else _SHOWN
    return _ask("tags.edit", EditParams(path=path, op=_op(args), dry_run=args.dry_run, diffs=diffs), _report, args)


def _op(args: argparse.Namespace) -> TagOp:
    tags, new = list(args.tags), ""
    if args.verb == "replace":
        if len(tags) != 2:
            _mistake(
                _("replace takes the old tag and the new one."), _('For example replace "silver hair" "grey hair".')
            )
        new = tags.pop()
    elif args.verb in ("sort", "dedupe") and tags:
        _mistake(_("{verb} takes no tags.").format(verb=args.verb), _("It acts on all tags of a caption."))
    elif args.verb == "rules":
        return TagOp(verb="rules", rules=tag_rules.rules_of(args), where=args.where, source="rule")
    elif args.verb == "bind":
        if not tags:
            _mistake(
                _("bind takes a trigger word and its tags."), _('For example bind mira "blue eyes" "silver hair".')
            )
        return TagOp(verb="bind", new=tags[0], tags=tags[1:], source="rule")
    elif args.verb == "write":
        if len(tags) != 2:
            _mistake(_("write takes an image and its caption."), _('For example write 01.png "mira, smile".'))
        return TagOp(verb="write", names=tags[:1], new=tags[1])
    elif args.off and args.verb != "add":
        _mistake(_("{verb} takes no --off.").format(verb=args.verb), _("Only add does, for both in one edit."))
    off = [tag.strip() for words in args.off for tag in words.split(",") if tag.strip()]
    keep = max(0, args.keep)
    return TagOp(verb=args.verb, tags=tags, new=new, at=args.at, by=args.by, keep=keep, where=args.where, off=off)


def _replay(args: argparse.Namespace, path: str) -> ReplayParams:
    if len(args.tags) != 1:
        _mistake(
            _("apply takes one file of edits."), _("For example `lorabake tags apply edits.jsonl ~/pictures/mira`.")
        )
    try:
        text = Path(os.path.expanduser(args.tags[0])).read_text(encoding="utf-8")
        ops = ops_of(text.splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise EngineError(
            "edits_unreadable", path=args.tags[0], reason=reason, example='{"verb":"add","tags":["solo"]}'
        ) from None
    return ReplayParams(path=path, ops=ops, dry_run=args.dry_run, diffs=_MANY if args.json else _SHOWN)


def _mistake(message: str, hint: str) -> NoReturn:
    complain(message, hint)
    raise Exit(USAGE)


def _ask(method: str, params: msgspec.Struct, show: Any, args: argparse.Namespace) -> int:
    async def work(client: EngineClient) -> int:
        answer = await client.call(method, params)
        failed = isinstance(answer, TagReport) and bool(answer.failed)
        if args.json:
            document = msgspec.to_builtins(answer)
            if isinstance(answer, TagReport):
                del document["rows"], document["reload"]
            print_json(document)
        else:
            print("\n".join(show(answer, args)))
        return FAILED if failed else OK

    return converse(work, as_json=args.json)


def _list(answer: TagTable, args: argparse.Namespace) -> list[str]:
    head = [_("tag"), _("images"), _("share"), _("place")]
    images = max(1, answer.images)
    rows = [
        [row.tag, str(row.count), f"{row.count / images:.0%}", f"{row.mean_rank + 1:.1f}"]
        for row in answer.tags[:_LISTED]
    ]
    lines = table(head, rows, right=(1, 2, 3)) if rows else []
    if len(answer.tags) > _LISTED:
        lines.append(_("… and {count} more; --json lists all.").format(count=len(answer.tags) - _LISTED))
    tags = ngettext("{count} tag", "{count} tags", len(answer.tags)).format(count=len(answer.tags))
    found = ngettext("{count} image", "{count} images", answer.images).format(count=answer.images)
    return [*lines, f"{tags} · {found}"]


def _history(answer: EditHistory, args: argparse.Namespace) -> list[str]:
    head = [_("number"), _("when"), _("images"), "", _("edit")]
    rows = [
        [
            str(row.edit),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(row.t)),
            str(row.count),
            "" if row.done else _("undone"),
            row.title,
        ]
        for row in answer.edits
    ]
    return table(head, rows, right=(0, 2)) if rows else [_("No tag was edited yet.")]


def _owned(answer: OwnReport, args: argparse.Namespace) -> list[str]:
    stands = ngettext("stands on {count} image", "stands on {count} images", answer.images).format(count=answer.images)
    news = ngettext("on {count} it was another's", "on {count} it was another's", answer.changed)
    return [f"{stands} · {news.format(count=answer.changed)}"]


def _report(answer: TagReport, args: argparse.Namespace) -> list[str]:
    lines: list[str] = []
    for diff in answer.diffs:
        lines.append(paint(plain(diff.file), "bold", sys.stdout))
        lines += _difference(diff.before, diff.after)
    hidden = answer.changed - len(answer.diffs)
    if hidden > 0 and answer.diffs:
        lines.append(_("… and {count} more; --json lists all.").format(count=hidden))
    for finding in answer.failed:
        info = ErrorInfo(code=finding.code, message=finding.message, hint=finding.hint, args=finding.args)
        lines.append(f"{paint('✗', 'red', sys.stdout)} " + " ".join(map(plain, told(info))))
    count = answer.changed
    if args.dry_run:
        words = ngettext(
            "{count} caption would change, of {scope}.", "{count} captions would change, of {scope}.", count
        )
    elif args.verb == "undo":
        words = ngettext("{count} caption is as it was.", "{count} captions are as they were.", count)
    else:
        words = ngettext(
            "{count} caption changed, of {scope}; `undo` takes it back.",
            "{count} captions changed, of {scope}; `undo` takes it back.",
            count,
        )
    title = f"{plain(answer.title)}: " if answer.title else ""
    return [*lines, title + words.format(count=count, scope=answer.scope)]


def _difference(before: str | None, after: str | None) -> list[str]:
    old, new = plain(before or ""), plain(after or "")
    marks = (paint("-", "red", sys.stdout), paint("+", "green", sys.stdout))
    return [f"  {marks[0]} {old}", f"  {marks[1]} {new}"]


COMMANDS = {
    "tags": Spec(_arguments, _run, 'lorabake tags ~/pictures/mira remove "silver hair" --where "tag:mira" --dry-run')
}
