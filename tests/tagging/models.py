"""Tiny real ONNX models in every contract, which answer with a sample of the very tensor they were given."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 448
STEP = 28
START = 5
CELLS = len(range(START, SIDE, STEP))
ROWS = CELLS * CELLS * 3
"""Every 28th pixel of every 28th row, all channels: as many tags."""


def sampled(tensor: np.ndarray, layout: str) -> np.ndarray:
    """What the models see of a batch: [N, ROWS]."""
    if layout == "NHWC":
        part = tensor[:, START::STEP, START::STEP, :]
    else:
        part = tensor[:, :, START::STEP, START::STEP]
    return part.reshape(len(tensor), -1)


def write_model(
    path: Path,
    *,
    layout: str = "NHWC",
    scale: float = 1.0,
    offset: float = 0.0,
    batch: int | str = "N",
    side: int = SIDE,
    rows: int = ROWS,
    output: str = "output",
    before: tuple[str, int] | None = None,
) -> Path:
    """A model whose output is sample × scale + offset; `before` is a further output (name, width) in front of it."""
    axes = [1, 2] if layout == "NHWC" else [2, 3]

    def ints(name: str, values: list[int]) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    constants = [
        ints("starts", [START, START]),
        ints("ends", [side, side]),
        ints("axes", axes),
        ints("steps", [STEP, STEP]),
        ints("shape", [-1, rows]),
        numpy_helper.from_array(np.array(scale, np.float32), "scale"),
        numpy_helper.from_array(np.array(offset, np.float32), "offset"),
    ]
    nodes = [
        helper.make_node("Slice", ["input", "starts", "ends", "axes", "steps"], ["sample"]),
        helper.make_node("Reshape", ["sample", "shape"], ["flat"]),
        helper.make_node("Mul", ["flat", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], [output]),
    ]
    shape = [batch, side, side, 3] if layout == "NHWC" else [batch, 3, side, side]
    made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, rows])]
    if before is not None:
        name, width = before
        constants += [ints("front", [0]), ints("width", [width]), ints("columns", [1])]
        nodes.append(helper.make_node("Slice", ["flat", "front", "width", "columns"], [name]))
        made.insert(0, helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, width]))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "sample", [given], made, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def write_csv(path: Path, rows: list[tuple[str, int]]) -> Path:
    """selected_tags.csv with (name, category)."""
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("tag_id", "name", "category", "count"))
        writer.writerows((number, name, category, 1) for number, (name, category) in enumerate(rows))
    return path


def write_mapping(path: Path, rows: list[tuple[str, str]]) -> Path:
    """tag_mapping.json with (tag, category)."""
    table = {str(place): {"tag": tag, "category": category} for place, (tag, category) in enumerate(rows)}
    path.write_text(json.dumps(table))
    return path


def tagger_folder(folder: Path, contract: str = "wd", **model: object) -> Path:
    """A folder that keeps a contract of the table: its answers are the sample brought into 0 … 1 (logits: −1 … 1)."""
    folder.mkdir(parents=True)
    names = [f"tag_{number}" for number in range(ROWS)]
    if contract == "wd":
        write_model(folder / "model.onnx", **{"scale": 1 / 255, **model})
        write_csv(folder / "selected_tags.csv", [(name, 0) for name in names])
    elif contract == "pixai":
        settings = {"layout": "NCHW", "scale": 0.5, "offset": 0.5, "output": "prediction", "before": ("embedding", 4)}
        write_model(folder / "model.onnx", **{**settings, **model})
        write_csv(folder / "selected_tags.csv", [(name, 0) for name in names])
        (folder / "tagger.toml").write_text('contract = "pixai"\n')
    else:
        write_model(folder / "model.onnx", **{"layout": "NCHW", **model})
        write_mapping(folder / "tag_mapping.json", [(name, "General") for name in names])
    return folder
