"""The dataset's doctor: everything about images, captions and buckets that makes a bad LoRA, as findings with a code.

Judges what `facts`, `duplicates` and `plan` found out; nothing is changed here (`fixes` does that).
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from engine.dataset import captions, duplicates
from engine.dataset.encodings import guess
from engine.dataset.facts import Facts, examine
from engine.dataset.mirroring import against_mirroring
from engine.dataset.plan import BakePlan, Item, make_plan
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tell import Tell, silent
from engine.dataset.tokens import about_tokens
from engine.protocol.datasets import CROP_SIZES
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.params import BakeParams
from engine.protocol.records import BucketCheck, Finding, Fix, RegUse

FIXES: dict[str, Fix] = {
    "image_unreadable": "drop",
    "image_duplicate": "drop",
    "image_rotated": "rotate",
    "image_alpha": "flatten",
    "image_mode": "reencode",
    "image_animated": "reencode",
    "image_extension": "rename",
    "caption_undecodable": "decode",
}
"""Finding → what mends it safely; the other findings need a person's eye."""

SUFFIXES = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",)}
"""The endings of a format, the usual one first."""

_ENLARGED = 1.02
_TINY = 2.0
_LOST = 0.2
_EXTREME = 3.0
_LEADS = 0.6
_COUNT_TAG = re.compile(r"\d+\+?(girl|boy|other)s?|solo|no humans", re.IGNORECASE)


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Findings in the order of the images (regularisation last, then what concerns the whole dataset), and the plan
    they were judged by; None when no image can be trained."""

    dataset: Dataset
    findings: list[Finding]
    plan: BakePlan | None
    buckets: list[BucketCheck]
    reg: RegUse | None
    trigger: str
    facts: dict[str, Facts]


def diagnose(
    dataset: Dataset,
    reg: Dataset | None,
    params: BakeParams,
    *,
    trigger: str = "",
    family: str = "",
    tell: Tell = silent,
) -> Diagnosis:
    """Decode and judge every image and caption, as a bake with `params` would take them; on a base of `family`, where
    one is named, also the sizes that were cropped to."""
    total = len(dataset.images) + len(reg.images if reg else ())
    facts = examine(dataset, lambda done, _: tell(done, total))
    reg_facts = examine(reg, lambda done, _: tell(len(facts) + done, total)) if reg else {}
    wanted = trigger.strip() or presumed_trigger([image.caption or "" for image in dataset.images])
    plan = _plan(dataset, reg, params)
    fits = {(item.reg, item.image.name): item for item in plan.items + plan.validation} if plan else {}

    rows: list[Finding] = []
    same = duplicates.same_files(dataset.images)
    alike = duplicates.look_alikes([facts[image.name] for image in dataset.images])
    dropped = {_worse(dataset.images, later, first): (later, first) for later, first in same.items()}
    for index, image in enumerate(dataset.images):
        rows += _of_file(image, facts[image.name], dataset.images)
        if index in dropped:
            other = next(place for place in dropped[index] if place != index)
            rows.append(_finding(image, "image_duplicate", other=dataset.images[other].name))
        elif index in alike and index not in same:
            rows.append(_finding(image, "image_similar", other=dataset.images[alike[index]].name))
        if not facts[image.name].error:
            rows += _of_fit(image, fits.get((False, image.name)))
            rows += _of_crop(image)
        rows += _of_caption(image, params, wanted)
    if reg:
        rows += _of_reg(reg, reg_facts, dataset, facts)
    rows += [_whole(info) for info in dataset.findings if not _judged(info, facts)]
    rows += _foreign_crops(dataset.images, family)
    rows += _small_buckets(plan, params)
    return Diagnosis(
        dataset=dataset,
        findings=rows,
        plan=plan,
        buckets=_buckets(plan),
        reg=plan.reg if plan and reg else None,
        trigger=wanted,
        facts=facts,
    )


_JUDGED_HERE = frozenset({"image_unreadable", "image_too_large", "caption_undecodable", "caption_too_long"})


def _judged(info: ErrorInfo, facts: Mapping[str, Facts]) -> bool:
    """Whether what the scan said of a file is said again, by name, once it was decoded."""
    return info.code in _JUDGED_HERE and (info.code.startswith("caption") or info.args.get("file") in facts)


def presumed_trigger(texts: Sequence[str]) -> str:
    """The word that most captions begin with, if it is one of their own and not a count like `1girl`; else ""."""
    starts = [tags[0] for text in texts if (tags := captions.split_tags(text))]
    if len(starts) < 3:
        return ""
    word, count = Counter(starts).most_common(1)[0]
    return "" if count < _LEADS * len(starts) or _COUNT_TAG.fullmatch(word) else word


def _plan(dataset: Dataset, reg: Dataset | None, params: BakeParams) -> BakePlan | None:
    try:
        return make_plan(dataset, reg, params)
    except EngineError:
        return None


def _finding(image: ImageFile, code: str, *, fixable: bool = True, reg: bool = False, **args: str | int) -> Finding:
    info = describe(code, recoverable=False, file=image.name, **args)
    return _as_finding(image.name, info, fixable=fixable, reg=reg)


def _as_finding(name: str, info: ErrorInfo, *, fixable: bool = True, reg: bool = False) -> Finding:
    fix: Fix | Literal[""] = FIXES.get(info.code, "") if fixable and not reg else ""
    return Finding(file=name, code=info.code, message=info.message, hint=info.hint, args=info.args, fix=fix, reg=reg)


def _whole(info: ErrorInfo) -> Finding:
    return _as_finding(info.args.get("file", ""), info, fixable=False)


def _worse(images: Sequence[ImageFile], later: int, first: int) -> int:
    """Which of two equal files to drop: the one without a caption, else the later one."""
    return first if images[later].caption and not images[first].caption else later


def _of_file(image: ImageFile, facts: Facts, images: Sequence[ImageFile], *, reg: bool = False) -> Iterator[Finding]:
    if facts.error is not None:
        # What could not even be opened may be whole: no reason to put it away.
        yield _as_finding(image.name, facts.error, fixable=facts.mtime_ns > 0, reg=reg)
        return
    if facts.damaged:
        yield _finding(image, "image_damaged", reg=reg)
    if facts.cut:
        yield _finding(image, "image_cut", reg=reg)
    suffix = os.path.splitext(image.name)[1].lower()
    if suffix not in SUFFIXES[facts.kind]:
        wanted = os.path.splitext(image.name)[0] + SUFFIXES[facts.kind][0]
        taken = any(other.name == wanted for other in images)
        yield _finding(image, "image_extension", fixable=not taken, reg=reg, format=facts.kind, wanted=wanted)
    if facts.turned != 1:
        yield _finding(image, "image_rotated", reg=reg)
    if facts.transparent:
        yield _finding(image, "image_alpha", reg=reg)
    if facts.deep or facts.mode in ("CMYK", "YCCK", "LAB", "YCbCr"):
        mode = "16 bit" if facts.deep else facts.mode
        yield _finding(image, "image_mode", reg=reg, mode=mode)
    if facts.mode in ("1", "L", "LA", "La") or facts.mode.startswith("I"):
        yield _finding(image, "image_grey", reg=reg)
    if facts.frames > 1:
        yield _finding(image, "image_animated", reg=reg, frames=facts.frames)


def _part(image: ImageFile) -> tuple[int, int]:
    """The size of what trains: of the crop where there is one."""
    if image.crop is None:
        return image.width, image.height
    left, top, right, bottom = image.crop.box
    return right - left, bottom - top


def _kept(item: Item) -> float:
    """The share of that area which survives the fit into the bucket."""
    width, height = _part(item.image)
    return min(1.0, item.fit.kept * (item.image.width * item.image.height) / (width * height))


def _of_fit(image: ImageFile, item: Item | None) -> Iterator[Finding]:
    if item is None:
        return
    fit = item.fit
    width, height = _part(image)
    ratio = max(width, height) / min(width, height)
    lost = 1 - _kept(item)
    bucket, factor, percent = "{} × {}".format(*fit.bucket), f"{fit.enlargement:.2f}", round(lost * 100)
    if fit.enlargement >= _TINY:
        yield _finding(image, "image_tiny", width=width, height=height, factor=factor)
    elif fit.enlargement >= _ENLARGED:
        yield _finding(image, "image_enlarged", bucket=bucket, factor=factor)
    if ratio >= _EXTREME:
        yield _finding(image, "image_extreme", bucket=bucket, percent=percent, ratio=f"{ratio:.1f}")
    elif lost >= _LOST:
        yield _finding(image, "image_cropped", bucket=bucket, percent=percent)


def _of_crop(image: ImageFile) -> Iterator[Finding]:
    crop = image.crop
    if crop is not None and crop.enlargement >= _ENLARGED:
        size = "{} × {}".format(*crop.size)
        yield _finding(image, "crop_enlarged", factor=f"{crop.enlargement:.2f}", size=size)
    if crop is not None and crop.cuts_face:
        yield _finding(image, "crop_cuts_face")
    if image.flip and (warning := against_mirroring(image)) is not None:
        yield warning


def _foreign_crops(images: Sequence[ImageFile], family: str) -> Iterator[Finding]:
    """One finding for each size that other families are cropped to and this one is not; own sizes are one's own."""
    usual = CROP_SIZES.get(family, ())
    foreign = {size for other, sizes in CROP_SIZES.items() for size in sizes if usual and size not in usual}
    cropped: dict[str, list[str]] = {}
    for image in images:
        size = "{}x{}".format(*image.crop.size) if image.crop is not None else ""
        if size in foreign:
            cropped.setdefault(size, []).append(image.name)
    for size, names in sorted(cropped.items()):
        info = describe(
            "crop_family", count=len(names), size=size, family=family, file=names[0], sizes=", ".join(usual)
        )
        yield _as_finding("", info)


