"""The values that replies carry and files keep: datasets, jobs, runs, estimates, pictures.

Plain immutable structs; whoever makes them (dataset, runs, estimate, models) owns the rules.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.params import BakeParams
from engine.protocol.tag_options import TagOptions


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records: immutable and keyword-only."""


CropMode = Literal["center", "focus"]
"""How a crop was found: the largest part around the middle, or around the subject."""

Fix = Literal["drop", "rotate", "flatten", "reencode", "rename", "decode"]
"""A change of a file that keeps what would be trained and can be undone: into the dataset's trash, upright, on white,
as plain RGB, under the right ending, as UTF-8."""


class Crop(Record, frozen=True):
    """The part of a picture that trains: `box` (left, top, right, bottom) in pixels of the upright picture, which was
    `of` (width, height) large when it was cropped for pictures of `size`; `mode` says how the box was found, `faces`
    how many were seen and `face_boxes` where, `cuts_face` that one of them is not whole in the box. `point` is where a
    person put its middle; `accepted` that a person has looked at it: both outlive a batch crop."""

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    of: tuple[int, int]
    mode: Literal["center", "focus", "point", "manual"] = "center"
    faces: int = 0
    cuts_face: bool = False
    face_boxes: list[tuple[int, int, int, int]] = []
    point: tuple[int, int] | None = None
    accepted: bool = False

    @property
    def enlargement(self) -> float:
        """How much longer a side becomes in a file of `size`; above 1 it blurs."""
        return self.size[0] / (self.box[2] - self.box[0])


class ImageRow(Record, frozen=True, omit_defaults=True):
    """One image of a dataset.

    `name` is relative to the dataset folder, sizes are pixels after EXIF rotation, `repeat` is what applies
    (None: the bake's global repeat), `own_repeat` what the user set for this image, `problem` a code of
    `errors.SENTENCES` or "". `marks` are its letters; with `flip` it also trains mirrored, `flip_repeat` times (None:
    as often as itself).
    """

    name: str
    width: int = 0
    height: int = 0
    bytes: int = 0
    caption: str | None = None
    repeat: int | None = None
    own_repeat: int | None = None
    problem: str = ""
    crop: Crop | None = None
    marks: str = ""
    flip: bool = False
    flip_repeat: int | None = None


class DatasetSummary(Record, frozen=True):
    """An opened dataset: its rows come by `dataset.rows`. `findings` are dataset-wide problems. Not `complete`: the
    files are counted and not yet read, and `dataset.summary` tells more once all rows have come."""

    path: str
    images: int
    captioned: int = 0
    readable: int = 0
    reg: str = ""
    findings: list[ErrorInfo] = []
    complete: bool = True


class DatasetPage(Record, frozen=True):
    """Rows from `offset` on; `next` is the offset of the following page, None at the end."""

    path: str
    offset: int
    rows: list[ImageRow]
    next: int | None = None


class Picture(Record, frozen=True):
    """Pixels for the terminal: zlib-compressed RGB rows, `width` × `height` × 3 bytes when inflated, or the PNG or JPEG
    file that was asked for."""

    width: int
    height: int
    data: bytes
    full_width: int = 0
    full_height: int = 0


class ModelRow(Record, frozen=True):
    """A base model, tagger or face detector of the catalogue; `path` is where it is or would be, `bytes` its size."""

    name: str
    kind: Literal["base", "tagger", "detector"]
    family: str = ""
    title: str = ""
    path: str = ""
    present: bool = False
    bytes: int = 0
    licence: str = ""
    resolution: int = 0
    source: str = ""
    note: str = ""
    line: str = ""
    commercial: bool = True


class PresetRow(Record, frozen=True):
    """A preset: what it is for and the parameters it sets (only those that differ from the defaults).

    `line` is the kind of models within the family that it is made for ("" for all); `own` that a person saved it.
    """

    name: str
    theme: str
    family: str
    line: str = ""
    own: bool = False
    title: str = ""
    bases: list[str] = []
    views: int = 0
    params: dict[str, str | int | float | bool] = {}


class BucketRow(Record, frozen=True):
    """A bucket (width × height in pixels), how many image views an epoch takes from it, and its steps."""

    width: int
    height: int
    images: int
    views: int
    steps: int


class Finding(Record, frozen=True):
    """Something the doctor found: about the image `file` ("" for the whole dataset; of the regularisation set when
    `reg`), a code of `errors.SENTENCES` with its arguments, and the safe fix there is ("" for none)."""

    file: str
    code: str
    message: str
    fix: Fix | Literal[""] = ""
    hint: str = ""
    args: dict[str, str] = {}
    reg: bool = False


class BucketCheck(Record, frozen=True):
    """A bucket (`size` is "width×height" in pixels with a plain x): its images, what an epoch takes, the mean share
    of their area that survives the crop, and how many are enlarged; regularisation images included."""

    size: str
    images: int
    views: int
    steps: int
    kept: float
    enlarged: int


class RegUse(Record, frozen=True):
    """What becomes of the regularisation images: `used` in each epoch, `repeated` more than once, `unused` not at
    all; `views` per epoch, equal to those of the training images."""

    used: int = 0
    repeated: int = 0
    unused: int = 0
    views: int = 0


