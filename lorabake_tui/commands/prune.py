"""`lorabake prune`: making room: epochs or whole runs to the trash, back from it, or away for good."""

from __future__ import annotations

import argparse

from engine.protocol.publishing import Pruned, PruneParams, Trash, TrashParams
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK, USAGE, Exit, complain
from lorabake_tui.commands.session import fetch
from lorabake_tui.commands.text import pairs, size
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.widgets.plain import plain

REASONS = {"best": N_("the best"), "last": N_("the last"), "every": N_("kept"), "published": N_("published")}
"""Why an epoch stays, to be translated."""


def _prune_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", default="", metavar=_("RUN"), help=_("Identifier, the beginning of one, a name, or `last`.")
    )
    parser.add_argument(
        "--every",
        type=int,
        default=0,
        metavar=_("COUNT"),
        help=_("Keep every 2nd, 3rd … besides the best and the last."),
    )
    parser.add_argument("--epochs", default="", metavar=_("LIST"), help=_("These epochs and no others."))
    parser.add_argument("--previews", action="store_true", help=_("Their previews as well."))
    parser.add_argument("--state", action="store_true", help=_("Only the state to resume from."))
    parser.add_argument("--all", dest="whole", action="store_true", help=_("The whole run."))
    parser.add_argument("--restore", action="store_true", help=_("Bring back what is in the trash of this run."))
    parser.add_argument("--trash", action="store_true", help=_("Tell what lies in the trash, of all runs or of one."))
    parser.add_argument("--empty", action="store_true", help=_("Throw away for good what lies in the trash."))
    parser.add_argument("--dry-run", action="store_true", help=_("Tell what would happen, and do nothing."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _prune(args: argparse.Namespace) -> int:
    if args.trash or args.empty:
        asked = TrashParams(run=args.run, empty=args.empty and not args.dry_run)
        return fetch("results.trash", asked, _trash, as_json=args.json)
    if not args.run:
        complain(
            _("Which run is to be tidied up?"), _("For example `lorabake prune last`, or --trash to look into it.")
        )
        raise Exit(USAGE)
    try:
        epochs = [int(part) for part in args.epochs.split(",") if part.strip()]
    except ValueError:
        complain(_("{name} wants numbers with commas between, not {word}.").format(name="--epochs", word=args.epochs))
        raise Exit(USAGE) from None
    wanted = PruneParams(
        run=args.run,
        every=args.every,
        epochs=epochs,
        keep_previews=not args.previews,
        whole=args.whole,
        state=args.state,
        dry_run=args.dry_run,
        restore=args.restore,
    )
    return fetch("results.prune", wanted, _pruned, as_json=args.json)


def _pruned(done: Pruned) -> int:
    print("\n".join(plain(line) for line in pruned_lines(done)))
    return OK


def _trash(found: Trash) -> int:
    lines = [] if found.emptied else pairs([(plain(run), size(count)) for run, count in found.runs.items()])
    print("\n".join([*lines, trash_line(found)]))
    return OK


def trash_line(found: Trash) -> str:
    """What lies in the trash, or that it is gone and what that frees."""
    if not found.files:
        return _("The trash of the runs is empty.")
    if found.emptied:
        return _("The trash is empty; {size} are free.").format(size=size(found.bytes))
    words = ngettext("{n} file, {size}, lies in the trash.", "{n} files, {size}, lie in the trash.", found.files)
    return words.format(n=found.files, size=size(found.bytes))


def pruned_lines(done: Pruned) -> list[str]:
    """What went, or would go, and what stays."""
    if done.restored:
        return [ngettext("{n} file is back.", "{n} files are back.", done.restored).format(n=done.restored)]
    lines = [_("stays: {epochs}").format(epochs=", ".join(f"{n} ({_(REASONS[why])})" for n, why in done.kept.items()))]
    lines = lines if done.kept else []
    if not done.bytes:
        return [*lines, _("Nothing to throw away.")]
    what = _("the whole run") if done.whole else ", ".join(map(str, done.epochs)) or _("the state")
    words = _("would go to the trash: {what} ({size})") if done.dry_run else _("went to the trash: {what} ({size})")
    return [*lines, words.format(what=what, size=size(done.bytes)), done.trash]


COMMANDS = {
    "prune": Spec(_prune_arguments, _prune, "lorabake prune last --every 4 --dry-run\nlorabake prune --empty"),
}
