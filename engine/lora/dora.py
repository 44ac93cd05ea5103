"""DoRA (Liu et al. 2024, arXiv:2402.09353) in the form that ComfyUI, A1111 and LyCORIS all read: one magnitude per
input of a layer, `dora_scale` in the file.

W′ = m · (W + s·BA) / ‖W + s·BA‖ with the norm of each column, that is over all outputs (and kernel cells) of one
input channel. PEFT's DoRA has one magnitude per output; of the readers, A1111 does not know that form, ComfyUI
divides by another norm there, and diffusers drops `dora_scale` in either.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Magnitude:
    """A forward pre-hook on an adapted layer that scales its input: (W + s·BA)(g ⊙ x) with g = m / ‖W + s·BA‖.

    So the low-rank sum and all that acts on it stay as they are. The norm is a constant to the gradient, as the
    paper proposes (section 4.3).
    """

    def __init__(self, layer: Any, adapter: str) -> None:
        self.adapter = adapter
        weight = layer.get_base_layer().weight
        with torch.no_grad():
            start = column_norms(weight.float())
        layer.register_parameter("dora_scale", nn.Parameter(start))
        layer.register_forward_pre_hook(self)

    def __call__(self, layer: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """The layer's inputs with the first one scaled; nothing while the adapter is switched off."""
        if layer.disable_adapters:
            return None
        gain = layer.dora_scale / column_norms(merged(layer, self.adapter))
        x = inputs[0]
        # In fp32: a gain differs from 1 by less than half precision could tell.
        shape = (1, -1, 1, 1) if gain.dim() == 4 else (-1,)
        return (x * gain.view(shape)).to(x.dtype), *inputs[1:]


@torch.no_grad()
def merged(layer: Any, adapter: str) -> Tensor:
    """W + s·BA of an adapted Linear or convolution in fp32, without any magnitude."""
    weight: Tensor = layer.get_base_layer().weight.float()
    down, up = layer.lora_A[adapter].weight.float(), layer.lora_B[adapter].weight.float()
    change: Tensor = (up.flatten(1) @ down.flatten(1)).view(weight.shape) * layer.scaling[adapter]
    return weight + change


def column_norms(weight: Tensor) -> Tensor:
    """The norm of each input channel: [1, in] of a Linear, [1, in, 1, 1] of a convolution."""
    axes = [axis for axis in range(weight.dim()) if axis != 1]
    norms: Tensor = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
    return norms + torch.finfo(weight.dtype).eps
