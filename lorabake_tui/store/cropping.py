"""A crop being moved by hand: arithmetic on boxes in pixels of the upright picture, always of one shape.

Pure; what is written and drawn is the review's business.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.protocol.records import ImageRow

Bounds = tuple[int, int, int, int]
Size = tuple[int, int]

SMALLEST = 16
"""A part is at least this long on its shorter side."""


class Part(NamedTuple):
    """The part of a picture that trains; `box` None: all of it."""

    box: Bounds | None
    size: Size

    @property
    def factor(self) -> float:
        """How much longer a side becomes at `size`; above 1 it blurs."""
        return self.size[0] / (self.box[2] - self.box[0]) if self.box else 0.0


def of_row(row: ImageRow, size: Size) -> Part:
    """The crop an image has; without one, all of it and the size it would be cropped to."""
    return Part(row.crop.box, row.crop.size) if row.crop is not None else Part(None, size)


def largest(full: Size, size: Size) -> Size:
    """The largest part of a picture that has the shape of `size`."""
    if full[0] * size[1] > full[1] * size[0]:
        return min(full[0], max(1, round(full[1] * size[0] / size[1]))), full[1]
    return full[0], min(full[1], max(1, round(full[0] * size[1] / size[0])))


def around(full: Size, size: Size, wide: int, middle: tuple[float, float]) -> Bounds:
    """A part `wide` pixels wide of the shape of `size`, its middle as near to `middle` as the rim allows."""
    most = largest(full, size)
    least = min(most[0], max(SMALLEST, round(SMALLEST * size[0] / size[1])))
    width = min(most[0], max(least, wide))
    height = most[1] if width == most[0] else min(full[1], max(1, round(width * size[1] / size[0])))
    left = min(full[0] - width, max(0, round(middle[0] - width / 2)))
    top = min(full[1] - height, max(0, round(middle[1] - height / 2)))
    return left, top, left + width, top + height


def moved(full: Size, box: Bounds, right: int, down: int) -> Bounds:
    """The box moved by some pixels, stopped by the rim."""
    right = max(-box[0], min(full[0] - box[2], right))
    down = max(-box[1], min(full[1] - box[3], down))
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down


def scaled(full: Size, part: Part, factor: float) -> Part:
    """The part made larger or smaller around its middle."""
    if part.box is None:
        return part
    box, wide = part.box, part.box[2] - part.box[0]
    wanted = round(wide * factor)
    wanted += (wanted == wide) * (1 if factor > 1 else -1)
    return part._replace(box=around(full, part.size, wanted, middle_of(box)))


def reshaped(full: Size, part: Part, size: Size) -> Part:
    """The largest part of another shape around the same middle."""
    middle = middle_of(part.box) if part.box else (full[0] / 2, full[1] / 2)
    return Part(around(full, size, full[0], middle), size)


def middle_of(box: Bounds) -> tuple[float, float]:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def cuts(box: Bounds, faces: list[Bounds]) -> bool:
    """Whether a box cuts one of the faces that it shows at least partly, or leaves one out."""
    return any(f[0] < box[0] or f[1] < box[1] or f[2] > box[2] or f[3] > box[3] for f in faces)
