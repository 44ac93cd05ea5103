"""Sentences of pictures as they are kept beside the dataset, and as captions in one edit; torch-free.

The models that say them are `describe`'s.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.dataset import tag_edit
from engine.dataset.captions import split_tags
from engine.dataset.names import inside, printable
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.sidecar import FOLDER
from engine.dataset.tag_sources import read_sources
from engine.protocol.errors import EngineError
from engine.protocol.files import make_private_dir
from engine.protocol.tag_options import Existing, TagOptions
from engine.protocol.tagging import TaggingReport
from engine.protocol.tags import CaptionDiff, TagOp
from engine.tagging.captioners import Captioner


class Sentence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was said of a file as it was then."""

    image: str
    bytes: int
    mtime_ns: int
    text: str


class Kept:
    """`.lorabake/sentences/<captioner>.jsonl`: what is there need not be asked again."""

    def __init__(self, root: Path, captioner: Captioner) -> None:
        """Raises EngineError `path_outside`."""
        self.path = root / FOLDER / "sentences" / f"{captioner.name}.jsonl"
        for part in (self.path.parent, self.path):
            if not inside(root, part):
                raise EngineError("path_outside", path=printable(str(part)), root=printable(str(root)))
        self._known: dict[str, Sentence] = {}
        with suppress(OSError):
            for line in self.path.read_bytes().splitlines():
                with suppress(msgspec.DecodeError, UnicodeDecodeError):
                    found = msgspec.json.decode(line, type=Sentence)
                    self._known[found.image] = found

    def of(self, image: ImageFile) -> str | None:
        """The sentence of an image as it is now."""
        found = self._known.get(image.name)
        return found.text if found is not None and (found.bytes, found.mtime_ns) == _stamp(image) else None

    def put(self, image: ImageFile, text: str) -> None:
        """Keep a sentence. Raises EngineError `dataset_unwritable`."""
        size, mtime_ns = _stamp(image)
        sentence = self._known[image.name] = Sentence(image.name, size, mtime_ns, text)
        try:
            make_private_dir(self.path.parent)
            with open(self.path, "ab") as file:
                file.write(msgspec.json.encode(sentence) + b"\n")
        except OSError as error:
            reason = error.strerror or str(error)
            raise EngineError("dataset_unwritable", path=printable(str(self.path)), reason=reason) from None


def _stamp(image: ImageFile) -> tuple[int, int]:
    with suppress(OSError):
        facts = os.stat(image.path)
        return facts.st_size, facts.st_mtime_ns
    return -1, -1


def plan(dataset: Dataset, captioner: Captioner, kept: Kept, existing: Existing, only: set[str]) -> tag_edit.Plan:
    """The captions that these sentences make. One that holds anything of a person's is never replaced."""
    sources = read_sources(dataset.path).images
    changes: list[tuple[ImageFile, str]] = []
    scope = [image for image in dataset.images if not only or image.name in only]
    for image in scope:
        text = kept.of(image)
        if not text or image.problem in tag_edit.UNREADABLE:
            continue
        first, newline, rest = (image.caption or "").partition("\n")
        known = sources.get(image.name, {})
        if not first.strip():
            line = text
        elif existing == "keep" or text in first:
            continue
        elif existing == "replace":
            if any(known.get(tag) == "manual" for tag in split_tags(first)):
                continue
            line = text
        else:
            line = f"{text}, {first}" if existing == "prepend" else f"{first}, {text}"
        if line != first:
            changes.append((image, line + newline + rest))
    return tag_edit.Plan(TagOp(verb="tag", tags=[captioner.name], source="model"), len(scope), changes, [])


def from_kept(dataset: Dataset, captioner: Captioner, options: TagOptions, *, write: bool) -> TaggingReport:
    """Captions of the sentences that are kept, without the model: what would change, or changing it.

    Raises EngineError `tags_no_scores` when none is kept, or as `tag_edit.carry_out` does.
    """
    kept, only = Kept(dataset.path, captioner), set(options.images)
    scope = [image for image in dataset.images if not only or image.name in only]
    known = sum(kept.of(image) is not None for image in scope)
    if not known:
        raise EngineError("tags_no_scores", taggers=captioner.name, path=printable(str(dataset.path)))
    planned = plan(dataset, captioner, kept, options.existing, only)
    changed = len(planned.changes)
    busy = len(tag_edit.carry_out(dataset, planned).failed) if write else 0
    diffs = [CaptionDiff(file=image.name, before=image.caption, after=text) for image, text in planned.changes]
    return TaggingReport(
        path=printable(str(dataset.path)),
        images=len(scope),
        scored=known,
        changed=changed - busy,
        kept=known - changed,
        busy=busy,
        taggers=[captioner.name],
        changes=diffs,
    )
