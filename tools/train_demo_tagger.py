"""Trains the demo's tagger on the drawings and writes it in the WD contract: model.onnx and selected_tags.csv.

The contract: NHWC float32 [N, 448, 448, 3], BGR, 0..255 in; probabilities [N, tags] out. Padding to a square and
resizing are the caller's.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from tools.demo_tags import CHARACTER_TRAITS, TRIGGER

SIDE = 448
RATINGS = ("general", "sensitive", "questionable", "explicit")
CHANNELS = (24, 40, 64, 128, 160, 128)
STRIDES = (2, 2, 1, 2, 1, 2)


def build(tags: int) -> nn.Sequential:
    """A small CNN from [N, 3, 64, 64] (BGR, 0..1) to logits [N, tags].

    The head sees where on the last 4×4 a thing is: orange above is hair, orange below clothes, at the edge background.
    """
    layers: list[nn.Module] = []
    width = 3
    for channels, stride in zip(CHANNELS, STRIDES, strict=True):
        layers += [nn.Conv2d(width, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        width = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1), nn.Linear(16 * width, tags))


def read_corpora(paths: list[Path]) -> tuple[Tensor, list[list[str]]]:
    """uint8 BGR pictures [N, 3, 64, 64] and their tags; the character's drawings get her name."""
    pictures, tags = [], []
    for path in paths:
        data = np.load(path)
        pictures.append(data["pictures"][..., ::-1])
        for caption in data["captions"]:
            names = str(caption).split(", ")
            tags.append(["general", *names, *([TRIGGER] if {*CHARACTER_TRAITS} <= {*names} else [])])
    return torch.from_numpy(np.concatenate(pictures).copy()).permute(0, 3, 1, 2).contiguous(), tags


def vocabulary(tags: list[list[str]]) -> list[tuple[str, int, int]]:
    """(name, category, count) in WD order: ratings, then general tags by count, then the character."""
    counts = Counter(name for row in tags for name in row)
    general = [n for n, _ in counts.most_common() if n not in RATINGS and n != TRIGGER]
    rows = [(n, 9, counts[n]) for n in RATINGS] + [(n, 0, counts[n]) for n in general]
    return [*rows, (TRIGGER, 4, counts[TRIGGER])]


def targets(tags: list[list[str]], names: list[str]) -> Tensor:
    """0/1 float [N, names]."""
    index = {name: i for i, name in enumerate(names)}
    y = torch.zeros(len(tags), len(names))
    for row, present in enumerate(tags):
        y[row, [index[name] for name in present]] = 1
    return y


def disturbed(x: Tensor, rng: random.Random) -> Tensor:
    """What files and samplers do to drawings: mirrored, blurred, shrunk onto white, noisy, a little off in colour."""
    if rng.random() < 0.5:
        x = x.flip(-1)
    if rng.random() < 0.25:
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    if rng.random() < 0.2:
        side, other = rng.randint(44, 64), rng.randint(44, 64)
        left, top = (64 - side) // 2, (64 - other) // 2
        x = F.interpolate(x, size=(other, side), mode="bilinear", antialias=True)
        x = F.pad(x, (left, 64 - side - left, top, 64 - other - top), value=1.0)
    x = x * (1 + 0.06 * torch.randn(1, 3, 1, 1)) + 0.03 * torch.randn(1, 3, 1, 1)
    return (x + rng.random() * 0.06 * torch.randn_like(x)).clamp(0, 1)


def train(x: Tensor, y: Tensor, seconds: float, batch: int = 32) -> nn.Sequential:
    """A tagger trained for `seconds` on pictures [N, 3, 64, 64] uint8 and targets [N, tags]."""
    torch.manual_seed(0)
    rng = random.Random(0)
    model = build(y.shape[1])
    nn.init.constant_(model[-1].bias, -3.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    start, step = time.time(), 0
    while (spent := time.time() - start) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 50) * (1 - spent / seconds) + 1e-6
        rows = torch.tensor([rng.randrange(len(x)) for _ in range(batch)])
        logits = model(disturbed(x[rows].float() / 255, rng))
        # Summed over tags: averaged, 200 mostly absent tags would leave hardly any gradient.
        loss = F.binary_cross_entropy_with_logits(logits, y[rows], reduction="sum") / batch
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if step % 200 == 0:
            print(f"step {step} {spent:.0f}s loss {loss.item():.3f}", flush=True)
    return model.eval()


