"""Tensors by plain reads beside the library's own, and files that contradict themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from engine.models.tensors import open_tensors

KINDS = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.int64]


@given(
    shapes=st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=4),
    stored=st.sampled_from(KINDS),
    wanted=st.sampled_from(KINDS[:4]),
)
@settings(deadline=None, max_examples=60)
def test_reads_what_the_library_reads(shapes, stored, wanted, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("tensors") / "some.safetensors"
    save_file({f"t{i}": (torch.randn(shape) * 9).to(stored) for i, shape in enumerate(shapes)}, path, {"a": "b"})
    expected = load_file(path)
    with open_tensors(path) as file:
        assert file.names == set(expected)
        # All are read before any is compared: none may lie in memory of another.
        found = {name: file.read(name, wanted) for name in sorted(file.names)}
    for name, tensor in found.items():
        assert tensor.dtype == wanted
        assert tensor.shape == expected[name].shape
        assert torch.equal(tensor, expected[name].to(wanted))


def write(path: Path, entry: dict[str, object], data: bytes) -> Path:
    header = json.dumps({"t": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "8 bytes in place of 12"),
        ({"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}, "stored as C64"),
        ({"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}, "8 bytes in place of -8"),
    ],
)
def test_a_header_that_contradicts_itself(entry, words, tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", entry, b"\0" * 8)
    with open_tensors(path) as file, pytest.raises(ValueError, match=words):
        file.read("t", torch.float32)