class CheckReport(Record, frozen=True):
    """What the doctor says of a dataset. `findings` are the first of `total`, the others come by `dataset.findings`
    from `next` on. The numbers of steps are 0 when no image can be trained. `trigger` is the word that was looked
    for: the one asked for, else the one most captions begin with, else ""."""

    path: str
    images: int
    findings: list[Finding]
    total: int
    next: int | None
    buckets: list[BucketCheck] = []
    reg: RegUse | None = None
    trigger: str = ""
    image_views: int = 0
    epochs: int = 0
    steps_per_epoch: int = 0
    optimizer_steps: int = 0


class FindingsPage(Record, frozen=True):
    """Findings from `offset` on; `next` is the offset of the following page, None at the end."""

    path: str
    offset: int
    findings: list[Finding]
    next: int | None = None


class Fixed(Record, frozen=True):
    """A file that was changed, and how; `file` is its name before."""

    file: str
    fixes: list[Fix]


class FixReport(Record, frozen=True):
    """What a round of fixes (or its undoing) did: `count` files, the first thousands of them by name, and what
    could not be done."""

    count: int
    files: list[Fixed] = []
    failed: list[Finding] = []


class CropReport(Record, frozen=True):
    """What cropping did to a dataset of `images` pictures: `cropped` of them have a crop now (the rows tell which),
    `kept` were left as a person had placed them, `exported` files were written, `failed` were not; `notices` is what a
    person should know."""

    path: str
    images: int
    cropped: int
    kept: int = 0
    exported: int = 0
    failed: list[Finding] = []
    notices: list[ErrorInfo] = []


class Forecast(Record, frozen=True):
    """An estimate as it stood when a bake was submitted; zeros where nothing was known."""

    seconds: float = 0.0
    memory_bytes: int = 0
    source: str = ""


class ManifestEntry(Record, frozen=True):
    """One image as frozen at submit: content hash, caption as read, repeat as it applied.

    `file` is absolute (see `engine.dataset.names` for odd spellings), `name` relative to its dataset, sizes are
    pixels after EXIF rotation, of the whole picture where it has a `crop`. A `validation` image is measured with and
    never trained; with `flip` this is the mirrored picture of an image that may stand here as well.
    """

    file: str
    sha256: str
    caption: str
    repeat: int
    width: int
    height: int
    reg: bool = False
    name: str = ""
    validation: bool = False
    crop: Crop | None = None
    flip: bool = False


class Job(Record, frozen=True):
    """What was asked for, frozen: written once to job.toml, never changed. Paths are absolute. A job
    of kind reg draws `count` pictures of its `prompts` into `out`; `forecast` is the estimate of a bake."""

    id: str
    kind: Literal["bake", "fake", "tag", "crop", "test", "reg", "probe"]
    name: str
    created: float
    dataset: str
    reg: str = ""
    base: str = ""
    preset: str = ""
    out: str = ""
    params: BakeParams = BakeParams()
    tagging: TagOptions = TagOptions()
    parent: str = ""
    parent_epoch: int = 0
    branched: str = ""
    prompts: list[str] = []
    count: int = 0
    forecast: Forecast = Forecast()


RunState = Literal[
    "held", "queued", "scheduled", "starting", "running", "paused", "stopping", "done", "stopped", "failed", "cancelled"
]
LIVE_STATES: frozenset[str] = frozenset({"starting", "running", "paused", "stopping"})
WAITING_STATES: frozenset[str] = frozenset({"held", "queued", "scheduled"})


class RunRow(Record, frozen=True):
    """A job and where its run stands; `position` counts waiting jobs from 1, 0 for the others.

    `resumable`: it has ended before its end and can be queued again. `stalled`: alive, but silent for long. `begun` and
    `told` are when its worker's first and last events of this boot came; `starts` and `ends` are estimates to the
    minute, of waiting and live jobs. `when` is the schedule as a person would write it, `retries` how often a dead
    worker is still replaced, `device` what it runs on, `parent` the run that it was branched from, `crash` that it is
    held because the machine or the engine went down before it began.
    """

    id: str
    name: str
    kind: str
    state: RunState
    dir: str
    created: float = 0.0
    dataset: str = ""
    base: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    position: int = 0
    phase: str = ""
    eta_s: float | None = None
    loss: float | None = None
    finished: float | None = None
    error: ErrorInfo | None = None
    resumable: bool = False
    stalled: bool = False
    begun: float = 0.0
    told: float = 0.0
    starts: float | None = None
    ends: float | None = None
    when: str = ""
    retries: int = 0
    device: str = ""
    parent: str = ""
    crash: bool = False


class Gpu(Record, frozen=True):
    """One GPU as the driver reports it; memory in bytes, temperature in °C, power in W. `others` processes that are
    no bakes of this home compute on it, with `others_memory` bytes."""

    index: int
    name: str
    utilisation: int = 0
    memory_used: int = 0
    memory_total: int = 0
    temperature: int = 0
    power: float = 0.0
    others: int = 0
    others_memory: int = 0


class DeviceSample(Record, frozen=True):
    """The machine at one moment; `gpus` is empty where no driver answers."""

    t: float
    cpu_percent: float = 0.0
    memory_used: int = 0
    memory_total: int = 0
    disk_free: int = 0
    gpus: list[Gpu] = []


class Check(Record, frozen=True):
    """One line of the doctor: `state` is ok, warn or fail; `text` a short fact; `hint` what to do."""

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    hint: str = ""


class DoctorReport(Record, frozen=True):
    """What `lorabake doctor` found on this machine."""

    checks: list[Check]
