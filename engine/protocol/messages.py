"""Requests, replies and pushes between a viewer and `engine host`, with typed parameters and results for each.

The host's dispatch table and the client's calls both come from `METHODS`; what a method does is the host's business.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from engine.protocol import PROTOCOL, datasets, drawing, publishing, recipes, tagging, tags
from engine.protocol.adapters import LoraInfo
from engine.protocol.errors import ErrorInfo
from engine.protocol.estimates import Estimate, Outcome, Rates
from engine.protocol.found import Filters, Found, Suggestions, TagTable
from engine.protocol.records import (
    CheckReport,
    CropMode,
    CropReport,
    DatasetPage,
    DatasetSummary,
    DeviceSample,
    DoctorReport,
    FindingsPage,
    FixReport,
    Job,
    ModelRow,
    Picture,
    PresetRow,
    RunRow,
)
from engine.protocol.running import (
    Batch as Batch,
)
from engine.protocol.running import (
    BoardParams as BoardParams,
)
from engine.protocol.running import (
    BoardReport as BoardReport,
)
from engine.protocol.running import (
    Branch as Branch,
)
from engine.protocol.running import (
    ControlParams as ControlParams,
)
from engine.protocol.running import (
    MoveParams as MoveParams,
)
from engine.protocol.running import (
    Past as Past,
)
from engine.protocol.running import (
    RunParams as RunParams,
)
from engine.protocol.running import (
    ScheduleParams as ScheduleParams,
)
from engine.protocol.running import (
    Submit as Submit,
)
from engine.protocol.running import (
    WatchParams as WatchParams,
)
from engine.protocol.telling import TellReport, TellSettings


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """The first line of the host: who it is and what it can do."""

    protocol: int = PROTOCOL
    engine: str
    pid: int
    home: str
    capabilities: list[str]
    limits: dict[str, int]


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="request"):
    """A call of a method of `METHODS`; `id` is unique per connection."""

    id: int
    method: str
    params: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reply", omit_defaults=True):
    """The answer to the request with the same id: a result, or an error."""

    id: int
    result: Any = None
    error: ErrorInfo | None = None


class RunsChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runs"):
    """The list of runs and queued jobs as it is now; pushed when it changed and somebody subscribed."""

    runs: list[RunRow]


class DevicePush(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="device"):
    """One telemetry sample; pushed every second or two to subscribers."""

    sample: DeviceSample


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="progress"):
    """How far a long request is, a few times a second: `done` of `total` files; `task` names its method."""

    path: str
    task: str
    done: int
    total: int


Push = Batch | Past | RunsChanged | DevicePush | Progress


class Empty(msgspec.Struct, frozen=True):
    """No parameters, or nothing to tell."""


class PathParams(msgspec.Struct, frozen=True, kw_only=True):
    """A folder on the engine's machine."""

    path: str


