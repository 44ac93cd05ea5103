"""Reads single tensors of a safetensors file by plain reads, so that a model takes no more memory than its own numbers.

The library maps whole files: beside a converted model, its file would lie in memory as well. What the header may say
is checked in `sniff`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.models.sniff import header_of

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
}


class TensorFile:
    """An open safetensors file; tensors that need converting share one buffer, which grows to the largest of them."""

    def __init__(self, handle: BufferedReader, header: dict[str, Any]) -> None:
        self._handle = handle
        self._header = {name: entry for name, entry in header.items() if name != "__metadata__"}
        handle.seek(0)
        self._start = 8 + int.from_bytes(handle.read(8), "little")
        self._buffer = torch.empty(0, dtype=torch.uint8)

    @property
    def names(self) -> set[str]:
        """Of all tensors in the file."""
        return set(self._header)

    def read(self, name: str, dtype: torch.dtype) -> Tensor:
        """The tensor `name` in `dtype`, in memory of its own.

        Raises ValueError where the header contradicts itself or names a type unknown here, OSError.
        """
        entry = self._header[name]
        shape, (begin, end) = entry["shape"], entry["data_offsets"]
        stored = _DTYPES.get(entry["dtype"])
        if stored is None:
            raise ValueError(f"{name} is stored as {str(entry['dtype'])[:20]}")
        size = math.prod(shape) * stored.itemsize
        if end - begin != size:
            raise ValueError(f"{name} has {end - begin} bytes in place of {size}")
        if stored == dtype:
            raw = torch.empty(size, dtype=torch.uint8)
        else:
            if len(self._buffer) < size:
                self._buffer = torch.empty(size, dtype=torch.uint8)
            raw = self._buffer[:size]
        self._handle.seek(self._start + begin)
        if self._handle.readinto(raw.numpy()) != size:
            raise ValueError("the file is cut short")
        return raw.view(stored).reshape(shape).to(dtype)


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open the file at `path`; raises EngineError `model_not_base` or `model_broken` as `header_of`, OSError."""
    header = header_of(path)
    with open(path, "rb") as handle:
        yield TensorFile(handle, header)
