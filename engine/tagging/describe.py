"""Sentences of pictures by a model of transformers, kept beside the dataset as they come, and as captions in one edit.

The only file of tagging that imports torch and transformers. Which models there are, `captioners` knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from engine.dataset import tag_edit
from engine.dataset.names import inside, printable
from engine.dataset.pixels import upright_rgb
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.sidecar import FOLDER
from engine.dataset.tag_sources import read_sources
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.files import make_private_dir
from engine.protocol.tag_options import Existing
from engine.protocol.tags import TagOp
from engine.tagging.captioners import Captioner

_SIDE = 1024
"""Pictures come no larger to the model's own preparation, which makes them far smaller."""
_LONGEST = 100


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


class Model:
    """A loaded captioner."""

    def __init__(self, captioner: Captioner) -> None:
        """Load it, after downloading what is missing. Raises EngineError `tagger_absent` or `tagger_broken`."""
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        _fetch(captioner)
        self.captioner = captioner
        cpu = os.environ.get("LORABAKE_DEVICE", "") == "cpu" or not torch.cuda.is_available()
        self.device = "cpu" if cpu else "cuda"
        self._torch = torch
        try:
            self._processor: Any = AutoProcessor.from_pretrained(captioner.folder, local_files_only=True)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                captioner.folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32 if cpu else torch.float16,
            )
            self._model = model.to(self.device).eval()
        except Exception as error:  # transformers raises everything there is for a folder it does not understand
            raise _broken(captioner, error) from None

    def say(self, image: ImageFile) -> str:
        """A sentence about one image. Raises EngineError `image_unreadable` and its like, or `tagger_broken`."""
        picture, _ = upright_rgb(image.path, within=(_SIDE, _SIDE))
        try:
            prompt = {"text": self.captioner.prompt} if self.captioner.prompt else {}
            given = self._processor(images=picture, return_tensors="pt", **prompt).to(self.device, self._model.dtype)
            with self._torch.no_grad():
                made = self._model.generate(**given, max_new_tokens=_LONGEST, num_beams=3)
            text: str = self._processor.batch_decode(made, skip_special_tokens=True)[0]
        except Exception as error:  # as above, and what a model does with its own numbers
            raise _broken(self.captioner, error) from None
        if self.captioner.prompt:
            text = text.removeprefix(self.captioner.prompt)
        return " ".join(printable(text).split())


def _broken(captioner: Captioner, error: Exception) -> EngineError:
    words = printable(str(error)).strip().splitlines()
    reason = words[0][:200] if words else type(error).__name__
    return EngineError("tagger_broken", path=printable(str(captioner.folder)), reason=reason.rstrip("."))


def _fetch(captioner: Captioner) -> None:
    if captioner.present or not captioner.hub:
        return
    from engine.tagging.fetch import hub_folder

    hub_folder(captioner.name, captioner.hub, captioner.folder)


def describe(
    model: Model,
    kept: Kept,
    images: Sequence[ImageFile],
    *,
    check: Callable[[], None],
    tell: Callable[[int], None],
    fail: Callable[[ImageFile, ErrorInfo], None],
) -> None:
    """Ask for a sentence on each image; `check` may stop it between two."""
    for number, image in enumerate(images, 1):
        check()
        try:
            kept.put(image, model.say(image))
        except EngineError as error:
            if not error.info.code.startswith("image_"):
                raise
            fail(image, error.info)
        tell(number)


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
            if "manual" in known.values():
                continue
            line = text
        else:
            line = f"{text}, {first}" if existing == "prepend" else f"{first}, {text}"
        if line != first:
            changes.append((image, line + newline + rest))
    return tag_edit.Plan(TagOp(verb="tag", tags=[captioner.name], source="model"), len(scope), changes, [])
