"""What a tagger is shown: a picture from its file to the square of numbers that its contract asks for, to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.dataset.pixels import upright_rgb
from engine.tagging.contracts import Contract

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


def square(path: Path, contract: Contract, side: int) -> NDArray[np.uint8]:
    """The picture as [side, side, 3] uint8 RGB: upright, transparency on white, padded or stretched, resized.

    Raises EngineError `image_missing`, `image_unreadable` or `image_too_large`.
    """
    import numpy as np

    picture, _ = upright_rgb(path)
    return np.asarray(fitted(picture, contract, side), dtype=np.uint8)


def fitted(picture: Image.Image, contract: Contract, side: int) -> Image.Image:
    """An RGB picture as the square of the contract."""
    from PIL import Image

    if contract.pad == "white" and picture.width != picture.height:
        longest = max(picture.size)
        canvas = Image.new("RGB", (longest, longest), (255, 255, 255))
        canvas.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
        picture = canvas
    if picture.size == (side, side):
        return picture
    return picture.resize((side, side), Image.Resampling[contract.resize.upper()])


def tensor(squares: Sequence[NDArray[np.uint8]], contract: Contract, count: int = 0) -> NDArray[np.float32]:
    """Pictures as the float32 batch that the model takes, contiguous; filled up with zeros to `count`."""
    import numpy as np

    # Each of the 256 values is worked out once, in the order of operations of the references.
    values = np.arange(256, dtype=np.float32) / np.float32(contract.divide)
    values = (values - np.float32(contract.mean)) / np.float32(contract.std)
    plain = (contract.divide, contract.mean, contract.std) == (1.0, 0.0, 1.0)
    height, width, _ = squares[0].shape
    shape = (height, width, 3) if contract.layout == "NHWC" else (3, height, width)
    batch = np.empty((max(count, len(squares)), *shape), dtype=np.float32)
    batch[len(squares) :] = 0.0
    for place, pixels in enumerate(squares):
        for channel, source in enumerate((2, 1, 0) if contract.order == "BGR" else (0, 1, 2)):
            # Colour by colour: to turn the order of all at once takes numpy four times as long.
            target = batch[place, ..., channel] if contract.layout == "NHWC" else batch[place, channel]
            colour = pixels[..., source]
            target[...] = colour if plain else values[colour]
    return batch
