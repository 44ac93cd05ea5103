"""What a viewer may ask of a dataset beyond opening it: add, remove, augment, repeat, crop by hand, export, undo.

Parameters and results of the `dataset.*` methods, listed in `messages.METHODS`; the rules are `engine.dataset`'s.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.records import BucketRow, Finding, ImageRow, Picture, Record, RegUse

Bounds = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the upright picture."""

CROP_SIZES: dict[str, tuple[str, ...]] = {
    "sd15": ("512x768", "512x512", "768x512"),
    "sdxl": ("768x1024", "1024x1024", "1024x768"),
}
"""Family of a base model → the usual sizes to crop to."""

_OWN_SIDE = {"sd15": 512, "sdxl": 1024}


def crop_sizes(family: str, resolution: int = 0) -> tuple[str, ...]:
    """The usual sizes of a family, in proportion where the bake has another resolution than the family's (the
    embedded base: 64 × 96, 64 × 64, 96 × 64); those of SD 1.5 for a family that is not known."""
    known = family if family in CROP_SIZES else "sd15"
    share = (resolution or _OWN_SIDE[known]) / _OWN_SIDE[known]

    def scaled(size: str) -> str:
        return "x".join(str(max(16, round(int(side) * share / 8) * 8)) for side in size.split("x"))

    return tuple(scaled(size) for size in CROP_SIZES[known])


DEFAULT_LIMIT = 1000
"""Images a dataset takes by default; more is a question, not an error in the files."""

AddHow = Literal["copy", "link", "in_place"]
"""Own copies; hard links where the disk can (else copies); symbolic links to files that stay where they are."""

ChangeKind = Literal["fix", "add", "remove", "mirror", "split", "crop", "repeat", "flip", "mark"]
"""What a round of changes was."""


class AddParams(msgspec.Struct, frozen=True, kw_only=True):
    """Take files, folders and zip archives (absolute paths) into the dataset `path`, which is made where it is missing.

    Captions come along. Past `limit` images nothing more is taken and the report says so; 0 sets none.
    """

    path: str
    sources: list[str]
    how: AddHow = "copy"
    limit: int = DEFAULT_LIMIT


class Added(Record, frozen=True):
    """An image that was taken: its name in the dataset, and where it came from (inside a zip: "a.zip: x/y.png")."""

    file: str
    source: str


class AddReport(Record, frozen=True):
    """`added` images are in the dataset now, the first thousands by name in `files`; `skipped` are not, each with its
    reason (`add_duplicate`, `add_limit`, `zip_…`, `image_unreadable` …); `notices` is what to know of those added."""

    path: str
    added: int
    images: int
    files: list[Added] = []
    skipped: list[Finding] = []
    skipped_count: int = 0
    notices: list[Finding] = []


class ImagesParams(msgspec.Struct, frozen=True, kw_only=True):
    """Some images of a dataset by name."""

    path: str
    images: list[str]


class ChangeReport(Record, frozen=True):
    """What became of the files of a dataset: `count` images changed, `made` new ones by name, `failed` and `notices`
    with their reasons; `images` are in the dataset now."""

    path: str
    count: int
    images: int
    made: list[str] = []
    failed: list[Finding] = []
    notices: list[Finding] = []


class UndoParams(msgspec.Struct, frozen=True, kw_only=True):
    """Take back the youngest round of changes, or the youngest of one kind."""

    path: str
    kind: ChangeKind | Literal[""] = ""


class Change(Record, frozen=True):
    """A round of changes that can be taken back: what it was, when (seconds since 1970), how many files or images."""

    batch: str
    kind: ChangeKind
    t: float
    count: int


class UndoReport(Record, frozen=True):
    """`change` was taken back but for `failed`; `left` more rounds can be."""

    path: str
    change: Change
    images: int
    left: int
    failed: list[Finding] = []


class TrashReport(Record, frozen=True):
    """`files` of `bytes` in all lie in a dataset's trash; `rounds` of changes can be taken back only while they do."""

    path: str
    files: int
    bytes: int
    rounds: int


class MarkParams(msgspec.Struct, frozen=True, kw_only=True):
    """Set (True) or take away (False) the mark, one letter or digit, of some images; kept with the dataset."""

    path: str
    images: list[str]
    mark: str
    on: bool


class RepeatParams(msgspec.Struct, frozen=True, kw_only=True):
    """Set the repeat of images, or of everything with a mark, or of everything in a folder ("." for the top); None
    takes it away, 0 leaves out. An image's own comes first, then its marks' (the highest), its folder's, the bake's."""

    path: str
    repeat: int | None
    images: list[str] = []
    mark: str = ""
    folder: str = ""


class FlipParams(msgspec.Struct, frozen=True, kw_only=True):
    """Let some images train mirrored as well, or no longer; `repeat` for the mirrored views, None for the image's."""

    path: str
    images: list[str]
    on: bool
    repeat: int | None = None


class MirrorParams(msgspec.Struct, frozen=True, kw_only=True):
    """Write mirrored copies of some images (all where none is named) as files, with captions and their own repeat."""

    path: str
    images: list[str] = []
    repeat: int | None = None


