"""What the Dataset section says: words for findings, fixes and orders, the cells of a row, the lines beside a picture.

Pure text from values; nothing here knows a widget.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.protocol.datasets import AddReport
from engine.protocol.errors import ErrorInfo
from engine.protocol.records import Finding, ImageRow
from lorabake_tui.i18n import N_, _, ngettext, told
from lorabake_tui.opened import OpenedDataset, tags_of
from lorabake_tui.widgets.page import Block, Head, Text
from lorabake_tui.widgets.rows import Cell, Column

KINDS = {
    "image_unreadable": N_("unreadable"),
    "image_missing": N_("gone"),
    "image_too_large": N_("too large"),
    "image_damaged": N_("damaged"),
    "image_cut": N_("cut short"),
    "image_not_file": N_("no file"),
    "folder_link": N_("linked folder"),
    "image_extension": N_("wrong ending"),
    "image_rotated": N_("stored lying"),
    "image_alpha": N_("transparent"),
    "image_mode": N_("not RGB"),
    "image_grey": N_("grey"),
    "image_animated": N_("animated"),
    "image_tiny": N_("tiny"),
    "image_enlarged": N_("enlarged"),
    "image_extreme": N_("very long"),
    "image_cropped": N_("much cut off"),
    "image_duplicate": N_("same picture"),
    "image_similar": N_("look-alike"),
    "caption_missing": N_("no caption"),
    "caption_empty": N_("empty caption"),
    "caption_undecodable": N_("not UTF-8"),
    "caption_too_long": N_("no caption file"),
    "caption_lines": N_("several lines"),
    "caption_tokens": N_("long caption"),
    "caption_trigger": N_("no trigger"),
    "same_stem": N_("same name"),
    "reg_duplicate": N_("also in reg"),
    "reg_similar": N_("alike in reg"),
    "bucket_small": N_("small bucket"),
    "crop_void": N_("crop void"),
    "crop_enlarged": N_("crop enlarges"),
    "crop_cuts_face": N_("cuts a face"),
    "crop_family": N_("foreign size"),
    "flip_asymmetry": N_("not to mirror"),
    "path_outside": N_("outside"),
    "dataset_unreadable": N_("unreadable folder"),
    "sidecar_unreadable": N_("broken notes"),
}
"""Code → a word or two for a list; the sentence stands beside the picture."""

FIXES = {
    "drop": N_("to the trash"),
    "rotate": N_("store upright"),
    "flatten": N_("lay on white"),
    "reencode": N_("store as RGB"),
    "rename": N_("rename"),
    "decode": N_("store as UTF-8"),
}
"""Fix → what it does, in a word or two."""

ORDER_NAMES = {
    "name": N_("name"),
    "size": N_("size"),
    "bucket": N_("bucket"),
    "repeat": N_("views an epoch"),
    "tags": N_("number of tags"),
    "findings": N_("findings"),
    "marks": N_("marks"),
}

DOING = {
    "dataset.check": N_("checking {done}/{total}"),
    "dataset.fix": N_("mending {done}/{total}"),
    "dataset.add": N_("adding {done}/{total}"),
    "dataset.remove": N_("removing {done}/{total}"),
    "dataset.undo": N_("taking back {done}/{total}"),
    "dataset.crop": N_("cropping {done}/{total}"),
    "dataset.split": N_("splitting {done}/{total}"),
    "dataset.mirror": N_("mirroring {done}/{total}"),
    "dataset.export": N_("exporting {done}/{total}"),
    "dataset.sheet": N_("drawing {done}/{total}"),
}
"""Task of a `Progress` → what the title of the list says meanwhile."""

ENDED = {
    "dataset.add": N_("Ended; nothing was added."),
    "dataset.check": N_("Ended; nothing was changed."),
    "dataset.sheet": N_("Ended; nothing was written."),
    "dataset.export": N_("Ended. What was written so far stays in the folder."),
}
"""Task that Esc ended → what is left of it; all others can be taken back."""

DONE = N_("Ended. What was done is done; u takes it back.")

CHANGES = {
    "fix": N_("mended"),
    "add": N_("added"),
    "remove": N_("removed"),
    "mirror": N_("mirrored copies"),
    "split": N_("parts"),
    "crop": N_("cropped"),
    "repeat": N_("repeat"),
    "flip": N_("mirror"),
    "mark": N_("letter"),
}
"""Kind of a change → a word for it."""

_TOLD = 20
BLURS = 1.02
"""Enlargements below this are not worth a word."""


def columns() -> list[Column]:
    """The columns of the list of images, for any width."""
    return [
        Column(_("Image")),
        Column(_("Size"), 9, right=True, shown_from=44),
        Column(_("Bucket"), 9, right=True, shown_from=56),
        Column(_("Rep."), 4, right=True),
        Column(_("Views"), 5, right=True, shown_from=60),
        Column(_("Tags"), 4, right=True),
        Column("", 3),
        Column("", 16, shown_from=78),
    ]


def cells(opened: OpenedDataset, number: int, repeat: object) -> Sequence[Cell]:
    """A row of the list; `repeat` is the bake's, faint where an image has none of its own."""
    row = opened.rows[number]
    size = f"{row.width}×{row.height}" if row.width else "—"
    if row.own_repeat is not None:
        own: Cell = (str(row.own_repeat), "row--strong")
    elif row.repeat is not None:
        own = str(row.repeat)
    else:
        own = (str(repeat), "row--dim")
    count = len(tags_of(row.caption))
    tags: Cell = str(count) if row.caption is not None else ("—", "row--dim")
    codes = opened.codes_of(row)
    views = opened.views_of(number)
    return (
        row.name,
        (size, "row--dim"),
        (opened.bucket_of(number), "row--dim"),
        own,
        ("" if views is None else str(views), "row--dim"),
        tags,
        (signs(row, codes), "row--warn" if codes else "row--bar"),
        (words(codes), "row--warn"),
    )


