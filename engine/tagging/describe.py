"""Sentences of pictures by a model of transformers.

The only file of tagging that imports torch and transformers. Which models there are, `captioners` knows, what becomes
of the sentences, `sentences`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

from engine.dataset.names import printable
from engine.dataset.pixels import upright_rgb
from engine.dataset.scan import ImageFile
from engine.protocol.errors import EngineError, ErrorInfo
from engine.tagging.captioners import Captioner
from engine.tagging.sentences import Kept

_SIDE = 1024
"""Pictures come no larger to the model's own preparation, which makes them far smaller."""
_LONGEST = 100


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
        self.precision: Literal["fp32", "fp16"] = "fp32" if cpu else "fp16"
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