class DatasetRows(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an opened dataset, from row `offset` on; as many rows as fit a line."""

    path: str
    offset: int = 0


class FilterParams(msgspec.Struct, frozen=True, kw_only=True):
    """A filter over the rows of a dataset; "" finds all of them."""

    path: str
    text: str = ""


class CompleteParams(msgspec.Struct, frozen=True, kw_only=True):
    """What may be typed next where the cursor stands in a filter (a position, 0 in front)."""

    path: str
    text: str
    cursor: int
    limit: int = 12


class KeepFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Put a filter into the history, or save it under `name`; saving "" takes the name away."""

    path: str
    text: str
    name: str = ""


class SetCaption(msgspec.Struct, frozen=True, kw_only=True):
    """Write the caption of one image; `expected` is the text the editor started from (None: no file)."""

    path: str
    image: str
    caption: str
    expected: str | None = None


class SetRepeat(msgspec.Struct, frozen=True, kw_only=True):
    """Give images their own repeat, or take it away with None."""

    path: str
    images: list[str]
    repeat: int | None


class CheckParams(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as it would be baked with `params` (a plain mapping, the defaults where it says nothing) on
    `base` (a name or path; "" leaves out what depends on it)."""

    path: str
    reg: str = ""
    params: dict[str, Any] = {}
    trigger: str = ""
    base: str = ""


class FindingsParams(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what the last check of a dataset found."""

    path: str
    offset: int = 0


class FixParams(CheckParams, frozen=True, kw_only=True):
    """What to fix: only these codes and only these images, where any are named."""

    codes: list[str] = []
    files: list[str] = []


class CropParams(msgspec.Struct, frozen=True, kw_only=True):
    """Crop the images of a dataset (only those named, if any are): `size` as "512x768" sets crops, `clear` takes them
    away first, `export` writes the cropped pictures with their captions into that folder. `face_model` is a face
    detector for `focus` (a name of the catalogue, or a YuNet or YOLO ONNX file); without one it goes by what stands
    out."""

    path: str
    size: str = ""
    mode: CropMode = "center"
    clear: bool = False
    export: str = ""
    face_model: str = ""
    images: list[str] = []


class PictureParams(msgspec.Struct, frozen=True, kw_only=True):
    """A picture scaled to fit `width` × `height` pixels; `file` is relative to `root` and must lie inside it.
    As rows of pixels, or as a file for terminals that draw files. With `zoom` above 1 the part around `at` (0 to 1
    from left and top) that many times as large."""

    root: str
    file: str
    width: int
    height: int
    encoding: Literal["raw", "png", "jpeg"] = "raw"
    zoom: int = 1
    at: tuple[float, float] = (0.5, 0.5)


class EstimateParams(msgspec.Struct, frozen=True, kw_only=True):
    """What `estimate` needs; `params` is a plain mapping so that a half-edited form gets a precise error."""

    dataset: str
    reg: str = ""
    base: str = "demo"
    params: dict[str, Any] = {}


class PresetParams(msgspec.Struct, frozen=True, kw_only=True):
    """A preset by name, resolved for a base and a number of images (repeat follows from it; 0 = unknown)."""

    name: str
    base: str = ""
    images: int = 0


class PresetText(msgspec.Struct, frozen=True, kw_only=True):
    """A preset's file as it is written, reasons and all."""

    path: str
    text: str


class SavePreset(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a preset of one's own: the one called `preset` ("" for the defaults) overlaid by `params`. Without a repeat
    of its own it keeps the views of that preset, so that the repeat goes on following the number of images."""

    name: str
    preset: str = ""
    params: dict[str, Any] = {}
    title: str = ""
    family: str = ""
    force: bool = False


class ImportPreset(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a file as a preset of one's own: a preset somebody shared, or a recipe of another trainer."""

    path: str
    name: str = ""
    force: bool = False


class ImportedPreset(msgspec.Struct, frozen=True, kw_only=True):
    """The preset, and what became of each line of the file."""

    row: PresetRow
    recipe: recipes.Recipe


class Method(NamedTuple):
    """The parameter and result types of one method."""

    params: type
    result: Any


METHODS: dict[str, Method] = {
    "dataset.open": Method(PathParams, DatasetSummary),
    "dataset.sample": Method(Empty, PathParams),
    "dataset.rows": Method(DatasetRows, DatasetPage),
    "dataset.tags": Method(PathParams, TagTable),
    "dataset.filter": Method(FilterParams, Found),
    "dataset.complete_filter": Method(CompleteParams, Suggestions),
    "dataset.filters": Method(PathParams, Filters),
    "dataset.keep_filter": Method(KeepFilter, Filters),
    "tags.table": Method(FilterParams, TagTable),
    "tags.suggest": Method(tags.SuggestTags, Suggestions),
    "tags.traits": Method(tags.TraitsParams, tags.Traits),
    "tags.bind": Method(tags.BindParams, tags.TagReport),
    "tags.rules": Method(tags.RulesParams, tags.RuleTable),
    "tags.desk": Method(tags.DeskParams, tags.Desk),
    "tags.trains": Method(tags.TrainsParams, tags.Trains),
    "tags.review": Method(tags.ReviewParams, tags.Review),
    "tags.judge": Method(tags.JudgeParams, Empty),
    "tags.edit": Method(tags.EditParams, tags.TagReport),
    "tags.replay": Method(tags.ReplayParams, tags.TagReport),
    "tags.own": Method(tags.OwnParams, tags.OwnReport),
    "tags.undo": Method(tags.StepParams, tags.TagReport),
    "tags.redo": Method(tags.StepParams, tags.TagReport),
    "tags.history": Method(PathParams, tags.EditHistory),
    "dataset.set_caption": Method(SetCaption, DatasetPage),
    "dataset.set_repeat": Method(SetRepeat, DatasetPage),
    "dataset.check": Method(CheckParams, CheckReport),
    "dataset.findings": Method(FindingsParams, FindingsPage),
    "dataset.fix": Method(FixParams, FixReport),
    "dataset.undo_fix": Method(PathParams, FixReport),
    "dataset.crop": Method(CropParams, CropReport),
    "dataset.summary": Method(PathParams, DatasetSummary),
    "dataset.add": Method(datasets.AddParams, datasets.AddReport),
    "dataset.remove": Method(datasets.ImagesParams, datasets.ChangeReport),
    "dataset.undo": Method(datasets.UndoParams, datasets.UndoReport),
    "dataset.history": Method(PathParams, list[datasets.Change]),
    "dataset.trash": Method(PathParams, datasets.TrashReport),
    "dataset.empty_trash": Method(PathParams, datasets.TrashReport),
    "dataset.mark": Method(datasets.MarkParams, datasets.RowsReport),
    "dataset.repeat": Method(datasets.RepeatParams, datasets.RowsReport),
    "dataset.flip": Method(datasets.FlipParams, datasets.RowsReport),
    "dataset.mirror": Method(datasets.MirrorParams, datasets.ChangeReport),
    "dataset.split": Method(datasets.SplitParams, datasets.ChangeReport),
    "dataset.plan": Method(datasets.PlanParams, datasets.PlanTable),
    "dataset.set_crop": Method(datasets.SetCrop, datasets.RowsReport),
    "dataset.suggest_crops": Method(datasets.SuggestParams, datasets.CropChoices),
    "dataset.export": Method(datasets.ExportParams, datasets.ExportReport),
    "dataset.sheet": Method(datasets.SheetParams, datasets.SheetReport),
    "dataset.pictures": Method(datasets.PicturesParams, datasets.Pictures),
    "dataset.cancel": Method(datasets.CancelParams, Empty),
    "reg.submit": Method(datasets.RegParams, RunRow),
    "tags.submit": Method(tagging.TagSubmit, RunRow),
    "tags.thresholds": Method(tagging.ThresholdParams, tagging.TaggingReport),
    "tags.scores": Method(tagging.ScoresParams, tagging.ImageScores),
    "draw.defaults": Method(drawing.DrawParams, drawing.DrawDefaults),
    "draw.submit": Method(drawing.DrawParams, drawing.Drawn),
    "draw.list": Method(Empty, list[drawing.Drawn]),
    "draw.show": Method(drawing.DrawnParams, drawing.Drawn),
    "draw.now": Method(drawing.DrawnParams, drawing.Drawn),
    "draw.stop": Method(drawing.DrawnParams, drawing.Drawn),
    "results.show": Method(RunParams, publishing.RunResults),
    "results.publish": Method(publishing.PublishParams, publishing.Published),
    "results.prune": Method(publishing.PruneParams, publishing.Pruned),
    "results.trash": Method(publishing.TrashParams, publishing.Trash),
    "picture": Method(PictureParams, Picture),
    "lora.info": Method(PathParams, LoraInfo),
    "models.list": Method(Empty, list[ModelRow]),
    "presets.list": Method(Empty, list[PresetRow]),
    "presets.resolve": Method(PresetParams, PresetRow),
    "estimate": Method(EstimateParams, Estimate),
    "presets.text": Method(PresetParams, PresetText),
    "presets.save": Method(SavePreset, PresetRow),
    "presets.import": Method(ImportPreset, ImportedPreset),
    "presets.remove": Method(PresetParams, Empty),
    "recipes.read": Method(PathParams, recipes.Recipe),
    "recipes.write": Method(recipes.WriteRecipe, recipes.RecipeText),
    "rates.get": Method(Empty, Rates),
    "rates.set": Method(Rates, Rates),
    "runs.submit": Method(Submit, RunRow),
    "runs.list": Method(Empty, list[RunRow]),
    "runs.job": Method(RunParams, Job),
    "runs.outcome": Method(RunParams, list[Outcome]),
    "runs.watch": Method(WatchParams, RunRow),
    "runs.unwatch": Method(RunParams, Empty),
    "runs.control": Method(ControlParams, RunRow),
    "runs.resume": Method(RunParams, RunRow),
    "runs.subscribe": Method(Empty, list[RunRow]),
    "queue.cancel": Method(RunParams, RunRow),
    "queue.hold": Method(RunParams, RunRow),
    "queue.start": Method(RunParams, RunRow),
    "queue.move": Method(MoveParams, RunRow),
    "queue.plan": Method(ScheduleParams, RunRow),
    "runs.branch": Method(Branch, RunRow),
    "runs.tensorboard": Method(BoardParams, BoardReport),
    "tell.get": Method(Empty, TellSettings),
    "tell.set": Method(TellSettings, TellSettings),
    "tell.test": Method(Empty, TellReport),
    "device.subscribe": Method(Empty, DeviceSample),
    "doctor": Method(Empty, DoctorReport),
    "log.tail": Method(RunParams, str),
}
"""Method → types. A viewer may call these and nothing else."""
