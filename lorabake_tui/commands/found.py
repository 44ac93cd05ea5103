"""Findings about images as lines for a person, and the images that a command line means."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.protocol.errors import ErrorInfo
from engine.protocol.messages import DatasetRows, FilterParams
from engine.protocol.records import Finding, ImageRow
from lorabake_tui.commands.exits import USAGE, Exit, complain
from lorabake_tui.commands.text import paint
from lorabake_tui.i18n import _, told
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_MOST = 40
"""Lines of one kind that are printed for a person."""


def words(finding: Finding) -> tuple[str, str]:
    """The sentence and the hint of a finding, in the person's language."""
    info = ErrorInfo(code=finding.code, message=finding.message, hint=finding.hint, args=finding.args)
    message, hint = told(info)
    return plain(message), plain(hint)


def lines(findings: Sequence[Finding], *, failed: bool) -> list[str]:
    """One line per finding, the first forty of them."""
    mark = paint("✗", "red", sys.stdout) if failed else paint("!", "yellow", sys.stdout)
    shown = [f"{mark} " + " ".join(words(finding)) for finding in findings[:_MOST]]
    if len(findings) > _MOST:
        shown.append("  " + _("… and {count} more; --json lists all.").format(count=len(findings) - _MOST))
    return shown


def add_choice(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose images of a dataset."""
    parser.add_argument(
        "images", nargs="*", metavar=_("IMAGE"), help=_("Names of images in it, or patterns such as 'front/*'.")
    )
    parser.add_argument(
        "--filter", default="", metavar=_("FILTER"), help=_("The images that a filter finds, such as 'tag:solo'.")
    )


async def chosen(client: EngineClient, path: str, args: argparse.Namespace) -> list[str]:
    """The names of the images that `add_choice` asked for, [] when none was asked for.

    Raises Exit for a name or filter that no image fits, and ClientError.
    """
    if not args.images and not args.filter:
        return []
    rows = await every_row(client, path)
    names = [row.name for row in rows]
    picked: dict[str, None] = {}
    for pattern in args.images:
        found = [pattern] if pattern in set(names) else fnmatch.filter(names, pattern)
        if not found:
            complain(
                _("No image is called {name}.").format(name=plain(pattern)),
                _("Names are those of `lorabake repeat FOLDER`; quote patterns, or the shell expands them."),
            )
            raise Exit(USAGE)
        picked.update(dict.fromkeys(found))
    if args.filter:
        answer = await client.call("dataset.filter", FilterParams(path=path, text=args.filter))
        if answer.error is not None:
            complain(*told(answer.error))
            raise Exit(USAGE)
        if not answer.count:
            complain(_("No image fits the filter."))
            raise Exit(USAGE)
        picked.update(dict.fromkeys(names[row] for row in answer.rows()))
    return list(picked)


async def every_row(client: EngineClient, path: str) -> list[ImageRow]:
    """All rows of a dataset."""
    rows: list[ImageRow] = []
    following: int | None = 0
    while following is not None:
        page = await client.call("dataset.rows", DatasetRows(path=path, offset=following))
        rows += page.rows
        following = page.next
    return rows
