"""Keeps a tagger fed: pictures are read and prepared by several threads, a little ahead of the model and never more."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.dataset.scan import ImageFile
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.tagging.pixels import square
from engine.tagging.scores import File, file_of
from engine.tagging.session import Session, decoders

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Prepared(NamedTuple):
    """An image ready for the model, or why it is not: `file` and `pixels` are None then."""

    image: ImageFile
    file: File | None = None
    pixels: NDArray[np.uint8] | None = None
    problem: ErrorInfo | None = None


def prepared(images: Iterable[ImageFile], session: Session) -> Generator[Prepared, None, None]:
    """The images in their order; an image that cannot be read comes with its problem. Pillow frees the interpreter
    while it decodes and resizes, so threads are enough."""
    workers = decoders(session)
    ahead = session.batch * 2 + workers
    waiting: deque[Future[Prepared]] = deque()
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="decode") as pool:
        try:
            for image in images:
                waiting.append(pool.submit(_one, image, session))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def _one(image: ImageFile, session: Session) -> Prepared:
    try:
        file = file_of(image.path)
        pixels = square(image.path, session.tagger.contract, session.shape.side)
        if os.stat(image.path).st_mtime_ns != file.mtime_ns:
            raise EngineError("image_unreadable", file=image.name, reason="it is being written")
        return Prepared(image, file, pixels)
    except EngineError as error:
        # By its name in the dataset: two folders may hold files of one name.
        args: dict[str, Any] = {**error.info.args, "file": image.name}
        return Prepared(image, problem=describe(error.info.code, **args))
    except OSError as error:
        reason = error.strerror or str(error)
        return Prepared(image, problem=EngineError("image_unreadable", file=image.name, reason=reason).info)