def f1_scores(probabilities: np.ndarray, truth: np.ndarray, threshold: float = 0.35) -> tuple[float, float]:
    """(micro, macro) F1; macro over the tags that occur in `truth`."""
    guess, truth = probabilities > threshold, truth > 0.5
    hit = (guess & truth).sum(0)
    total = guess.sum(0) + truth.sum(0)
    seen = truth.any(0)
    return float(2 * hit.sum() / total.sum()), float((2 * hit[seen] / np.maximum(total[seen], 1)).mean())


def export(model: nn.Sequential, path: Path) -> None:
    """Write the ONNX graph node by node: to NCHW, mean over 7×7, the CNN with its norms folded in, sigmoid."""
    nodes, weights = [], []

    def constant(name: str, value: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    h = node("Transpose", ["input"], "nchw", perm=[0, 3, 1, 2])
    h = node("AveragePool", [h], "small", kernel_shape=[7, 7], strides=[7, 7])
    h = node("Div", [h, constant("white", np.array(255.0, np.float32))], "scaled")
    layers = list(model)
    for i, (conv, norm) in enumerate(zip(layers[0:-3:3], layers[1:-3:3], strict=True)):
        gain = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
        kernel = constant(f"kernel{i}", (conv.weight.detach() * gain.view(-1, 1, 1, 1)).numpy())
        bias = constant(f"bias{i}", (norm.bias.detach() - norm.running_mean * gain).numpy())
        h = node("Conv", [h, kernel, bias], f"conv{i}", kernel_shape=[3, 3], pads=[1] * 4, strides=[conv.stride[0]] * 2)
        h = node("Relu", [h], f"relu{i}")
    h = node("Flatten", [h], "flat")
    head = layers[-1]
    weight, bias = constant("head", head.weight.detach().numpy()), constant("head_bias", head.bias.detach().numpy())
    node("Sigmoid", [node("Gemm", [h, weight, bias], "logits", transB=1)], "output")
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", head.out_features])],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    onnx.save(made, path)


def write_tags(rows: list[tuple[str, int, int]], path: Path) -> None:
    """selected_tags.csv: one row per output, names with underscores as in WD's files."""
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("tag_id", "name", "category", "count"))
        for number, (name, category, count) in enumerate(rows):
            writer.writerow((number, name.replace(" ", "_"), category, count))


def main() -> None:
    """Train, print the F1 on held-out drawings, write the two files."""
    parser = argparse.ArgumentParser(description="Train the demo's tagger.")
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--held", type=Path, required=True, nargs="+", help="corpora that are only measured on")
    parser.add_argument("--out", type=Path, default=Path("engine/demo/tagger"))
    parser.add_argument("--seconds", type=float, default=600)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    x, tags = read_corpora(args.corpora)
    rows = vocabulary(tags)
    names = [name for name, _, _ in rows]
    model = train(x, targets(tags, names), args.seconds)
    held, held_tags = read_corpora(args.held)
    with torch.no_grad():
        guess = torch.cat([model(part.float() / 255).sigmoid() for part in held.split(128)]).numpy()
    micro, macro = f1_scores(guess[:, len(RATINGS) :], targets(held_tags, names)[:, len(RATINGS) :].numpy())
    print(f"{len(names)} tags, F1 on {len(held)} held-out drawings: micro {micro:.3f} macro {macro:.3f}")
    export(model, args.out / "model.onnx")
    write_tags(rows, args.out / "selected_tags.csv")


if __name__ == "__main__":
    main()