def signs(row: ImageRow, codes: Sequence[str]) -> str:
    """⚠ findings · ▣ cropped · ⇄ also mirrored, each at its place."""
    return ("⚠" if codes else " ") + ("▣" if row.crop is not None else " ") + ("⇄" if row.flip else " ")


def words(codes: Sequence[str]) -> str:
    """The findings of an image in a few words."""
    return ", ".join(_(KINDS.get(code, code)) for code in codes)


def picture_facts(opened: OpenedDataset, number: int) -> str:
    """The line below a picture: its size, and where it goes."""
    row = opened.rows[number]
    if not row.width:
        return ""
    text = f"{row.width}×{row.height}"
    if row.crop is not None:
        left, top, right, bottom = row.crop.box
        text += f" ▣ {right - left}×{bottom - top}"
    bucket = opened.bucket_of(number)
    return f"{text} → {bucket}" if bucket else text


def findings_of(opened: OpenedDataset, row: ImageRow) -> list[Block]:
    """What is wrong with an image, in sentences, each with the fix there is."""
    if opened.findings is None:
        return [Text(" ".join(opened.problem_of(row)), "warn")] if row.problem else []
    blocks: list[Block] = []
    for found in opened.findings.of(row.name):
        fix = "  → f " + _(FIXES[found.fix]) if found.fix in FIXES else ""
        blocks.append(Text(f"{_(KINDS.get(found.code, found.code))}{fix}", "warn"))
        blocks.append(Text(" ".join(told(found.info)), "faint"))
    return blocks


def counted(count: int) -> str:
    """`3 images`."""
    return ngettext("{count} image", "{count} images", count).format(count=count)


def scope(count: int, marked: int) -> str:
    """What the next verb acts on."""
    if marked:
        return _("acts on {count} marked").format(count=count)
    return _("acts on this image") if count else ""


def counted_words(one: str, many: str, count: int, path: str = "") -> str:
    """One of two sentences with `{count}` (and `{path}`), each marked for translation where it is written."""
    return _(one if count == 1 else many).format(count=count, path=path)


def told_of(findings: Sequence[Finding]) -> list[Block]:
    """Findings as sentences, those of a kind together with their hint once."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.code, []).append(finding)
    blocks: list[Block] = []
    for group in kinds.values():
        told_all = [
            told(ErrorInfo(code=one.code, message=one.message, hint=one.hint, args=one.args)) for one in group[:_TOLD]
        ]
        blocks += [Text(message, "warn") for message, _hint in told_all]
        if len(group) > _TOLD:
            blocks.append(Text(_("… and {count} more").format(count=len(group) - _TOLD), "warn"))
        blocks += [Text(told_all[0][1], "faint"), Text("")]
    return blocks


def told_of_add(report: AddReport) -> list[Block]:
    """What was not taken in and why, and what to know of what was."""
    blocks: list[Block] = []
    if report.skipped:
        words = ngettext("{count} file was left out:", "{count} files were left out:", report.skipped_count)
        blocks = [Head(words.format(count=report.skipped_count)), *told_of(report.skipped)]
    if report.notices:
        blocks += [Head(_("Worth knowing")), *told_of(report.notices)]
    return blocks
