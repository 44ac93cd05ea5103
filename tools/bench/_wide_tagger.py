"""A tagger of random numbers that works about a third as hard for a picture as WD's smallest, for timing alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 448
_PATCH, _WIDTH, _LAYERS, _TAGS = 16, 768, 4, 200


def write(folder: Path) -> Path:
    """model.onnx and selected_tags.csv in `folder`: patches, `_LAYERS` pairs of matrices, the mean, a sigmoid."""
    dice = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array((dice.standard_normal(shape) * 0.02).astype(np.float32), name)

    stored = [
        weight("patch", _WIDTH, 3, _PATCH, _PATCH),
        weight("head", _WIDTH, _TAGS),
        numpy_helper.from_array(np.array([0, _WIDTH, -1], np.int64), "rows"),
    ]
    nodes = [
        helper.make_node("Transpose", ["input"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels", "patch"], ["patches"], strides=[_PATCH, _PATCH]),
        helper.make_node("Reshape", ["patches", "rows"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["x0"], perm=[0, 2, 1]),
    ]
    for layer in range(_LAYERS):
        stored += [weight(f"up{layer}", _WIDTH, 4 * _WIDTH), weight(f"down{layer}", 4 * _WIDTH, _WIDTH)]
        nodes += [
            helper.make_node("MatMul", [f"x{layer}", f"up{layer}"], [f"u{layer}"]),
            helper.make_node("Relu", [f"u{layer}"], [f"r{layer}"]),
            helper.make_node("MatMul", [f"r{layer}", f"down{layer}"], [f"x{layer + 1}"]),
        ]
    nodes += [
        helper.make_node("ReduceMean", [f"x{_LAYERS}"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "head"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", _TAGS])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(folder / "model.onnx"))
    lines = ["tag_id,name,category,count", *(f"{n},tag_{n},0,1" for n in range(_TAGS))]
    (folder / "selected_tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
