"""What the numbers of a face detector say, for every layout that is understood; pure arithmetic on arrays.

YuNet (2023): a score, a certainty and a box for each cell of three grids. YOLO: v8 and later [4 + classes, places],
v5 and v7 [places, 5 + classes], and exports that chose among the boxes themselves [places, 6].
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["yunet", "yolo"]

STRIDES = (8, 16, 32)
_CHOSEN = 1000
"""Exports that choose among their boxes answer with some hundred at most; without, a picture has thousands."""
_WANTED = (("face",), ("head",), ("person", "people", "girl", "boy", "human", "character", "body"))
"""What a class may be called, the most telling first."""
_PLAIN_CLASSES = 4
"""More classes than these, and none of them named, could be anything."""


class Graph(NamedTuple):
    """Names and shapes of a model's outputs (0 for a side it leaves open), and the notes its maker left."""

    outputs: Mapping[str, Sequence[int]]
    notes: Mapping[str, str]


class Seen(NamedTuple):
    """Boxes [n, 4] as left, top, right, bottom in pixels of the model's input, and their scores [n]."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


def kind_of(graph: Graph) -> Kind:
    """Which layout a model has; raises ValueError, in words, for one that is not understood."""
    names = set(graph.outputs)
    if names >= {f"{part}_{stride}" for part in ("cls", "obj", "bbox") for stride in STRIDES}:
        return "yunet"
    if names >= {"loc", "conf", "iou"}:
        raise ValueError("it is a YuNet of 2022, which newer tools do not read; take the one of 2023")
    shapes = [list(shape) for shape in graph.outputs.values()]
    told = ", ".join(f"{name} {list(shape)}" for name, shape in list(graph.outputs.items())[:4])
    if len(shapes) != 1 or len(shapes[0]) != 3:
        raise ValueError(f"its outputs ({told}) are neither those of YuNet nor the single one of a YOLO detector")
    sides = [side for side in shapes[0][1:] if side > 0]
    if sides and min(sides) < 5:
        raise ValueError(f"its output ({told}) has no room for a box and a score")
    wanted_classes(graph)
    return "yolo"


def wanted_classes(graph: Graph) -> tuple[list[int], int]:
    """The classes that are faces (else heads, else persons) and how many there are, 0 where nothing tells.

    Raises ValueError where the names of the classes are known and none of them is wanted.
    """
    names = _names(graph.notes)
    if not names:
        return [], 0
    for words in _WANTED:
        found = [number for number, name in names.items() if any(word in name.lower() for word in words)]
        if found:
            return found, len(names)
    if len(names) == 1:
        return list(names), 1
    raise ValueError("it finds no faces, heads or persons, but " + ", ".join(list(names.values())[:6]))


def _names(notes: Mapping[str, str]) -> dict[int, str]:
    """The classes as ultralytics notes them: `{0: 'face'}`."""
    try:
        found = ast.literal_eval(notes.get("names", ""))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    if isinstance(found, list):
        found = dict(enumerate(found))
    if not isinstance(found, dict):
        return {}
    return {number: str(name) for number, name in found.items() if isinstance(number, int) and 0 <= number < 10_000}


def read_yunet(made: Mapping[str, NDArray[np.float32]], side: tuple[int, int]) -> Seen:
    """The faces in the answer to an input of `side` (width, height) pixels, as OpenCV's FaceDetectorYN reads it."""
    import numpy as np

    boxes, scores = [], []
    for stride in STRIDES:
        across, down = side[0] // stride, side[1] // stride
        count = across * down
        sure, there = (made[f"{part}_{stride}"].reshape(-1)[:count].clip(0, 1) for part in ("cls", "obj"))
        part = made[f"bbox_{stride}"].reshape(-1, 4)[:count]
        rows, columns = np.divmod(np.arange(len(part)), across)
        x, y = (columns + part[:, 0]) * stride, (rows + part[:, 1]) * stride
        width, height = np.exp(part[:, 2].clip(-20, 10)) * stride, np.exp(part[:, 3].clip(-20, 10)) * stride
        boxes.append(np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1))
        scores.append(np.sqrt(sure * there))
    return Seen(np.concatenate(boxes).astype(np.float32), np.concatenate(scores).astype(np.float32))


def read_yolo(made: NDArray[np.float32], graph: Graph) -> Seen:
    """The wanted boxes in the single answer [1, …, …] of a YOLO detector; raises ValueError for any other shape."""
    import numpy as np

    wanted, classes = wanted_classes(graph)
    table = made[0]
    if table.shape[1] == 6 and table.shape[0] <= _CHOSEN:
        keep = np.isin(table[:, 5].round().astype(int), wanted) if classes else np.ones(len(table), dtype=bool)
        return Seen(table[keep, :4], table[keep, 4])
    upright = table.shape[0] > table.shape[1]
    if not upright:  # v8 and later: a column for each place
        table = table.T
    lead = 5 if upright else 4
    count = classes or table.shape[1] - lead
    if not 1 <= count <= table.shape[1] - lead or (not classes and count > _PLAIN_CLASSES):
        raise ValueError(f"its answer {list(made.shape)} has {table.shape[1]} numbers a place, and no names of classes")
    rated = table[:, lead : lead + count]
    score = (rated[:, wanted] if classes else rated).max(axis=1)
    if upright:
        score = score * table[:, 4]
    x, y, width, height = table[:, 0], table[:, 1], table[:, 2], table[:, 3]
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    return Seen(boxes.astype(np.float32), score.astype(np.float32))


def best(seen: Seen, least: float, overlap: float) -> NDArray[np.float32]:
    """The boxes of at least this score, the surest first, without those that cover a surer one (non-maximum
    suppression by intersection over union)."""
    import numpy as np

    usable = (seen.scores >= least) & np.isfinite(seen.boxes).all(axis=1)
    boxes, scores = seen.boxes[usable], seen.scores[usable]
    order = np.argsort(-scores, kind="stable")[:_CHOSEN]
    boxes = boxes[order]
    sizes = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    kept: list[int] = []
    for place in range(len(boxes)):
        if sizes[place] <= 0:
            continue
        low = np.maximum(boxes[place, :2], boxes[kept, :2])
        high = np.minimum(boxes[place, 2:], boxes[kept, 2:])
        shared = (high - low).clip(0).prod(axis=1)
        if not (shared > overlap * (sizes[place] + sizes[kept] - shared)).any():
            kept.append(place)
    found: NDArray[np.float32] = boxes[kept]
    return found
