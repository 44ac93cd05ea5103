"""Many pictures at once: contact sheets as PNG files, for those whose terminal draws none, and small pictures in a row.

A single picture is `pixels.picture`.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from engine.dataset.names import printable
from engine.dataset.pixels import fitting, reduced
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tell import Tell, silent
from engine.home import cache_dir
from engine.protocol.datasets import SheetReport
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write, make_private_dir

if TYPE_CHECKING:
    from PIL import Image

_PER_SHEET = 400
_GAP = 6
_TITLE = 16
_BACK, _INK, _FRAME = (24, 24, 27), (212, 212, 216), (244, 114, 40)


def write_sheet(
    dataset: Dataset,
    images: Sequence[ImageFile],
    *,
    out: Path | None = None,
    columns: int = 8,
    cell: int = 192,
    tell: Tell = silent,
) -> SheetReport:
    """Write the images as sheets of at most some hundred, their crop framed, their name below; the files in order.

    Without `out` the sheet lies in the cache, under the same name each time. Raises EngineError `param_invalid` or
    `out_unwritable`.
    """
    for name, value, low, high in (("columns", columns, 1, 40), ("cell", cell, 32, 512)):
        if not low <= value <= high:
            raise EngineError("param_invalid", name=name, value=value, allowed=f"{low} … {high}")
    target = out if out is not None else _in_cache(dataset)
    parts = [images[start : start + _PER_SHEET] for start in range(0, len(images), _PER_SHEET)]
    files: list[str] = []
    done = 0

    def told(number: int) -> None:
        tell(done + number, len(images))

    for number, part in enumerate(parts, 1):
        file = target if len(parts) == 1 else target.with_name(f"{target.stem}-{number}{target.suffix}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(file, _sheet(part, columns, cell, told), mode=0o644)
        except OSError as error:
            reason = error.strerror or str(error)
            raise EngineError("out_unwritable", path=printable(str(file)), reason=reason) from None
        done += len(part)
        files.append(printable(str(file)))
    return SheetReport(files=files, images=len(images))


def _in_cache(dataset: Dataset) -> Path:
    key = hashlib.sha256(os.fsencode(os.path.realpath(dataset.path))).hexdigest()[:12]
    return make_private_dir(cache_dir() / "sheets") / f"{key}.png"


def _sheet(images: Sequence[ImageFile], columns: int, cell: int, told: Callable[[int], None]) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    step = cell + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * (step + _TITLE) + _GAP), _BACK)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for place, (image, small) in enumerate(
            zip(images, pool.map(lambda one: _small(one, cell), images), strict=True)
        ):
            left, top = _GAP + place % columns * step, _GAP + place // columns * (step + _TITLE)
            if small is None:
                draw.rectangle((left, top, left + cell - 1, top + cell - 1), outline=_FRAME)
                draw.text((left + 8, top + cell // 2 - 8), "?", _FRAME, font)
            else:
                x, y = left + (cell - small.width) // 2, top + (cell - small.height) // 2
                sheet.paste(small, (x, y))
                if image.crop is not None:
                    scale = small.width / image.width
                    a, b, c, d = (round(side * scale) for side in image.crop.box)
                    right, bottom = max(a, c - 1), max(b, d - 1)  # of a strip one pixel may be left
                    draw.rectangle((x + a, y + b, x + right, y + bottom), outline=_FRAME, width=2)
            draw.text((left, top + cell + 1), _title(image.name, cell), _INK, font)
            told(place + 1)
    target = io.BytesIO()
    sheet.save(target, "PNG", compress_level=3)
    return target.getvalue()


def _title(name: str, cell: int) -> str:
    """The end of a name, in signs that the built-in font has."""
    text = "".join(sign if " " <= sign <= "\xff" and sign != "\x7f" else "·" for sign in name)
    most = max(4, cell // 6)
    return text if len(text) <= most else "…" + text[1 - most :]


def _small(image: ImageFile, cell: int) -> Image.Image | None:
    from PIL import Image

    if not image.usable:
        return None
    try:
        picture, full = reduced(image.path, (cell, cell))
    except EngineError:
        return None
    size = fitting(full, (cell, cell))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
