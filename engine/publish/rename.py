"""A LoRA file under another name and trigger word: only its metadata changes, the tensors stay byte for byte.

Torch-free: safetensors reads and writes bytes here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from engine.lora.header import fitted
from engine.models.adapter import read_adapter
from engine.protocol.errors import EngineError

_LEGACY = slice(0x100000, 0x110000)


def renamed(path: Path, changes: Mapping[str, str]) -> bytes:
    """The file at `path` with metadata overlaid by `changes` ("" takes a field away) and its hashes worked out anew.

    The header stays below what its readers take. Raises EngineError `lora_broken`.
    """
    adapter = read_adapter(path)
    try:
        tensors: dict[str, dict[str, Any]] = dict(safetensors.deserialize(path.read_bytes()))
    except (OSError, safetensors.SafetensorError) as error:
        raise EngineError("lora_broken", path=path, reason=error) from None
    metadata = {name: value for name, value in {**adapter.metadata, **changes}.items() if value}
    kept, _ = fitted(metadata, ((name, tensor["shape"]) for name, tensor in tensors.items()))
    return safetensors.serialize(tensors, kept | _hashes(tensors, kept))


def _hashes(tensors: dict[str, dict[str, Any]], metadata: Mapping[str, str]) -> dict[str, str]:
    """kohya's two, over the file as it would be with its `ss_` metadata alone; see `lora.kohya.hashes`."""
    data = safetensors.serialize(tensors, {name: value for name, value in metadata.items() if name.startswith("ss_")})
    start = 8 + int.from_bytes(data[:8], "little")
    digest = hashlib.sha256(memoryview(data)[start:]).hexdigest()
    return {
        "sshs_model_hash": digest,
        "modelspec.hash_sha256": f"0x{digest}",
        "sshs_legacy_hash": hashlib.sha256(data[_LEGACY]).hexdigest()[:8],
    }
