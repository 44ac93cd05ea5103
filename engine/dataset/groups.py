"""Repeats, marks and mirrored views of images, by image, mark or folder: each change is one round that can be undone.

Which repeat wins, `scan.ImageFile.set_repeat` says.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.dataset import edits
from engine.dataset.listing import folder_of
from engine.dataset.mirroring import against_mirroring
from engine.dataset.names import printable
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.sidecar import ABSENT, MAX_REPEAT
from engine.protocol.errors import EngineError
from engine.protocol.records import Finding


def check_repeat(repeat: int | None) -> None:
    """Raises EngineError `param_invalid` for what cannot be a repeat."""
    if repeat is not None and not 0 <= repeat <= MAX_REPEAT:
        raise EngineError("param_invalid", name="repeat", value=repeat, allowed=f"0 … {MAX_REPEAT}")


def check_mark(mark: str) -> str:
    """The mark as it is kept; raises EngineError `mark_invalid`."""
    if len(mark) != 1 or not mark.isalnum():
        raise EngineError("mark_invalid", mark=printable(mark)[:20])
    return mark


def set_repeat(
    dataset: Dataset, repeat: int | None, *, images: Sequence[str] = (), mark: str = "", folder: str = ""
) -> list[str]:
    """Set the repeat of images, of a mark, of a folder and those below it; the names of all images it concerns.

    Raises EngineError `param_invalid`, `mark_invalid`, `group_empty`, `dataset_unwritable`, `path_outside` or
    `sidecar_unreadable`.
    """
    check_repeat(repeat)
    value = ABSENT if repeat is None else repeat
    facts: dict[str, dict[str, int | str]] = {}
    concerned = set(images)
    if images:
        facts["repeats"] = dict.fromkeys(images, value)
    if mark:
        facts["mark_repeats"] = {check_mark(mark): value}
        marked = [image.name for image in dataset.images if mark in image.marks]
        if not marked and repeat is not None:
            raise EngineError("group_empty", name=mark)
        concerned.update(marked)
    if folder:
        folder = folder.strip("/") or "."
        facts["folder_repeats"] = {folder: value}
        inside = [image.name for image in dataset.images if folder == "." or image.name.startswith(folder + "/")]
        if not inside and repeat is not None:
            raise EngineError("group_empty", name=printable(folder))
        concerned.update(inside)
    edits.set_facts(dataset.path, "repeat", facts)
    return [image.name for image in dataset.images if image.name in concerned]


def set_mark(dataset: Dataset, images: Sequence[ImageFile], mark: str, on: bool) -> None:
    """Put a mark on images or take it off; raises EngineErrors as `set_repeat` does."""
    check_mark(mark)
    values = {}
    for image in images:
        letters = "".join(sorted(set(image.marks) - {mark} | ({mark} if on else set())))
        values[image.name] = letters or ABSENT
    edits.set_facts(dataset.path, "mark", {"marks": values})


def set_flip(dataset: Dataset, images: Sequence[ImageFile], on: bool, repeat: int | None) -> list[Finding]:
    """Let images train mirrored as well, or no longer; what their tags say against it.

    Raises EngineErrors as `set_repeat` does.
    """
    check_repeat(repeat)
    edits.set_facts(dataset.path, "flip", {"flips": {image.name: repeat if on else ABSENT for image in images}})
    return [warning for image in images if (warning := against_mirroring(image)) is not None] if on else []


def folders(dataset: Dataset) -> dict[str, list[int]]:
    """Folder → places of its images; images of folders below count there only."""
    found: dict[str, list[int]] = {}
    for place, image in enumerate(dataset.images):
        found.setdefault(folder_of(image.name), []).append(place)
    return dict(sorted(found.items()))


def marks(dataset: Dataset) -> dict[str, list[int]]:
    """Mark → places of the images that carry it."""
    found: dict[str, list[int]] = {}
    for place, image in enumerate(dataset.images):
        for mark in image.marks:
            found.setdefault(mark, []).append(place)
    return dict(sorted(found.items()))
