"""Which part of each picture counts in masked loss: from a folder of masks, or from the picture's own transparency.

Where there is neither, the picture counts whole. Opening files is `dataset.decode`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.dataset.buckets import Fit
from engine.dataset.decode import EXTENSIONS, load, open_image, orientation
from engine.dataset.names import printable
from engine.dataset.pixels import upright
from engine.dataset.plan import Item
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams

if TYPE_CHECKING:
    from PIL import Image

_SHAPE_TOLERANCE = 0.02
"""A mask may be smaller or larger than its picture, but not of another shape: ratios differ by this share at most."""


def mask_files(items: Sequence[Item], params: BakeParams) -> list[Path | None]:
    """The mask of each item in `mask_dir`: the file of the picture's name, whatever its ending, in the same subfolder.

    None for an item without one and for regularisation images; empty where no folder is asked for. Raises EngineError
    `mask_folder` when the folder cannot be read or holds no mask of any of them.
    """
    if not params.masked_loss or not params.mask_dir:
        return []
    root = Path(params.mask_dir)
    try:
        found = {
            path.relative_to(root).with_suffix("").as_posix(): path
            for path in sorted(root.rglob("*"))
            if path.suffix.lower() in EXTENSIONS
        }
    except OSError:
        found = {}
    files = [
        None if item.reg else found.get(PurePosixPath(item.image.name).with_suffix("").as_posix()) for item in items
    ]
    if not any(files):
        raise EngineError("mask_folder", path=printable(str(root)))
    return files


def digest(files: Sequence[Path | None]) -> str:
    """A hash over the contents of the masks: a bake goes on only with those it began with. "" without masks."""
    if not files:
        return ""
    total = hashlib.sha256()
    for path in files:
        total.update(b"-" if path is None else hashlib.sha256(_bytes(path)).digest())
    return total.hexdigest()


def masks(items: Sequence[Item], files: Sequence[Path | None], params: BakeParams, factor: int) -> list[Tensor | None]:
    """The mask of each item [1, h, w], 0 … 1, one number for `factor` × `factor` pixels of its bucket; None where the
    whole picture counts.

    Raises EngineError `image_unreadable`, `mask_shape`, or `mask_empty` for one that leaves nothing of its picture.
    """
    if not params.masked_loss:
        return [None] * len(items)
    return [
        _mask(item, files[number] if files else item.image.path, bool(files), factor)
        for number, item in enumerate(items)
    ]


def _mask(item: Item, path: Path | None, drawn: bool, factor: int) -> Tensor | None:
    if path is None:
        return None
    name = printable(path.name)
    image = _channel(path, name, drawn)
    if image is None:
        return None
    width, height = item.fit.source
    if drawn and abs(image.width * height / (image.height * width) - 1) > _SHAPE_TOLERANCE:
        raise EngineError("mask_shape", file=name, image=item.image.name)
    cells = torch.from_numpy(_in_bucket(image, item.fit, factor))[None]
    if not bool(cells.any()):
        raise EngineError("mask_empty", file=name, image=item.image.name)
    return None if bool((cells == 1).all()) else cells


def _channel(path: Path, name: str, drawn: bool) -> Image.Image | None:
    """What decides, upright, as one channel: how light a mask is, or how opaque a picture; None for one that has no
    transparency."""
    try:
        with open(path, "rb") as file:
            image = open_image(file, name)
            turned = orientation(image)
            load(image, name)
    except OSError as error:
        raise EngineError("image_unreadable", file=name, reason=error.strerror or str(error)) from None
    if drawn:
        return upright(image.convert("L"), turned)
    if not image.has_transparency_data:
        return None
    return upright(image.convert("RGBA").getchannel("A"), turned)


def _in_bucket(image: Image.Image, fit: Fit, factor: int) -> np.ndarray:
    """The channel cut and scaled as the picture is, averaged over the area of each latent cell."""
    from PIL import Image

    across, down = image.width / fit.resize[0], image.height / fit.resize[1]
    left, top, right, bottom = fit.crop
    box = (left * across, top * down, min(right * across, image.width), min(bottom * down, image.height))
    size = (fit.bucket[0] // factor, fit.bucket[1] // factor)
    return np.asarray(image.resize(size, Image.Resampling.BOX, box=box), dtype=np.float32) / 255


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError("image_unreadable", file=printable(path.name), reason=error.strerror or str(error)) from None
