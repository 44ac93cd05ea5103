"""A LoRA file under another name and trigger word: only its metadata changes, the tensors stay byte for byte.

Torch-free: a safetensors file is the length of its header, the header in JSON, and the tensors' bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.lora.header import fitted
from engine.models.adapter import read_adapter
from engine.models.sniff import header_of
from engine.protocol.errors import EngineError

_LEGACY_START, _LEGACY_END = 0x100000, 0x110000


def renamed(path: Path, changes: Mapping[str, str]) -> bytes:
    """The file at `path` with metadata overlaid by `changes` ("" takes a field away) and its hashes worked out anew.

    The header stays below what its readers take. Raises EngineError `lora_not` or `lora_broken`.
    """
    adapter = read_adapter(path)
    header = header_of(path)
    header.pop("__metadata__", None)
    try:
        body = path.read_bytes()[8 + adapter.header_bytes :]
    except OSError as error:
        raise EngineError("lora_broken", path=path, reason=error.strerror or error) from None
    metadata = {name: value for name, value in {**adapter.metadata, **changes}.items() if value}
    kept, _ = fitted(metadata, ((name, tensor["shape"]) for name, tensor in header.items()))
    return _head(header, kept | _hashes(header, body, kept)) + body


def _head(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    """Length and header, padded with spaces to eight bytes as safetensors does."""
    text = json.dumps({"__metadata__": dict(metadata), **tensors}, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "replace")
    data += b" " * (-len(data) % 8)
    return len(data).to_bytes(8, "little") + data


def _hashes(tensors: Mapping[str, Any], body: bytes, metadata: Mapping[str, str]) -> dict[str, str]:
    """kohya's two, over the file as it would be with its `ss_` metadata alone; see `lora.kohya.hashes`."""
    head = _head(tensors, {name: value for name, value in metadata.items() if name.startswith("ss_")})
    digest = hashlib.sha256(body).hexdigest()
    begin, end = max(0, _LEGACY_START - len(head)), max(0, _LEGACY_END - len(head))
    legacy = head[_LEGACY_START:_LEGACY_END] + body[begin:end]
    return {
        "sshs_model_hash": digest,
        "modelspec.hash_sha256": f"0x{digest}",
        "sshs_legacy_hash": hashlib.sha256(legacy).hexdigest()[:8],
    }
