"""The sheets that ask how to add, crop, split and export: each a `Settings` with a sentence on what it will do."""

from __future__ import annotations

import os
from collections.abc import Sequence

from engine.protocol.datasets import CROP_SIZES, DEFAULT_LIMIT
from engine.protocol.records import ImageRow
from lorabake_tui.dialogs.settings import ANYTHING, Setting, Settings
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.screens.dataset_text import BLURS, counted

ADDED = (".png", ".jpg", ".jpeg", ".webp", ".zip")
"""Endings of what can be added."""

_DIGITS = "0123456789"
_SIZE = _DIGITS + "x×"

Scopes = Sequence[tuple[str, str, Sequence[ImageRow]]]
"""(id, label, rows) to choose the scope of a verb from, the likeliest first."""


def add(source: str, into: str) -> Settings:
    """How to take files in, and where when no dataset is open."""
    hows = [("copy", _("as copies")), ("link", _("as hard links")), ("in_place", _("by reference, where they are"))]
    where = into or source.rstrip("/").removesuffix(".zip") + "-lora"
    rows = [
        Setting("how", _("Take them"), hows),
        Setting("limit", _("At most"), [(str(DEFAULT_LIMIT), str(DEFAULT_LIMIT)), ("0", _("no limit"))], typed=_DIGITS),
    ]
    if not into:
        rows.insert(0, Setting("into", _("New dataset"), value=where, typed=ANYTHING))

    def note(values: dict[str, str]) -> tuple[str, bool]:
        if not values.get("into", into).strip() or not values["limit"]:
            return _("Something is missing here."), True
        return _("From {source}. Captions come along.").format(source=source), False

    return _Into(_("Add images"), rows, note, into)


class _Into(Settings):
    """The answer names the dataset in any case."""

    def __init__(self, title: str, rows: Sequence[Setting], note: object, into: str) -> None:
        super().__init__(title, rows, note)  # type: ignore[arg-type]
        self._into = into

    def action_accept(self) -> None:
        if self._say():
            self.dismiss({**self._values, "into": os.path.expanduser(self._values.get("into", self._into))})


def crop(scopes: Scopes, sizes: Sequence[str], face_model: str, size: str) -> Settings:
    """Which images to crop to what shape (of the base first, then the usual ones of others), around what."""
    sizes = list(dict.fromkeys([*sizes, *CROP_SIZES["sd15"], *CROP_SIZES["sdxl"]]))
    labels = [(one, one.replace("x", " × ")) for one in sizes]
    faces = [
        ("", _("nothing: what stands out")),
        ("yunet", _("yunet, for photographs")),
        ("anime-face", _("anime-face, for drawings")),
    ]
    rows = [
        Setting("scope", _("Images"), [(id, label) for id, label, _rows in scopes]),
        Setting("size", _("Size"), labels, value=size or sizes[0], typed=_SIZE),
        Setting("mode", _("Around"), [("focus", _("the subject")), ("center", _("the middle"))]),
        Setting("face_model", _("Faces by"), faces, value=face_model, typed=ANYTHING),
    ]

    def note(values: dict[str, str]) -> tuple[str, bool]:
        size = parsed(values["size"])
        if size is None:
            return _("A size is written like 512x768."), True
        chosen = next(rows for id, _label, rows in scopes if id == values["scope"])
        return enlarged(chosen, size), False

    return Settings(_("Crop"), rows, note)


def parsed(text: str) -> tuple[int, int] | None:
    """(width, height) of `512x768`, None when it is no such thing."""
    width, _x, height = text.replace("×", "x").partition("x")
    if not (width.strip().isdecimal() and height.strip().isdecimal()):
        return None
    return (int(width), int(height)) if int(width) >= 16 and int(height) >= 16 else None


def enlarged(rows: Sequence[ImageRow], size: tuple[int, int]) -> str:
    """How many of these images a crop to `size` would have to enlarge."""
    factors = [max(size[0] / row.width, size[1] / row.height) for row in rows if row.width]
    blurred = [factor for factor in factors if factor >= BLURS]
    told = counted(len(factors))
    if not blurred:
        return told + ". " + _("None would be enlarged.")
    many = ngettext(
        "{count} would be enlarged, up to ×{factor:.2f}.",
        "{count} would be enlarged, up to ×{factor:.2f}.",
        len(blurred),
    )
    return told + ". " + many.format(count=len(blurred), factor=max(blurred))


def split(scopes: Scopes, sizes: Sequence[str]) -> Settings:
    """Which images become several files, and how."""
    rows = [
        Setting("scope", _("Images"), [(id, label) for id, label, _rows in scopes]),
        Setting(
            "what", _("Write"), [("split", _("the parts of tall and wide ones")), ("mirror", _("mirrored copies"))]
        ),
        Setting("size", _("Shape of a part"), [("", _("square")), *((one, one.replace("x", " × ")) for one in sizes)]),
        Setting("overlap", _("Overlap"), [(str(share), f"{share} %") for share in (20, 10, 30, 40, 0)], value="20"),
        Setting("ratio", _("Only if longer"), [("1.5", "× 1.5"), ("2", "× 2"), ("1.2", "× 1.2")]),
        Setting("repeat", _("Their repeat"), typed=_DIGITS, hint=_("as the image's")),
    ]

    def note(values: dict[str, str]) -> tuple[str, bool]:
        if values["what"] == "mirror":
            return _("x mirrors without files. Letters and one-sided traits do not bear mirroring."), False
        return _("New files with the captions of their pictures; the originals stay."), False

    return Settings(_("Write more files"), rows, note)


def export(scopes: Scopes, out: str, cropped: int) -> Settings:
    """What to write into a folder."""
    whats = [
        ("kohya", _("a dataset for kohya's scripts")),
        ("crops", _("the cropped pictures ({count})").format(count=cropped)),
    ]
    rows = [
        Setting("what", _("Write"), whats if not cropped else whats[::-1]),
        Setting("scope", _("Crops of"), [(id, label) for id, label, _rows in scopes]),
        Setting("how", _("Whole pictures"), [("link", _("as hard links")), ("copy", _("as copies"))]),
    ]

    def note(values: dict[str, str]) -> tuple[str, bool]:
        if values["what"] == "crops" and not cropped:
            return _("No image is cropped yet; c crops."), True
        if values["what"] == "crops":
            return _("Into {out}, with their captions.").format(out=out), False
        return _("Into {out}: a folder per repeat, and dataset.toml.").format(out=out), False

    return Settings(_("Export"), rows, note)


def draw_reg(out: str) -> Settings:
    """How many regularisation images to draw, and from which words."""
    rows = [
        Setting("count", _("How many"), [("100", "100"), ("200", "200"), ("50", "50")], typed=_DIGITS),
        Setting("prompt", _("Prompt"), value="1girl", typed=ANYTHING),
    ]

    def note(values: dict[str, str]) -> tuple[str, bool]:
        if not values["count"].isdecimal() or int(values["count"]) < 1 or not values["prompt"].strip():
            return _("Something is missing here."), True
        return _("Into {out}. The class of the subject without the trigger: 1girl, a cat.").format(out=out), False

    return Settings(_("Draw regularisation images with the base"), rows, note)
