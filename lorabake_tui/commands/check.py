"""`lorabake check`: what is wrong with a dataset, what a bake would take from it, and safe fixes with their undo."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from typing import TYPE_CHECKING

import msgspec

from engine.protocol.messages import CheckParams, FindingsParams, FixParams, PathParams
from engine.protocol.records import CheckReport, Finding, FixReport
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import FAILED, OK, USAGE, Exit, complain
from lorabake_tui.commands.found import words
from lorabake_tui.commands.options import absolute, add_sets, base_model, set_parameters
from lorabake_tui.commands.progress import ProgressLine
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import paint, table
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_FIXES = {
    "drop": N_("moved to the dataset's trash"),
    "rotate": N_("stored upright"),
    "flatten": N_("laid on white"),
    "reencode": N_("stored as plain RGB"),
    "rename": N_("renamed"),
    "decode": N_("caption stored as UTF-8"),
}

_PER_CODE = 20
"""Findings of one kind that are printed for a person."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar=_("FOLDER"), help=_("The folder of training images."))
    parser.add_argument("--reg", default="", metavar=_("FOLDER"), help=_("A folder of regularisation images."))
    about = _("Check for a bake with this parameter, for example resolution=1024; may be given many times.")
    add_sets(parser, about)
    parser.add_argument(
        "--base",
        default="",
        metavar=_("NAME|PATH"),
        help=_("The base model it shall be baked on: the sizes of crops are judged by it."),
    )
    parser.add_argument(
        "--trigger",
        default="",
        metavar=_("WORD"),
        help=_("The word every caption should hold; else the one that most of them begin with."),
    )
    parser.add_argument(
        "--fix",
        nargs="*",
        metavar=_("CODE"),
        help=_("Mend what can be mended safely: everything, or the findings with these codes."),
    )
    parser.add_argument("--undo", action="store_true", help=_("Take back the last --fix."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _run(args: argparse.Namespace) -> int:
    folder, codes = _folder(args)
    if args.undo and args.fix is not None:
        complain(_("--fix and --undo exclude each other."), _("Call one after the other."))
        raise Exit(USAGE)
    params = set_parameters(args.sets)
    asked = {"path": absolute(folder), "reg": absolute(args.reg), "params": params}
    asked |= {"trigger": args.trigger, "base": base_model(args.base)}
    line = ProgressLine()

    async def work(client: EngineClient) -> int:
        changed: FixReport | None = None
        if args.undo:
            changed = await client.call("dataset.undo_fix", PathParams(path=asked["path"]))
        elif args.fix is not None:
            changed = await client.call("dataset.fix", FixParams(**asked, codes=codes))
        report, findings = await _checked(client, CheckParams(**asked))
        line.clear()
        if args.json:
            print_json(_document(report, findings, changed, undone=args.undo))
        else:
            print("\n".join([*_changes(changed, undone=args.undo), *_lines(report, findings, args.folder or folder)]))
        return FAILED if changed is not None and changed.failed else OK

    return converse(work, as_json=args.json, on_push=None if args.json else line.push)


def _folder(args: argparse.Namespace) -> tuple[str, list[str]]:
    """The folder and the codes of --fix: after `--fix` the folder may have been taken for a code."""
    codes = list(args.fix or [])
    if args.folder:
        return args.folder, codes
    if codes and os.path.isdir(os.path.expanduser(codes[-1])):
        return codes[-1], codes[:-1]
    complain(_("Name the folder to check."), _("For example `lorabake check ~/pictures/mira`."))
    raise Exit(USAGE)


async def _checked(client: EngineClient, asked: CheckParams) -> tuple[CheckReport, list[Finding]]:
    report: CheckReport = await client.call("dataset.check", asked)
    findings, following = list(report.findings), report.next
    while following is not None:
        page = await client.call("dataset.findings", FindingsParams(path=asked.path, offset=following))
        findings += page.findings
        following = page.next
    return report, findings


def _document(
    report: CheckReport, findings: list[Finding], changed: FixReport | None, *, undone: bool
) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(report)
    del document["next"], document["total"]
    document["findings"] = msgspec.to_builtins(findings)
    if changed is not None:
        document["undone" if undone else "fixed"] = msgspec.to_builtins(changed.files)
        document["failed"] = msgspec.to_builtins(changed.failed)
    return document


def _changes(changed: FixReport | None, *, undone: bool) -> list[str]:
    if changed is None:
        return []
    lines = []
    for entry in changed.files:
        what = _("as it was") if undone else ", ".join(_(_FIXES[fix]) for fix in entry.fixes)
        lines.append(f"{paint('✓', 'green', sys.stdout)} {plain(entry.file)}: {what}")
    for finding in changed.failed:
        lines.append(f"{paint('✗', 'red', sys.stdout)} " + " ".join(words(finding)))
    one, many = (
        (N_("{count} file is as it was."), N_("{count} files are as they were."))
        if undone
        else (N_("{count} file fixed."), N_("{count} files fixed; `--undo` takes it back."))
    )
    return [*lines, ngettext(one, many, changed.count).format(count=changed.count), ""]


def _lines(report: CheckReport, findings: list[Finding], folder: str) -> list[str]:
    """The findings by code, then the buckets, then what a bake would take, then what can be fixed."""
    lines: list[str] = []
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.code, []).append(finding)
    for code, group in groups.items():
        fixable = any(finding.fix for finding in group)
        mark = paint("+" if fixable else "!", "cyan" if fixable else "yellow", sys.stdout)
        lines += [f"{mark} {words(finding)[0]}" for finding in group[:_PER_CODE]]
        if len(group) > _PER_CODE:
            lines.append("  " + _("… and {count} more; --json lists all.").format(count=len(group) - _PER_CODE))
        lines += [f"    {words(group[0])[1]} ({code})"]
    if not findings:
        lines.append(f"{paint('✓', 'green', sys.stdout)} " + _("Nothing to complain of."))
    head = [_("bucket"), _("images"), _("image views"), _("steps"), _("kept"), _("enlarged")]
    rows = [
        [
            row.size.replace("x", " × "),
            str(row.images),
            str(row.views),
            str(row.steps),
            f"{row.kept:.0%}",
            str(row.enlarged),
        ]
        for row in report.buckets
    ]
    if rows:
        lines += ["", *table(head, rows, right=(0, 1, 2, 3, 4, 5))]
    counts = _("{images} images, {views} image views in {epochs} epochs, {steps} steps per epoch, {total} in all")
    if report.optimizer_steps:
        numbers = counts.format(
            images=report.images,
            views=report.image_views,
            epochs=report.epochs,
            steps=report.steps_per_epoch,
            total=report.optimizer_steps,
        )
        lines += ["", numbers]
    if report.reg is not None:
        use = _("regularisation: {used} images give {views} views an epoch, {repeated} repeated, {unused} unused")
        lines.append(use.format(**msgspec.to_builtins(report.reg)))
    if report.trigger:
        lines.append(_("trigger word: {word}").format(word=plain(report.trigger)))
    count = len({finding.file for finding in findings if finding.fix})
    if count:
        many = ngettext("{count} file can be fixed (+): {command}", "{count} files can be fixed (+): {command}", count)
        lines += ["", many.format(count=count, command=f"lorabake check {shlex.quote(plain(folder))} --fix")]
    return lines


COMMANDS = {"check": Spec(_arguments, _run, "lorabake check ~/pictures/mira --set resolution=768 --fix")}
