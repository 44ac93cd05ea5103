"""`lorabake export`: a dataset in the shape of other trainers; `lorabake reg`: regularisation images drawn."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.protocol.datasets import ExportParams, ExportReport, RegParams
from engine.protocol.records import RunRow
from lorabake_tui.commands import Spec, found
from lorabake_tui.commands.exits import FAILED, OK, USAGE, Exit, complain
from lorabake_tui.commands.options import absolute, add_sets, base_model, preset_for, set_parameters
from lorabake_tui.commands.progress import ProgressLine
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import table
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar=_("FOLDER"), help=_("The folder of training images."))
    parser.add_argument("out", metavar=_("OUT"), help=_("A new folder."))
    parser.add_argument("--to", choices=["kohya"], default="kohya", help=_("Whose trainers shall read it."))
    parser.add_argument("--reg", default="", metavar=_("FOLDER"), help=_("A folder of regularisation images."))
    parser.add_argument(
        "--how",
        choices=["link", "copy"],
        default="link",
        help=_("Link the pictures that need no change, or copy them."),
    )
    parser.add_argument("--whole", action="store_true", help=_("Leave the crops out; export whole pictures."))
    add_sets(parser)
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _export(args: argparse.Namespace) -> int:
    asked = ExportParams(
        path=absolute(args.folder),
        out=absolute(args.out),
        reg=absolute(args.reg),
        params=set_parameters(args.sets),
        how=args.how,
        crops=not args.whole,
    )
    line = ProgressLine()

    async def work(client: EngineClient) -> int:
        report: ExportReport = await client.call("dataset.export", asked)
        line.clear()
        if args.json:
            print_json(report)
        else:
            rows = [[row.name, str(row.repeat), str(row.images), str(row.views)] for row in report.folders]
            head = [_("folder"), _("repeat"), _("images"), _("image views")]
            shown = [*table(head, rows, right=(1, 2, 3)), ""]
            shown += found.lines(report.failed, failed=True)
            shown += [plain(" ".join(told(info))) for info in report.notices]
            words = ngettext(
                "{count} picture, described by {path}", "{count} pictures, described by {path}", report.files
            )
            shown.append(words.format(count=report.files, path=plain(report.toml)))
            print("\n".join(shown))
        return FAILED if report.failed else OK

    return converse(work, as_json=args.json, on_push=None if args.json else line.push)


def _reg_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar=_("OUT"), help=_("The folder for the pictures; those in it are kept."))
    parser.add_argument(
        "--base", required=True, metavar=_("NAME|PATH"), help=_("The base model; see `lorabake models`.")
    )
    parser.add_argument(
        "--prompt",
        dest="prompts",
        action="append",
        default=[],
        metavar=_("TEXT"),
        help=_("What to draw: the class without the trigger word. Given many times, they take turns."),
    )
    parser.add_argument("--prompts", dest="file", default="", metavar=_("FILE"), help=_("A prompt on each line."))
    parser.add_argument("--count", type=int, default=100, metavar=_("COUNT"), help=_("How many pictures."))
    parser.add_argument("--name", default="", metavar=_("NAME"), help=_("What the job is called."))
    parser.add_argument("--detach", action="store_true", help=_("Do not follow; print the run's identifier."))
    add_sets(parser)
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _reg(args: argparse.Namespace) -> int:
    from lorabake_tui.commands.follow import Follower

    asked = RegParams(
        out=absolute(args.out),
        base=base_model(args.base),
        prompts=[*args.prompts, *_read(args.file)],
        count=args.count,
        params=set_parameters(args.sets),
        name=args.name,
    )
    follower = Follower(as_json=args.json)

    async def submit(client: EngineClient) -> RunRow:
        row: RunRow = await client.call(
            "reg.submit",
            RegParams(
                out=asked.out,
                base=asked.base,
                prompts=asked.prompts,
                count=asked.count,
                params=asked.params,
                name=asked.name,
                preset=await preset_for(client, asked.base),
            ),
        )
        return row

    async def detached(client: EngineClient) -> int:
        row = await submit(client)
        if args.json:
            print_json(row)
        else:
            print(row.id)
        return OK

    async def followed(client: EngineClient) -> int:
        return await follower.until_end(client, await submit(client))

    return converse(detached, as_json=args.json) if args.detach else follower.run(followed)


def _read(file: str) -> list[str]:
    if not file:
        return []
    try:
        return Path(absolute(file)).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        complain(_("{path} cannot be read: {reason}.").format(path=plain(file), reason=error), "")
        raise Exit(USAGE) from None


COMMANDS = {
    "export": Spec(_export_arguments, _export, "lorabake export ~/datasets/mira ~/kohya/mira --to kohya"),
    "reg": Spec(_reg_arguments, _reg, "lorabake reg ~/datasets/reg --base demo --prompt '1girl, solo' --count 50"),
}
