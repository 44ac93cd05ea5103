"""A face detector at work: YuNet through OpenCV where that is installed, else it and every YOLO by onnxruntime.

What the answers mean, `layouts` knows; which file a name stands for, `catalogue`.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.dataset.buckets import Box
from engine.dataset.names import printable
from engine.faces import layouts
from engine.faces.layouts import Graph
from engine.protocol.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_SIDE = 640
"""Of the input where the model leaves it open."""
_MOST_SIDE = 2048
_YUNET_SCORE, _YUNET_OVERLAP = 0.6, 0.3
"""Lower than the usual 0.9, which misses small and drawn faces."""
_YOLO_SCORE, _YOLO_OVERLAP = 0.3, 0.6
_GREY = 114
"""What YOLO's makers fill the rest of the square with."""


class FaceFinder:
    """One loaded detector; one picture at a time."""

    def __init__(self, model: Path) -> None:
        """Raises EngineError `face_model` for what is no detector of a layout that is understood."""
        self._path = model
        self._lock = threading.Lock()
        if not model.is_file():
            raise self._unusable("there is no such file")
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 2
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                os.fspath(model), options, providers=["CPUExecutionProvider"]
            )
            self._graph = _graph_of(self._session)
            self.kind = layouts.kind_of(self._graph)
            self._size, self._half = _input_of(self._session, self._graph)
        except ValueError as error:
            raise self._unusable(str(error)) from None
        except Exception as error:  # onnxruntime raises a family of its own for every fault of a file
            raise self._unusable(_first_line(error)) from None
        self._opencv: Any = _opencv(model) if self.kind == "yunet" else None

    def find(self, image: Image.Image) -> list[Box]:
        """The faces of an RGB picture, largest first, cut to the picture; raises EngineError `face_model`."""
        try:
            with self._lock:
                found = self._with_opencv(image) if self._opencv is not None else self._with_session(image)
        except ValueError as error:
            raise self._unusable(str(error)) from None
        except Exception as error:  # as above, and OpenCV's
            raise self._unusable(_first_line(error)) from None
        boxes = []
        for left, top, right, bottom in found.tolist():
            left, top = max(0, round(left)), max(0, round(top))
            right, bottom = min(image.width, round(right)), min(image.height, round(bottom))
            if left < right and top < bottom:
                boxes.append((left, top, right, bottom))
        return sorted(boxes, key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))

    def _unusable(self, reason: str) -> EngineError:
        return EngineError("face_model", path=printable(str(self._path)), reason=reason.rstrip("."))

    def _with_opencv(self, image: Image.Image) -> NDArray[np.float32]:
        import numpy as np

        scale = min(1.0, _SIDE / max(image.size))
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        # OpenCV counts blue first; a detector that is handed red first finds fewer faces.
        blue_first = np.ascontiguousarray(np.asarray(image.resize(size))[:, :, ::-1])
        self._opencv.setInputSize(size)
        _, rows = self._opencv.detect(blue_first)
        if rows is None:
            return np.zeros((0, 4), dtype=np.float32)
        places = np.asarray(rows[:, :4], dtype=np.float32) / scale
        return np.concatenate([places[:, :2], places[:, :2] + places[:, 2:]], axis=1)

    def _with_session(self, image: Image.Image) -> NDArray[np.float32]:
        """Fitted into the model's input at its upper left, the rest one colour; boxes back in the picture's pixels."""
        import numpy as np

        width, height = self._size
        scale = min(width / image.width, height / image.height)
        if self.kind == "yunet":
            scale = min(1.0, scale)  # as OpenCV asks it; in enlarged pictures it sees faces that are none
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        pixels = np.asarray(image.resize(size), dtype=np.float32)
        canvas = np.full((height, width, 3), 0 if self.kind == "yunet" else _GREY, dtype=np.float32)
        canvas[: size[1], : size[0]] = pixels
        ready = canvas[:, :, ::-1] if self.kind == "yunet" else canvas / np.float32(255)
        batch = np.ascontiguousarray(ready.transpose(2, 0, 1))[None]
        given = self._session.get_inputs()[0].name
        made = self._session.run(None, {given: batch.astype(np.float16) if self._half else batch})
        answers = dict(zip(self._graph.outputs, (np.asarray(one, dtype=np.float32) for one in made), strict=True))
        if self.kind == "yunet":
            found = layouts.best(layouts.read_yunet(answers, self._size), _YUNET_SCORE, _YUNET_OVERLAP)
        else:
            only = next(iter(answers.values()))
            found = layouts.best(layouts.read_yolo(only, self._graph), _YOLO_SCORE, _YOLO_OVERLAP)
        return found / scale


def _graph_of(session: Any) -> Graph:
    outputs = {
        out.name: [side if isinstance(side, int) and side > 0 else 0 for side in out.shape]
        for out in session.get_outputs()
    }
    return Graph(outputs, dict(session.get_modelmeta().custom_metadata_map))


def _input_of(session: Any, graph: Graph) -> tuple[tuple[int, int], bool]:
    """(width, height) of the input in pixels, and whether it takes half precision; raises ValueError, in words."""
    given = session.get_inputs()
    if len(given) != 1:
        raise ValueError(f"it takes {len(given)} inputs, a detector takes one")
    shape = [side if isinstance(side, int) else 0 for side in given[0].shape]
    if given[0].type not in ("tensor(float)", "tensor(float16)") or len(shape) != 4 or shape[1] not in (0, 3):
        raise ValueError(f"its input is {given[0].type} {given[0].shape}, not a batch of pictures in three colours")
    if shape[0] not in (0, 1) and shape[0] < 0:
        raise ValueError(f"its input has the shape {given[0].shape}")
    sides = (shape[3] or _SIDE, shape[2] or _SIDE)
    if max(sides) > _MOST_SIDE:
        raise ValueError(f"its input of {sides[0]} × {sides[1]} pixels is too large")
    return sides, given[0].type == "tensor(float16)"


def _opencv(model: Path) -> Any:
    """OpenCV's own detector for a YuNet, None where OpenCV is not installed or does not take the file."""
    try:
        import cv2  # type: ignore[import-not-found, unused-ignore]

        return cv2.FaceDetectorYN.create(str(model), "", (320, 320), _YUNET_SCORE)
    except Exception:  # cv2.error, and whatever its binding raises; onnxruntime has taken the file already
        return None


def _first_line(error: Exception) -> str:
    lines = printable(str(error)).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
