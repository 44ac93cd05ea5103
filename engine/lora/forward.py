"""The forward of adapted layers with fewer passes over memory than PEFT's: same sums, nothing of full size beside the
layer's own output.

PEFT writes up(down(x)), its product with alpha / rank and the sum with the layer's output, each as large as that
output, and remembers five steps for the backward. Layers with dropout inside keep PEFT's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def quicken(layer: Any, adapter: str) -> None:
    """Give a PEFT layer around a Linear or Conv2d the short forward; hooks on the layer itself keep working."""
    base = layer.get_base_layer()
    if isinstance(base, nn.Linear):
        layer.forward = _QuickLinear(layer, adapter)
    elif isinstance(base, nn.Conv2d):
        layer.forward = _QuickConv(layer, adapter)


class _Quick:
    def __init__(self, layer: Any, adapter: str) -> None:
        self.layer = layer
        self.base = layer.get_base_layer()
        self.down = layer.lora_A[adapter]
        self.up = layer.lora_B[adapter]
        self.scale = float(layer.scaling[adapter])

    def __call__(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        """The adapted layer's output; the layer's own while the adapter is switched off."""
        if self.layer.disable_adapters:
            return self.base(x)  # type: ignore[no-any-return]
        return self.adapted(x.to(self.base.weight.dtype))

    def adapted(self, x: Tensor) -> Tensor:
        """(W + s·BA) x, `x` in the type of W."""
        raise NotImplementedError


class _QuickLinear(_Quick):
    def adapted(self, x: Tensor) -> Tensor:
        output: Tensor = _LowRankLinear.apply(  # type: ignore[no-untyped-call]
            x, self.down.weight, self.up.weight, self.base.weight, self.base.bias, self.scale
        )
        return output


class _QuickConv(_Quick):
    def adapted(self, x: Tensor) -> Tensor:
        # Scaling the small factor costs less than scaling the output; a convolution does not keep its output, so the
        # sum may replace it.
        up = (self.up.weight * self.scale).to(x.dtype)
        low: Tensor = nn.functional.conv2d(self.down(x), up)
        output: Tensor = self.base(x)
        return output.add_(low)


class _LowRankLinear(torch.autograd.Function):
    """W x + b + s·B(A x) with W and b frozen; the gradient of W is never formed."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, down: Tensor, up: Tensor, weight: Tensor, bias: Tensor | None, scale: float
    ) -> Tensor:
        """`x` [..., in] in the type of `weight` [out, in]; `down` [rank, in] and `up` [out, rank] in fp32."""
        rows = x.reshape(-1, x.shape[-1])
        a, b = down.to(x.dtype), (up * scale).to(x.dtype)
        inner = rows @ a.T
        output = nn.functional.linear(rows, weight, bias).addmm_(inner, b.T)
        ctx.save_for_backward(rows, inner, a, b, weight)
        ctx.scale, ctx.shape = scale, x.shape
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, A and B from four products with the rank in them and one with W."""
        rows, inner, a, b, weight = ctx.saved_tensors
        grad = grads[0].reshape(-1, weight.shape[0])
        inner_grad = grad @ b
        down = (inner_grad.T @ rows).float()
        up = (grad.T @ inner).float().mul_(ctx.scale)
        x = (grad @ weight).addmm_(inner_grad, a).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return x, down, up, None, None, None
