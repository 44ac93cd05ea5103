"""One crop at a time, as a person reviews them: place it, accept it, take it away, and what could be chosen instead.

Shapes and boxes are `crop`'s, where the subject is `focus` finds.
"""

from __future__ import annotations

from typing import Literal

from engine.dataset import edits
from engine.dataset.buckets import Box
from engine.dataset.crop import box_around, centre_box, cuts, focus_box, look, parse_size
from engine.dataset.focus import FaceFinder, Subject
from engine.dataset.names import printable
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.sidecar import ABSENT
from engine.protocol.datasets import CropChoice, CropChoices, SetCrop
from engine.protocol.errors import EngineError
from engine.protocol.records import Crop

_CHOICES = 12


def set_crop(dataset: Dataset, image: ImageFile, asked: SetCrop, finder: FaceFinder | None) -> None:
    """Give one image the crop a person wants, or take it away.

    Raises EngineError `box_invalid`, `size_invalid`, `image_unreadable` (also for an image without a known size),
    `dataset_unwritable`, `path_outside` or `sidecar_unreadable`.
    """
    if asked.box is None and asked.point is None:
        edits.set_facts(dataset.path, "crop", {"crops": {image.name: ABSENT}})
        return
    if not image.usable:
        raise EngineError("image_unreadable", file=image.name, reason="its size is not known")
    old, full = image.crop, (image.width, image.height)
    if asked.size:
        size, _ = parse_size(asked.size)
    else:
        size = old.size if old is not None else None
    if asked.box is not None:
        box = _checked(asked.box, image)
        size = size or (box[2] - box[0], box[3] - box[1])
    else:
        assert asked.point is not None
        box = box_around(full, size or full, asked.point)
        size = size or full
    faces = look(image, finder).faces if finder is not None else old.face_boxes if old is not None else []
    same_place = old is not None and old.box == box and old.size == size
    made = Crop(
        box=box,
        size=size,
        of=full,
        # Accepting what was found leaves it found.
        mode=old.mode if same_place and old is not None else "manual" if asked.box is not None else "point",
        faces=len(faces),
        face_boxes=faces,
        cuts_face=cuts(box, faces),
        point=asked.point if asked.box is None else old.point if same_place and old is not None else None,
        accepted=asked.accepted,
    )
    edits.set_facts(dataset.path, "crop", {"crops": {image.name: made}})


def _checked(box: Box, image: ImageFile) -> Box:
    left, top, right, bottom = box
    if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
        raise EngineError("box_invalid", box=list(box), file=image.name, width=image.width, height=image.height)
    return box


def suggest(dataset: Dataset, image: ImageFile, size: str, finder: FaceFinder | None) -> CropChoices:
    """Crops of the shape of `size` to choose from, each but once; raises EngineErrors as `crop.look` does, and
    `size_invalid`."""
    shape, _ = parse_size(size)
    full = (image.width, image.height)
    seen = look(image, finder)
    choices: dict[Box, CropChoice] = {}

    def offer(why: Literal["faces", "face", "salient", "center"], box: Box) -> None:
        choices.setdefault(box, CropChoice(why=why, box=box, cuts_face=cuts(box, seen.faces)))

    if seen.faces:
        offer("faces", focus_box(full, shape, seen)[0])
    for face in seen.faces if len(seen.faces) > 1 else ():
        offer("face", focus_box(full, shape, Subject([face], seen.map))[0])
    offer("salient", focus_box(full, shape, Subject([], seen.map))[0])
    offer("center", centre_box(full, shape))
    return CropChoices(
        path=printable(str(dataset.path)),
        image=image.name,
        faces=seen.faces,
        choices=list(choices.values())[:_CHOICES],
    )
