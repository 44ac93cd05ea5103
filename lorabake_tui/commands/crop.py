"""`lorabake crop`: which part of each picture trains; kept beside the dataset, written to files only with --export."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import msgspec

from engine.protocol.datasets import SetCrop
from engine.protocol.messages import CropParams, DatasetRows
from engine.protocol.records import CropReport, ImageRow
from lorabake_tui.commands import Spec, found
from lorabake_tui.commands.exits import FAILED, OK, USAGE, Exit, complain
from lorabake_tui.commands.options import absolute
from lorabake_tui.commands.progress import ProgressLine
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import paint, table
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_BLURS = 1.02


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar=_("FOLDER"), help=_("The folder of training images."))
    found.add_choice(parser)
    parser.add_argument(
        "--size",
        default="",
        metavar=_("WxH"),
        help=_(
            "Crop to this shape: 512x768, 512x512, 768x512 for Stable Diffusion 1.5, 768x1024, 1024x1024, 1024x768 "
            "for SDXL, or any other. Without it the crops are listed."
        ),
    )
    parser.add_argument(
        "--mode",
        choices=["focus", "center"],
        default="focus",
        help=_("Around the subject (focus, the default) or around the middle of the picture."),
    )
    parser.add_argument(
        "--face-model",
        default="",
        metavar=_("NAME|FILE"),
        help=_(
            "A face detector for focus: yunet or anime-face, fetched when it is not here yet, or a YuNet or YOLO "
            "ONNX file. Without it, what stands out counts."
        ),
    )
    parser.add_argument(
        "--point",
        default="",
        metavar="X,Y",
        help=_("Place the crop of the named images around this point of the picture, in pixels."),
    )
    parser.add_argument("--accept", action="store_true", help=_("Mark the crops of the named images as looked at."))
    parser.add_argument("--clear", action="store_true", help=_("Take the crops away; the whole pictures train."))
    parser.add_argument(
        "--export",
        default="",
        metavar=_("FOLDER"),
        help=_("Write the cropped pictures and their captions into this folder."),
    )
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _run(args: argparse.Namespace) -> int:
    path, face_model = absolute(args.folder), args.face_model
    if os.sep in face_model or face_model.startswith("~") or face_model.endswith(".onnx"):
        face_model = absolute(face_model)
    asked = CropParams(
        path=path,
        size=args.size,
        mode=args.mode,
        clear=args.clear,
        export=absolute(args.export),
        face_model=face_model,
    )
    point = _point(args.point)
    line = ProgressLine()

    async def work(client: EngineClient) -> int:
        names = await found.chosen(client, path, args)
        if (point or args.accept) and not names:
            complain(_("Name the images whose crop shall be placed or accepted."), "")
            raise Exit(USAGE)
        # A point comes before the size: what a person chose is only brought to the new shape.
        for row in [row for row in await found.every_row(client, path) if row.name in names] if point else []:
            await client.call(
                "dataset.set_crop",
                SetCrop(path=path, image=row.name, size=args.size, point=point, face_model=face_model),
            )
        report: CropReport = await client.call("dataset.crop", msgspec.structs.replace(asked, images=names))
        for row in [row for row in await _cropped(client, path) if row.name in names] if args.accept else []:
            assert row.crop is not None
            size = "{}x{}".format(*row.crop.size)
            await client.call(
                "dataset.set_crop", SetCrop(path=path, image=row.name, size=size, box=row.crop.box, accepted=True)
            )
        rows = await _cropped(client, path)
        line.clear()
        if args.json:
            print_json(_document(report, rows))
        else:
            print("\n".join(_lines(report, rows, asked)))
        return FAILED if report.failed else OK

    return converse(work, as_json=args.json, on_push=None if args.json else line.push)


def _point(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    across, _comma, down = text.partition(",")
    if not (across.strip().isdecimal() and down.strip().isdecimal()):
        complain(_("A point is written like 640,360."), "")
        raise Exit(USAGE)
    return int(across), int(down)


async def _cropped(client: EngineClient, path: str) -> list[ImageRow]:
    rows: list[ImageRow] = []
    following: int | None = 0
    while following is not None:
        page = await client.call("dataset.rows", DatasetRows(path=path, offset=following))
        rows += [row for row in page.rows if row.crop is not None]
        following = page.next
    return rows


def _document(report: CropReport, rows: list[ImageRow]) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(report)
    document["crops"] = [
        {
            "file": row.name,
            "box": list(row.crop.box),
            "size": "{}x{}".format(*row.crop.size),
            "mode": row.crop.mode,
            "accepted": row.crop.accepted,
            "enlargement": round(row.crop.enlargement, 3),
            "faces": row.crop.faces,
            "cuts_face": row.crop.cuts_face,
        }
        for row in rows
        if row.crop is not None
    ]
    return document


def _lines(report: CropReport, rows: list[ImageRow], asked: CropParams) -> list[str]:
    lines = [plain(_("Note: {message} {hint}").format(message=m, hint=h)) for m, h in map(told, report.notices)]
    if not asked.export and rows:
        head = [_("name"), _("picture"), _("part that trains"), _("size"), _("enlarged"), _("mode")]
        body = []
        for row in rows:
            if row.crop is None:
                continue
            left, top, right, bottom = row.crop.box
            factor = row.crop.enlargement
            body.append(
                [
                    row.name,
                    f"{row.width} × {row.height}",
                    f"{right - left} × {bottom - top} + {left} + {top}",
                    "{} × {}".format(*row.crop.size),
                    f"× {factor:.2f}" if factor >= _BLURS else "",
                    row.crop.mode + (" · " + _("cuts a face") if row.crop.cuts_face else ""),
                ]
            )
        lines += [*table(head, body, right=(1, 2, 3, 4)), ""]
    count = ngettext("{count} of {all} images is cropped.", "{count} of {all} images are cropped.", report.cropped)
    lines.append(count.format(count=report.cropped, all=report.images))
    if report.kept:
        kept = ngettext(
            "{count} was placed by hand and stays there.", "{count} were placed by hand and stay there.", report.kept
        )
        lines.append(kept.format(count=report.kept))
    if asked.export:
        words = ngettext("{count} picture written to {path}.", "{count} pictures written to {path}.", report.exported)
        lines.append(words.format(count=report.exported, path=plain(asked.export)))
    for finding in report.failed:
        lines.append(f"{paint('✗', 'red', sys.stdout)} {plain(finding.message)} {plain(finding.hint)}")
    return lines


COMMANDS = {"crop": Spec(_arguments, _run, "lorabake crop ~/pictures/mira --size 512x768 --mode focus")}
