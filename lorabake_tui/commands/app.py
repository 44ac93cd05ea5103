"""`lorabake` and `lorabake FOLDER`: open the app; the one place where a command imports Textual."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from engine.protocol.errors import EngineError
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import CANNOT_START, OK, complain
from lorabake_tui.commands.options import absolute
from lorabake_tui.i18n import _


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default="", metavar=_("FOLDER"), help=_("The dataset to open."))


def _run(args: argparse.Namespace) -> int:
    dataset = absolute(args.folder)
    if dataset and not os.path.exists(dataset):
        raise EngineError("dataset_missing", path=dataset)
    if dataset and not os.path.isdir(dataset):
        raise EngineError("dataset_not_folder", path=dataset)
    return open_app(dataset=dataset)


def has_terminal() -> bool:
    """Whether the app can run here; Textual draws on stderr, so that stream matters too."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def open_app(*, dataset: str = "", section: str = "", run: str = "") -> int:
    """Run the app on this terminal; says so and returns 3 where there is none."""
    if not has_terminal():
        complain(_("The app needs a terminal."), _("`lorabake --help` lists commands that work without one."))
        return CANNOT_START
    from lorabake_tui import terminal

    # Under nohup the signal is ignored, and the app would outlive its terminal with nobody to see it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    terminal.prepare()
    from lorabake_tui.app import LoRABake

    app = LoRABake(dataset=dataset, section=section or "dataset", run=run)
    app.run(mouse=False)
    return app.return_code or OK


COMMANDS = {"app": Spec(_arguments, _run, "lorabake ~/pictures/mira")}
