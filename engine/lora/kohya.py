"""The LoRA file: kohya's keys, alphas and metadata in a safetensors file, written atomically and read back.

What the metadata says is `metadata`; the live weights are `inject`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.lora.header import Cut, fitted
from engine.lora.inject import Network
from engine.lora.packing import packed
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write
from engine.protocol.params import SavePrecision

_DTYPES: dict[SavePrecision, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
_HALF_MAX = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class SavedFile:
    """What was written: its size, the sha256 of all its bytes, and what was cut from the tags so that it is read."""

    bytes: int
    sha256: str
    tags: Cut | None = None


@dataclass(frozen=True)
class LoraFile:
    """A LoRA as read: weights by kohya key in fp32, alpha by module key, metadata as written."""

    tensors: dict[str, Tensor]
    alphas: dict[str, float]
    metadata: dict[str, str]


def save(path: Path, network: Network, metadata: dict[str, str], precision: SavePrecision = "fp16") -> SavedFile:
    """Write the network; a reader sees the whole file or none. Raises OSError when the disk is full.

    A weight beyond fp16's range becomes the largest fp16 number, not infinity.
    """
    dtype = _DTYPES[precision]
    tensors = {name: _stored(weight, dtype) for name, weight in network.tensors().items()}
    for module in network.modules:
        tensors[f"{module.target.key}.alpha"] = torch.tensor(module.target.alpha, dtype=dtype)
    kept, cut = fitted(metadata, ((name, tensor.shape) for name, tensor in tensors.items()))
    data = packed(tensors, kept | hashes(tensors, kept))
    atomic_write(path, data)
    return SavedFile(len(data), hashlib.sha256(data).hexdigest(), cut)


def _stored(weight: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype == torch.float16:
        weight = weight.clamp(-_HALF_MAX, _HALF_MAX)
    return weight.to("cpu", dtype).contiguous()


def hashes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, str]:
    """kohya's two hashes, over the file as it would be with its `ss_` metadata alone.

    `sshs_model_hash` is the sha256 of everything after the header, `sshs_legacy_hash` the first 8 digits of that
    of 64 KiB from 1 MiB on. `modelspec.hash_sha256` is the first of them in that block's spelling.
    """
    kept = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    data = packed(tensors, kept)
    start = 8 + int.from_bytes(data[:8], "little")
    digest = hashlib.sha256(memoryview(data)[start:]).hexdigest()
    return {
        "sshs_model_hash": digest,
        "modelspec.hash_sha256": f"0x{digest}",
        "sshs_legacy_hash": hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8],
    }


def read(path: Path) -> LoraFile:
    """A LoRA in kohya's keys; raises EngineError `model_broken` for a file that cannot be read."""
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = dict(handle.metadata() or {})
            raw = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise EngineError("model_broken", path=path, reason=error) from None
    alphas = {name.removesuffix(".alpha"): float(value) for name, value in raw.items() if name.endswith(".alpha")}
    tensors = {name: value.float() for name, value in raw.items() if not name.endswith(".alpha")}
    return LoraFile(tensors, alphas, metadata)
