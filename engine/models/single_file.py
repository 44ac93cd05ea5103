"""Reads the parts of a single-file checkpoint into modules built for them, and hashes its VAE."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.models.ldm import QKV, VAE
from engine.models.sniff import header_of
from engine.models.tensors import open_tensors

Names = Callable[[str], tuple[str, ...]]
"""The names that a module's tensor may have in the file, likeliest first."""
Piece = Callable[[str, Tensor], Tensor]
"""What of a file's tensor is the module's tensor of this name, where the file keeps several in one or turned."""


def read_part(
    path: Path, wanted: dict[str, Tensor], names: Names, dtype: torch.dtype, piece: Piece = lambda _, whole: whole
) -> dict[str, Tensor]:
    """The tensors of a module's state dict `wanted`, in its names and shapes and in `dtype`; the rest is not read.

    Raises ValueError when some are not in the file or have another shape.
    """
    return dict(_each(path, wanted, names, dtype, piece))


def fill(module: nn.Module, path: Path, names: Names, dtype: torch.dtype) -> None:
    """Give a module its tensors from the file, one after the other; raises ValueError as `read_part`.

    A module of the meta device gets them in `dtype`, another in the memory and type it has.
    """
    state = module.state_dict()
    if any(tensor.is_meta for tensor in state.values()):
        module.load_state_dict(read_part(path, state, names, dtype), assign=True)
        return
    for name, tensor in _each(path, state, names, dtype):
        state[name].copy_(tensor)


def _each(
    path: Path, wanted: dict[str, Tensor], names: Names, dtype: torch.dtype, piece: Piece = lambda _, whole: whole
) -> Iterator[tuple[str, Tensor]]:
    with open_tensors(path) as file:
        found = {name: next((other for other in names(name) if other in file.names), None) for name in wanted}
        missing = sorted(names(name)[0] for name, other in found.items() if other is None)
        if missing:
            raise ValueError(f"it lacks {len(missing)} tensors ({missing[0]})")
        for name, other in found.items():
            if other is not None:
                shape = wanted[name].shape
                yield name, _shaped(piece(name, file.read(other, dtype)), shape, other).contiguous()


def open_clip_piece(name: str, whole: Tensor) -> Tensor:
    """The third of OpenCLIP's joint tensor that is query, key or value; its projection turned; others as they are."""
    part = name.rpartition(".")[0].partition("layers.")[2].partition(".")[2]
    if part in QKV:
        return whole.chunk(3)[QKV.index(part)].clone()  # not a view that keeps all three
    return whole.t() if name.endswith("text_projection.weight") else whole


def vae_hash(path: Path, config: dict[str, Any]) -> str:
    """A hash over the VAE's tensors in the file and its config; part of every latent's cache key."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    header = header_of(path)
    with open(path, "rb") as handle:
        start = 8 + int.from_bytes(handle.read(8), "little")
        for name in sorted(name for name in header if name.startswith(VAE)):
            begin, end = header[name]["data_offsets"]
            digest.update(f"{name} {header[name]['dtype']} {header[name]['shape']}\n".encode())
            handle.seek(start + begin)
            digest.update(handle.read(end - begin))
    return digest.hexdigest()


def _shaped(tensor: Tensor, shape: torch.Size, name: str) -> Tensor:
    # A 1×1 convolution and a linear layer are the same numbers; the VAE's attention exists as both.
    if tensor.shape != shape and _without_ones(tensor.shape) != _without_ones(shape):
        raise ValueError(f"{name} has the shape {list(tensor.shape)} in place of {list(shape)}")
    return tensor.reshape(shape)


def _without_ones(shape: torch.Size) -> list[int]:
    return [*shape[:2], *(side for side in shape[2:] if side != 1)]
