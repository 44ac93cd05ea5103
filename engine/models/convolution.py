"""Frozen convolutions on a processor where their weights outweigh the picture: one product with the unfolded input.

oneDNN reorders all weights in every call, forward and backward; deep in a U-Net, where 60 MB of weights meet 8×8
cells, that takes longer than the sum itself. Everything else stays torch's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SMALL_WEIGHTS = 1 << 20
"""Fewer numbers than these are reordered within the processor's caches."""
_OUTWEIGHED = 32
"""An unfolded input this many times smaller than the weights is cheaper than their reordering."""


def ease(root: nn.Module) -> None:
    """Let the frozen square convolutions within `root`, fp32 and on a processor, choose by the size of their input."""
    for module in root.modules():
        if type(module) is nn.Conv2d and _plain(module):
            module.__class__ = FrozenConv2d


def _plain(conv: nn.Conv2d) -> bool:
    weight = conv.weight
    known = weight.dtype == torch.float32 and weight.device.type == "cpu" and not weight.requires_grad
    alike = all(len(set(pair)) == 1 for pair in (conv.kernel_size, conv.stride, conv.padding, conv.dilation))
    usual = conv.groups == 1 and conv.dilation[0] == 1 and conv.padding_mode == "zeros"
    return known and alike and usual and conv.kernel_size[0] > 1 and weight.numel() >= _SMALL_WEIGHTS


class FrozenConv2d(nn.Conv2d):
    """A Conv2d whose weights are never trained; the same numbers up to rounding."""

    def forward(self, input: Tensor) -> Tensor:
        """[B, in, H, W] to [B, out, h, w]; which way is decided by shapes alone, so that a bake repeats itself."""
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in input.shape[-2:]]
        cells = input.shape[0] * sides[0] * sides[1]
        if input.dtype != self.weight.dtype or self.out_channels * kernel**2 < _OUTWEIGHED * cells:
            return super().forward(input)
        output: Tensor = _Unfolded.apply(input, self.weight, self.bias, stride, padding)  # type: ignore[no-untyped-call]
        return output


class _Unfolded(torch.autograd.Function):
    """W · unfold(x) + b, all pictures in one product; the gradient of W is never formed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        """`x` [B, in, H, W], `weight` [out, in, k, k]."""
        kernel = weight.shape[-1]
        padded = F.pad(x, (padding,) * 4)
        windows = padded.unfold(2, kernel, stride).unfold(3, kernel, stride)  # [B, in, h, w, k, k]
        batch, channels, height, width = windows.shape[:4]
        columns = windows.permute(1, 4, 5, 0, 2, 3).reshape(channels * kernel**2, -1)
        rows = weight.flatten(1)
        product = rows @ columns if bias is None else torch.addmm(bias[:, None], rows, columns)
        ctx.save_for_backward(weight)
        ctx.sizes = (x.shape, padded.shape, stride, padding)
        # Not a view of the product: what comes after may write into its input.
        return x.new_empty(batch, len(weight), height, width).copy_(
            product.view(-1, batch, height, width).transpose(0, 1)
        )

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of x: Wᵀ · gradient, each tap added where it was read."""
        (weight,) = ctx.saved_tensors
        shape, padded, stride, padding = ctx.sizes
        batch, _, height, width = grads[0].shape
        kernel, channels = weight.shape[-1], weight.shape[1]
        columns = weight.flatten(1).T @ grads[0].transpose(0, 1).reshape(weight.shape[0], -1)
        taps = columns.view(channels, kernel, kernel, batch, height, width)
        whole = columns.new_zeros(channels, batch, *padded[2:])
        for down in range(kernel):
            for right in range(kernel):
                reached = whole[:, :, down : down + stride * height : stride, right : right + stride * width : stride]
                reached += taps[:, down, right]
        inner = whole[:, :, padding : padding + shape[2], padding : padding + shape[3]]
        return inner.transpose(0, 1), None, None, None, None
