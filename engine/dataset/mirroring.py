"""What mirroring does to everything about a picture but its pixels: words, crops, and what should not be mirrored."""

from __future__ import annotations

import re

import msgspec

from engine.dataset.buckets import Box
from engine.dataset.captions import split_tags
from engine.dataset.names import printable
from engine.dataset.scan import ImageFile
from engine.protocol.errors import describe
from engine.protocol.records import Crop, Finding

_ASYMMETRIC = re.compile(
    r"(?:[a-z]+ )?text|asymmetrical .+|heterochromia|single .+|hair over one eye|one eye (?:closed|covered)|eyepatch"
    r"|mole under (?:eye|mouth)|signature|watermark|.*\b(?:left|right)\b.*|one-eyed|.* over one shoulder"
    r"|side ponytail|one side up|lettering|logo",
    re.IGNORECASE,
)
_TAGS = 3
_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left"}


def against_mirroring(image: ImageFile) -> Finding | None:
    """A finding when the caption names what is another thing mirrored: writing, one-sided marks, left and right."""
    tags = [tag for tag in split_tags(image.caption or "") if _ASYMMETRIC.fullmatch(tag.replace("_", " "))]
    if not tags:
        return None
    info = describe("flip_asymmetry", file=image.name, tags=printable(", ".join(tags[:_TAGS])))
    return Finding(file=image.name, code=info.code, message=info.message, hint=info.hint, args=info.args)


def mirrored_words(caption: str) -> str:
    """The caption with left and right exchanged, in the case they were written in."""

    def other(match: re.Match[str]) -> str:
        word = _OTHER[match[0].lower()]
        return word.upper() if match[0].isupper() else word.capitalize() if match[0][0].isupper() else word

    return _SIDES.sub(other, caption)


def mirrored_crop(crop: Crop | None) -> Crop | None:
    """The same part of the mirrored picture."""
    if crop is None:
        return None

    def over(box: Box) -> Box:
        return crop.of[0] - box[2], box[1], crop.of[0] - box[0], box[3]

    point = None if crop.point is None else (crop.of[0] - crop.point[0], crop.point[1])
    return msgspec.structs.replace(crop, box=over(crop.box), face_boxes=[over(b) for b in crop.face_boxes], point=point)
