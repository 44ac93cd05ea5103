"""What a bake does with a dataset: each image's repeats and bucket, what is held out, and the exact step count.

Estimate and trainer both stand on it; in which order the views are taken is the trainer's business.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.dataset.buckets import Fit, Size, bucket_sizes, check_limits, fit, within
from engine.dataset.mirroring import mirrored_words
from engine.dataset.names import printable
from engine.dataset.scan import Dataset, ImageFile
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.protocol.records import BucketRow, RegUse


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An image in a bake: taken `repeat` times per epoch, in the bucket of `fit`; `reg` marks regularisation, `flip`
    the mirrored picture (its caption says left for right)."""

    image: ImageFile
    repeat: int
    fit: Fit
    reg: bool = False
    flip: bool = False


class BakePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A bake in numbers.

    `items` are the training images and then the regularisation images, in the datasets' order; `validation` is
    held out and trained never. `image_views` counts the training images over all epochs (Σ repeat × epochs);
    `views_per_epoch` all items of one epoch, regularisation included. `batches_per_epoch` never mix buckets;
    `steps_per_epoch` are optimizer steps: gradient accumulation never crosses an epoch.
    """

    items: tuple[Item, ...]
    validation: tuple[Item, ...] = ()
    buckets: tuple[BucketRow, ...] = ()
    reg: RegUse = RegUse()
    skipped: int = 0
    epochs: int
    image_views: int
    views_per_epoch: int
    batches_per_epoch: int
    steps_per_epoch: int
    optimizer_steps: int


def make_plan(dataset: Dataset, reg: Dataset | None, params: BakeParams, measured: Dataset | None = None) -> BakePlan:
    """The plan of a bake; `measured` is the validation folder, all of whose usable images are held out.

    Raises EngineError `dataset_no_image` when no usable image with a repeat is left, `bucket_limits` for limits of
    buckets that contradict each other, and `validation_trained` for an image that would be both trained and measured.
    """
    check_limits(params)
    sizes = tuple(bucket_sizes(params))
    held = _held_out(dataset.usable, params)
    train: list[Item] = []
    validation: list[Item] = []
    for image in dataset.usable:
        repeat = params.repeat if image.set_repeat is None else image.set_repeat
        if repeat == 0:
            continue
        item = Item(image=image, repeat=repeat, fit=fit_image(image, sizes, params))
        (validation if image.name in held else train).append(item)
        if image.flip and image.name not in held and image.flip_repeat != 0:
            words = None if image.caption is None else mirrored_words(image.caption)
            mirrored = msgspec.structs.replace(image, caption=words)
            views = repeat if image.flip_repeat is None else image.flip_repeat
            train.append(Item(image=mirrored, repeat=views, fit=item.fit, flip=True))
    if not train:
        raise EngineError("dataset_no_image", path=printable(str(dataset.path)))
    skipped = len(dataset.images) - sum(not item.flip for item in train) - len(validation)
    if measured is not None:
        validation += _measured(measured, {item.image.path for item in train}, sizes, params)
    views = sum(item.repeat for item in train)
    balanced, use = _balance(reg.usable if reg else [], views)
    extra = [Item(image=image, repeat=n, fit=fit_image(image, sizes, params), reg=True) for image, n in balanced]
    return assemble([*train, *extra], validation, params, reg=use, skipped=skipped)


def fit_image(image: ImageFile, sizes: tuple[Size, ...], params: BakeParams) -> Fit:
    """How an image, or the part of it that was cropped, comes to its bucket."""
    if image.crop is None:
        return fit(image.width, image.height, sizes, params)
    left, top, right, bottom = image.crop.box
    part = fit(right - left, bottom - top, sizes, params)
    return within((image.width, image.height), image.crop.box, part)


def assemble(
    items: Sequence[Item], validation: Sequence[Item], params: BakeParams, *, reg: RegUse, skipped: int = 0
) -> BakePlan:
    """The numbers of a bake that takes exactly these items."""
    buckets = _table(items, params.batch_size)
    batches = sum(row.steps for row in buckets)
    steps = math.ceil(batches / params.gradient_accumulation)
    return BakePlan(
        items=tuple(items),
        validation=tuple(validation),
        buckets=buckets,
        reg=reg,
        skipped=skipped,
        epochs=params.epochs,
        image_views=sum(item.repeat for item in items if not item.reg) * params.epochs,
        views_per_epoch=sum(item.repeat for item in items),
        batches_per_epoch=batches,
        steps_per_epoch=steps,
        optimizer_steps=steps * params.epochs,
    )


def _table(items: Sequence[Item], batch_size: int) -> tuple[BucketRow, ...]:
    images: Counter[Size] = Counter()
    views: Counter[Size] = Counter()
    for item in items:
        images[item.fit.bucket] += not item.flip
        views[item.fit.bucket] += item.repeat
    return tuple(
        BucketRow(
            width=size[0],
            height=size[1],
            images=images[size],
            views=views[size],
            steps=math.ceil(views[size] / batch_size),
        )
        for size in sorted(images)
    )


def _held_out(images: Sequence[ImageFile], params: BakeParams) -> frozenset[str]:
    """The names held out for validation, a function of (seed, name): other images may come and go."""
    eligible = [image.name for image in images if image.set_repeat != 0]
    if params.validation_split == 0 or len(eligible) < 2:
        return frozenset()
    count = min(len(eligible) - 1, max(1, round(len(eligible) * params.validation_split)))

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{params.seed}\0{name}".encode()).digest()

    return frozenset(sorted(eligible, key=rank)[:count])


def _measured(dataset: Dataset, trained: set[Path], sizes: tuple[Size, ...], params: BakeParams) -> list[Item]:
    for image in dataset.usable:
        if image.path in trained:
            raise EngineError("validation_trained", file=image.name, path=printable(str(dataset.path)))
    return [Item(image=image, repeat=1, fit=fit_image(image, sizes, params)) for image in dataset.usable]


def _balance(reg: Sequence[ImageFile], wanted: int) -> tuple[list[tuple[ImageFile, int]], RegUse]:
    """Repeats that give the regularisation images exactly `wanted` views per epoch.

    kohya's result: in order, each with its own repeat (1 without one) until there are enough, what is left over
    unused; where they are too few, rounds of one more view for each. The last one taken is cut short to fit.
    """
    usable = [image for image in reg if image.set_repeat != 0]
    repeats: list[int] = []
    missing = wanted
    for image in usable:
        if missing == 0:
            break
        repeats.append(min(missing, image.set_repeat or 1))
        missing -= repeats[-1]
    if repeats and missing:
        rounds, rest = divmod(missing, len(repeats))
        repeats = [n + rounds + (i < rest) for i, n in enumerate(repeats)]
    use = RegUse(
        used=len(repeats),
        repeated=sum(n > 1 for n in repeats),
        unused=len(reg) - len(repeats),
        views=sum(repeats),
    )
    return list(zip(usable, repeats, strict=False)), use
