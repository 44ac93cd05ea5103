"""Face detectors of every layout that is understood find the same face; others are refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engine.faces import catalogue, layouts
from engine.faces.finder import FaceFinder
from engine.protocol.errors import EngineError

onnx = pytest.importorskip("onnx")

FACE = (300.0, 100.0, 420.0, 260.0)
"""In pixels of the input of 640 × 640; the picture is 1280 × 960, so everything is half as large there."""
PLACES = 2000
WHOLE = (600, 200, 840, 520)


def model(
    path: Path, outputs: dict[str, NDArray[np.float32]], *, names: str = "", side: int = 640, given: int = 1
) -> Path:
    """An ONNX file that answers always the same."""
    helper, numbers = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value, name))
        for name, value in outputs.items()
    ]
    inputs = [
        helper.make_tensor_value_info(f"images{n or ''}", numbers.FLOAT, [1, 3, side, side]) for n in range(given)
    ]
    made = [helper.make_tensor_value_info(name, numbers.FLOAT, value.shape) for name, value in outputs.items()]
    graph = helper.make_graph(nodes, "detector", inputs, made)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    built.ir_version = 9
    if names:
        helper.set_model_props(built, {"names": names})
    onnx.save(built, str(path))
    return path


def middle() -> list[float]:
    left, top, right, bottom = FACE
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def rows(columns: int, *seen: tuple[int, list[float]]) -> NDArray[np.float32]:
    """A table of places, all empty but these."""
    table = np.zeros((PLACES, columns), dtype=np.float32)
    for place, numbers in seen:
        table[place, : len(numbers)] = numbers
    return table


def v8(classes: int, of: int = 0) -> NDArray[np.float32]:
    scores = [0.0] * classes
    scores[of] = 0.8
    twin = [number + 2 for number in middle()]  # the same face seen twice
    return rows(4 + classes, (7, middle() + scores), (9, twin + [score / 2 for score in scores])).T[None].copy()


def v5() -> NDArray[np.float32]:
    return rows(6, (7, [*middle(), 0.9, 0.9]), (11, [50.0, 50.0, 20.0, 20.0, 0.9, 0.1]))[None]


def chosen() -> NDArray[np.float32]:
    table = np.zeros((1, 300, 6), dtype=np.float32)
    table[0, 0] = [*FACE, 0.7, 1]
    table[0, 1] = [0, 0, 600, 600, 0.9, 0]
    return table


def yunet() -> dict[str, NDArray[np.float32]]:
    made: dict[str, NDArray[np.float32]] = {}
    for stride in layouts.STRIDES:
        cells = (640 // stride) ** 2
        for part, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            made[f"{part}_{stride}"] = np.zeros((1, cells, width), dtype=np.float32)
    x, y, width, height = middle()
    row, column = int(y // 16), int(x // 16)
    place = row * 40 + column
    made["cls_16"][0, place] = made["obj_16"][0, place] = 0.9
    made["bbox_16"][0, place] = [x / 16 - column, y / 16 - row, np.log(width / 16), np.log(height / 16)]
    return made


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (lambda: {"output0": v8(1)}, "{0: 'face'}"),
        (lambda: {"output0": v8(1)}, ""),
        (lambda: {"output0": v8(3, of=2)}, "['eye', 'hand', 'head']"),
        (lambda: {"output": v5()}, ""),
        (lambda: {"output0": chosen()}, "{0: 'halo', 1: 'Anime Face'}"),
        (yunet, ""),
    ],
)
def test_every_layout_finds_the_face(
    tmp_path: Path, outputs: Callable[[], dict[str, NDArray[np.float32]]], names: str
) -> None:
    finder = FaceFinder(model(tmp_path / "faces.onnx", outputs(), names=names))
    (box,) = finder.find(Image.new("RGB", (1280, 960)))
    assert np.abs(np.array(box) - WHOLE).max() <= 1
    # Beyond the rim of a smaller picture it is cut.
    for left, top, right, bottom in finder.find(Image.new("RGB", (200, 100))):
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 100


@pytest.mark.parametrize(
    ("outputs", "names", "reason"),
    [
        ({"output0": v8(2)}, "{0: 'cat', 1: 'dog'}", "finds no faces, heads or persons, but cat, dog"),
        ({"output0": np.zeros((1, 10), dtype=np.float32)}, "", "neither those of YuNet nor"),
        ({name: np.zeros((1, 4, 14), dtype=np.float32) for name in ("loc", "conf", "iou")}, "", "YuNet of 2022"),
        ({"output0": np.zeros((1, 3, 900), dtype=np.float32)}, "", "no room for a box and a score"),
    ],
)
def test_other_layouts_are_refused_in_words(
    tmp_path: Path, outputs: dict[str, NDArray[np.float32]], names: str, reason: str
) -> None:
    with pytest.raises(EngineError) as raised:
        FaceFinder(model(tmp_path / "other.onnx", outputs, names=names))
    assert raised.value.info.code == "face_model"
    assert reason in raised.value.info.message


def test_files_that_are_no_detectors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    model(tmp_path / "two.onnx", {"output0": v8(1)}, given=2)
    for name in ("none.onnx", "broken.onnx", "two.onnx"):
        with pytest.raises(EngineError) as raised:
            FaceFinder(tmp_path / name)
        assert raised.value.info.code == "face_model"
    # Eighty classes without names could be anything, which only the answer shows.
    finder = FaceFinder(model(tmp_path / "many.onnx", {"output0": v8(80)}))
    with pytest.raises(EngineError, match="no names of classes"):
        finder.find(Image.new("RGB", (640, 640)))


def test_a_name_of_the_catalogue_that_is_not_here_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EngineError) as raised:
        catalogue.locate("yunet")
    assert raised.value.info.code == "face_model_absent"
    monkeypatch.delenv("HF_HUB_OFFLINE")
    for name in ("yunet", "anime-face"):
        for hub in ("http://127.0.0.1:9", "no address"):  # nobody there
            monkeypatch.setenv("HF_ENDPOINT", hub)
            with pytest.raises(EngineError, match=f"{name} is not on this machine .* {hub} does not answer"):
                catalogue.locate(name)
    (row,) = (row for row in catalogue.rows() if row.name == "yunet")
    assert not row.present
    Path(row.path).parent.mkdir(parents=True, exist_ok=True)
    Path(row.path).write_bytes(b"here")
    assert catalogue.locate("yunet") == Path(row.path)
    assert catalogue.locate("~/x.onnx") == Path("~/x.onnx").expanduser()