class SplitParams(msgspec.Struct, frozen=True, kw_only=True):
    """Write the parts of tall and wide images as files: parts of shape `size` ("512x768"; "" for squares), as many as
    cover the picture with `overlap` (a share of a part). Only pictures `ratio` times longer than a part are split."""

    path: str
    images: list[str] = []
    size: str = ""
    overlap: float = 0.2
    ratio: float = 1.5
    repeat: int | None = None


class RowsReport(Record, frozen=True):
    """The rows of the images that were changed, and what a person should know of the change."""

    path: str
    rows: list[ImageRow]
    notices: list[Finding] = []


class PlanParams(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset (and regularisation set) as a bake with `params` would take them."""

    path: str
    reg: str = ""
    params: dict[str, Any] = {}


class GroupViews(Record, frozen=True):
    """A folder ("." for the top) or a mark: its images, the repeat set for it (None: none), views per epoch."""

    name: str
    images: int
    views: int
    repeat: int | None = None


class PlanTable(Record, frozen=True):
    """What each image is in a bake, in the order of the rows: `bucket` is a place in `buckets` (-1: not trained),
    `views` per epoch with mirrored ones, `enlarged` by how much in hundredths (100: as it is). `reg_views` are those
    of the regularisation rows: 0 left out, above their own repeat repeated."""

    path: str
    buckets: list[BucketRow]
    bucket: list[int]
    views: list[int]
    enlarged: list[int]
    folders: list[GroupViews] = []
    marks: list[GroupViews] = []
    reg: RegUse | None = None
    reg_views: list[int] = []
    image_views: int = 0
    epochs: int = 0
    steps_per_epoch: int = 0
    optimizer_steps: int = 0


class SetCrop(msgspec.Struct, frozen=True, kw_only=True):
    """The crop of one image by hand: the part `box` in pixels of the upright picture, or the largest part of the
    shape of `size` ("512x768") with `point` as near to its middle as the rim allows; neither takes the crop away.
    `accepted` says that a person has looked at it."""

    path: str
    image: str
    size: str = ""
    box: Bounds | None = None
    point: tuple[int, int] | None = None
    accepted: bool = False
    face_model: str = ""


class SuggestParams(msgspec.Struct, frozen=True, kw_only=True):
    """What could be cropped to `size` in an image; `face_model` as for `dataset.crop`."""

    path: str
    image: str
    size: str
    face_model: str = ""


class CropChoice(Record, frozen=True):
    """A crop that could be: around all faces, one of them, what stands out, or the middle."""

    why: Literal["faces", "face", "salient", "center"]
    box: Bounds
    cuts_face: bool = False


class CropChoices(Record, frozen=True):
    """The faces of an image (largest first) and the crops to choose from, the best first."""

    path: str
    image: str
    faces: list[Bounds]
    choices: list[CropChoice]


class ExportParams(msgspec.Struct, frozen=True, kw_only=True):
    """Write a dataset for kohya's trainers into `out`: a folder per repeat (`10_name`) with links (or copies), cropped
    pictures as files, and `dataset.toml` for a bake with `params`."""

    path: str
    out: str
    reg: str = ""
    params: dict[str, Any] = {}
    how: Literal["link", "copy"] = "link"
    crops: bool = True


class ExportReport(Record, frozen=True):
    """`files` images were written below `out` in `folders`, described by `toml`."""

    path: str
    out: str
    toml: str
    files: int
    folders: list[GroupViews]
    failed: list[Finding] = []
    notices: list[ErrorInfo] = []


class SheetParams(msgspec.Struct, frozen=True, kw_only=True):
    """Write a contact sheet (PNG) of some images (all where none is named) with cells of `cell` pixels; into `out`,
    or a file in LoRABake's cache. More than fit one sheet make several."""

    path: str
    images: list[str] = []
    out: str = ""
    columns: int = 8
    cell: int = 192


class SheetReport(Record, frozen=True):
    """The files of a contact sheet."""

    files: list[str]
    images: int


class PicturesParams(msgspec.Struct, frozen=True, kw_only=True):
    """Small pictures of several images at once, each fitting `width` × `height`; at most 64."""

    path: str
    images: list[str]
    width: int
    height: int


class Pictures(Record, frozen=True):
    """One picture per image that was asked for, None where it cannot be drawn."""

    pictures: list[Picture | None]


class CancelParams(msgspec.Struct, frozen=True, kw_only=True):
    """End the long requests at work on a dataset (all methods, or one) with the error `cancelled`; what is done stays
    done, and can be undone."""

    path: str
    task: str = ""


class RegParams(msgspec.Struct, frozen=True, kw_only=True):
    """Queue a job that draws `count` regularisation images with the base, `prompts` in turn, into the folder `out`,
    each with its prompt as caption. Pictures that are there already are kept; `params` gives resolution, seed and
    the `preview_…` settings."""

    out: str
    base: str = "demo"
    prompts: list[str] = []
    count: int = 100
    params: dict[str, Any] = {}
    preset: str = ""
    name: str = ""
    start: bool = True