def _of_caption(image: ImageFile, params: BakeParams, trigger: str) -> Iterator[Finding]:
    if image.caption is None:
        yield _finding(image, "caption_missing")
        return
    if not image.caption:
        try:
            captions.read_caption(image.path)
        except EngineError as error:
            fixable = error.info.code == "caption_undecodable" and guess(_raw(image)) is not None
            yield _as_finding(image.name, error.info, fixable=fixable)
            return
    line = captions.first_line(image.caption)
    if not line:
        yield _finding(image, "caption_empty")
    lines = sum(bool(row.strip()) for row in image.caption.split("\n"))
    if lines > 1 and not params.enable_wildcard:
        yield _finding(image, "caption_lines", count=lines)
    tokens = about_tokens(line)
    if tokens > params.max_token_length:
        yield _finding(image, "caption_tokens", tokens=tokens, limit=params.max_token_length)
    if line and trigger and not _says(line, trigger):
        yield _finding(image, "caption_trigger", trigger=trigger)


def _raw(image: ImageFile) -> bytes:
    try:
        with open(captions.caption_path(image.path), "rb") as file:
            return file.read(captions.MAX_BYTES)
    except OSError:
        return b""


def _says(line: str, word: str) -> bool:
    """Whether `word` stands in the line by itself: `cat` is not in `catgirl`."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line, re.IGNORECASE) is not None


def _of_reg(
    reg: Dataset, reg_facts: Mapping[str, Facts], train: Dataset, facts: Mapping[str, Facts]
) -> Iterator[Finding]:
    same = duplicates.same_files([*train.images, *reg.images])
    look = duplicates.look_alikes_among(
        [reg_facts[image.name] for image in reg.images], [facts[image.name] for image in train.images]
    )
    for index, image in enumerate(reg.images):
        yield from _of_file(image, reg_facts[image.name], reg.images, reg=True)
        first = same.get(len(train.images) + index)
        if first is not None and first < len(train.images):
            yield _finding(image, "reg_duplicate", reg=True, other=train.images[first].name)
        elif first is not None:
            yield _finding(image, "image_duplicate", reg=True, other=reg.images[first - len(train.images)].name)
        elif index in look:
            yield _finding(image, "reg_similar", reg=True, other=train.images[look[index]].name)


def _small_buckets(plan: BakePlan | None, params: BakeParams) -> Iterator[Finding]:
    if plan is None or plan.batches_per_epoch <= 1:
        return
    for row in plan.buckets:
        if row.views < params.batch_size:
            info = describe(
                "bucket_small", bucket=f"{row.width} × {row.height}", views=row.views, batch_size=params.batch_size
            )
            yield _as_finding("", info)


def _buckets(plan: BakePlan | None) -> list[BucketCheck]:
    if plan is None:
        return []
    kept: dict[tuple[int, int], list[float]] = {}
    enlarged: Counter[tuple[int, int]] = Counter()
    for item in plan.items:
        if item.flip:
            continue
        kept.setdefault(item.fit.bucket, []).append(_kept(item))
        enlarged[item.fit.bucket] += item.fit.enlargement >= _ENLARGED
    return [
        BucketCheck(
            size=f"{row.width}x{row.height}",
            images=row.images,
            views=row.views,
            steps=row.steps,
            kept=round(math.fsum(kept[row.width, row.height]) / row.images, 4),
            enlarged=enlarged[row.width, row.height],
        )
        for row in plan.buckets
    ]
