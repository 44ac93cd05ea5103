"""Tensors as the bytes of a safetensors file; what is in them, and where they go, is the callers' business."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor


def packed(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file of contiguous CPU tensors, byte for byte what `safetensors.torch.save` makes of them.

    A LoRA and its optimizer's state are thousands of small tensors, on each of which that function spends many times
    what numpy's does; numpy has no bfloat16.
    """
    if any(tensor.dtype == torch.bfloat16 for tensor in tensors.values()):
        return safetensors.torch.save(dict(tensors), metadata)
    return safetensors.numpy.save({name: tensor.numpy() for name, tensor in tensors.items()}, metadata)
