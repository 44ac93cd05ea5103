"""`lorabake save | preview | change | branch`: what else can be asked of a run, and bakes made from it."""

from __future__ import annotations

import argparse

from engine.protocol.control import Action
from engine.protocol.messages import BoardParams, BoardReport, Branch, ControlParams
from engine.protocol.records import RunRow
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK, USAGE, Exit, complain
from lorabake_tui.commands.options import absolute, add_out, add_sets, set_parameters
from lorabake_tui.commands.runs import act, add_run
from lorabake_tui.commands.session import fetch
from lorabake_tui.i18n import _
from lorabake_tui.widgets.plain import plain


def add_start(parser: argparse.ArgumentParser) -> None:
    """When a new job may start, and how often its worker is replaced."""
    parser.add_argument(
        "--when",
        default="",
        metavar=_("TIME"),
        help=_("Start at 22:30, in +2h, or within quiet hours: 22:00-07:00, with ` pause` to stand still outside."),
    )
    parser.add_argument(
        "--retries", type=int, default=0, metavar=_("TIMES"), help=_("How often a worker that dies is replaced.")
    )


def _ask(args: argparse.Namespace, action: Action, told: str) -> int:
    return act(
        "runs.control",
        ControlParams(run=args.run, action=action),
        lambda row: told.format(name=row.name or row.id),
        as_json=args.json,
    )


def _save(args: argparse.Namespace) -> int:
    return _ask(args, "save_now", _("{name} was asked to save its state after this step."))


def _preview(args: argparse.Namespace) -> int:
    return _ask(args, "preview_now", _("{name} was asked to draw previews after this step."))


def _change_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    about = _("A learning rate, epochs, save_every_epochs or preview_every_epochs; may be given many times.")
    add_sets(parser, about, required=True)


def _change(args: argparse.Namespace) -> int:
    values = {name: value for name, value in set_parameters(args.sets).items() if isinstance(value, int | float)}
    return act(
        "runs.control",
        ControlParams(run=args.run, action="set", values=values),
        lambda row: _("{name} was asked to go on with these from the next step.").format(name=row.name or row.id),
        as_json=args.json,
    )


def _branch_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--epoch", type=int, default=None, metavar="N", help=_("Begin with the weights of this epoch."))
    parser.add_argument(
        "--state",
        action="store_true",
        help=_("Go on from the saved state, the optimizer's memory included."),
    )
    add_sets(parser, _("What is different; may be given many times."))
    parser.add_argument("--name", default="", metavar=_("NAME"), help=_("What the LoRA is called."))
    add_out(parser)
    add_start(parser)


def _branch(args: argparse.Namespace) -> int:
    if args.state and args.epoch is not None:
        complain(_("Either --epoch or --state."), _("A state goes on where the bake was saved last."))
        raise Exit(USAGE)
    asked = Branch(
        run=args.run,
        epoch=args.epoch,
        state=args.state,
        params=set_parameters(args.sets),
        name=args.name,
        out=absolute(args.out),
        when=args.when,
        retries=args.retries,
    )

    def show(row: RunRow) -> int:
        told = _("{name} is queued; `lorabake watch {run}` follows it.")
        print(plain(told.format(name=row.name or row.id, run=row.id)))
        return OK

    return fetch("runs.branch", asked, show, as_json=args.json)


def _board_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--out", default="", metavar=_("FOLDER"), help=_("Where to; the run's own folder otherwise."))


def _board(args: argparse.Namespace) -> int:
    def show(report: BoardReport) -> int:
        told = _("{n} numbers and pictures are in {folder}; `tensorboard --logdir` shows them.")
        print(plain(told.format(n=report.entries, folder=report.out)))
        return OK

    return fetch("runs.tensorboard", BoardParams(run=args.run, out=absolute(args.out)), show, as_json=args.json)


COMMANDS = {
    "save": Spec(add_run, _save, "lorabake save last"),
    "preview": Spec(add_run, _preview, "lorabake preview last"),
    "change": Spec(_change_arguments, _change, "lorabake change last --set unet_lr=5e-5 --set epochs=12"),
    "tensorboard": Spec(_board_arguments, _board, "lorabake tensorboard last --out ~/board/mira"),
    "branch": Spec(_branch_arguments, _branch, "lorabake branch mira --epoch 6 --set unet_lr=5e-5"),
}
