"""Where the subject of a picture is: faces where a detector is at hand, else what stands out.

Gives boxes and a map; which part of the picture is cut around them is `crop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from engine.dataset.buckets import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

MAP_SIDE = 128
"""The longer side of the map: where a subject is, not what it is, and 5 ms of work."""
_SKIN = 2.0


class Subject(NamedTuple):
    """`faces` in pixels of the picture, largest first; `map` [rows, columns] float, how much each place stands out."""

    faces: list[Box]
    map: NDArray[np.float32]


class FaceFinder(Protocol):
    """What finds faces; `engine.faces.finder` is one."""

    def find(self, image: Image.Image) -> list[Box]:
        """The faces of an RGB picture, largest first, cut to the picture; raises EngineError `face_model`."""


def subject(image: Image.Image, finder: FaceFinder | None) -> Subject:
    """Faces (when there is a finder) and the map of an RGB picture."""
    return Subject(finder.find(image) if finder else [], prominence(image))


def prominence(image: Image.Image) -> NDArray[np.float32]:
    """How much each place stands out, 0 to 1: unlike the picture's rim in colour, rich in detail, rare in frequency
    (spectral residual, Hou and Zhang 2007). A picture of one colour gives zeros."""
    import numpy as np
    from PIL.Image import Resampling

    scale = min(1.0, MAP_SIDE / max(image.size))
    size = max(8, round(image.width * scale)), max(8, round(image.height * scale))
    pixels = np.asarray(image.resize(size, Resampling.BOX, reducing_gap=2.0), dtype=np.float32) / 255
    grey = pixels.mean(axis=2)
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    # The nearest of a few typical rim colours: a sky above a meadow is background twice.
    typical = rim[:: max(1, len(rim) // 48)]
    apart = np.sqrt(((pixels[:, :, None, :] - typical) ** 2).sum(axis=3))
    colour = np.sort(apart, axis=2)[:, :, : max(1, len(typical) // 6)].mean(axis=2)
    padded = np.pad(grey, 1, mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    detail = _blurred(np.abs(4 * grey - around), 2)
    total = 0.5 * _scaled(_blurred(colour, 1)) + 0.25 * _scaled(detail) + 0.25 * _scaled(_spectral_residual(grey))
    # Faint differences everywhere must not add up to more than a subject.
    return np.asarray(total**2 * (1 + _SKIN * _skin(pixels)), dtype=np.float32)


def _skin(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """How near a colour is to skin by its direction, whatever its brightness (smartcrop's model), 0 to 1."""
    import numpy as np

    length = np.sqrt((pixels**2).sum(axis=2)) + 1e-6
    away = np.sqrt(((pixels / length[:, :, None] - np.array([0.78, 0.57, 0.44])) ** 2).sum(axis=2))
    lit = (pixels.max(axis=2) > 0.2) & (pixels.max(axis=2) < 1.0)
    return np.asarray(np.clip((0.2 - away) / 0.2, 0, 1) * lit, dtype=np.float32)


def _spectral_residual(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    if float(np.ptp(grey)) < 1e-4:
        return np.zeros_like(grey)
    spectrum = np.fft.fft2(grey)
    loudness = np.log(np.abs(spectrum) + 1e-6)
    residual = loudness - _blurred(loudness, 1)
    back = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    return _blurred(back.astype(np.float32), 3)


def _blurred(values: NDArray[Any], radius: int) -> NDArray[Any]:
    """Mean over a square of side 2 × radius + 1, by running sums."""
    import numpy as np

    side = 2 * radius + 1
    for axis in (0, 1):
        padded = np.pad(values, [(radius + 1, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        sums = np.cumsum(padded, axis=axis)
        ahead = np.take(sums, range(side, sums.shape[axis]), axis=axis)
        values = np.asarray((ahead - np.take(sums, range(sums.shape[axis] - side), axis=axis)) / side)
    return values


def _scaled(values: NDArray[Any]) -> NDArray[Any]:
    """Between 0 and 1, by the range without its outermost hundredths."""
    import numpy as np

    low, high = np.percentile(values, (2, 99))
    if high - low < 1e-6:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))
