"""Frozen convolutions as one product beside torch's own, in values and gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.models import convolution
from engine.models.convolution import FrozenConv2d, ease


def answer(conv: nn.Conv2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Output and gradient of x for one fixed direction."""
    x = x.detach().requires_grad_(True)
    output = conv(x)
    direction = torch.sin(torch.arange(output.numel()).to(x.dtype)).view(output.shape)
    return output, torch.autograd.grad((output * direction).sum(), x)[0]


def conv_of(inputs: int, outputs: int, kernel: int, **options: object) -> nn.Conv2d:
    torch.manual_seed(inputs * outputs)
    return nn.Conv2d(inputs, outputs, kernel, **options).requires_grad_(False)  # type: ignore[arg-type]


@given(
    batch=st.integers(1, 3),
    sides=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.sampled_from([2, 3, 5]),
    stride=st.integers(1, 3),
    padding=st.integers(1, 3),
    bias=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_equals_torchs(batch, sides, kernel, stride, padding, bias) -> None:
    conv = conv_of(5, 7, kernel, stride=stride, padding=padding, bias=bias).double()
    x = torch.randn(batch, 5, *sides, dtype=torch.float64)
    expected = answer(conv, x)
    mine = convolution._Unfolded.apply(x.requires_grad_(True), conv.weight, conv.bias, stride, padding)
    assert mine.is_contiguous()
    torch.testing.assert_close(mine, expected[0])
    direction = torch.sin(torch.arange(mine.numel()).double()).view(mine.shape)
    torch.testing.assert_close(torch.autograd.grad((mine * direction).sum(), x)[0], expected[1])


@pytest.mark.parametrize(("side", "unfolded"), [(4, True), (24, False)])
def test_the_way_depends_on_the_size_of_the_picture(side, unfolded, monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = conv_of(352, 352, 3, padding=1), torch.randn(2, 352, side, side)
    expected = answer(conv, x)
    root = nn.Sequential(conv)
    ease(root)
    taken = []
    real = convolution._Unfolded.apply
    monkeypatch.setattr(convolution._Unfolded, "apply", lambda *a: taken.append(1) or real(*a))
    mine = answer(root[0], x)
    assert bool(taken) is unfolded
    for value, other in zip(mine, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-4)


def test_the_output_may_be_added_to() -> None:
    # As an adapted convolution does with its low-rank part.
    conv = conv_of(352, 352, 3, padding=1)
    ease(root := nn.Sequential(conv))
    x = torch.randn(1, 352, 4, 4, requires_grad=True)
    (root[0](x).add_(x)).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    "conv",
    [
        conv_of(352, 352, 1),
        conv_of(16, 16, 3),
        conv_of(352, 352, 3).requires_grad_(True),
        conv_of(352, 352, 3).half(),
        conv_of(352, 704, 3, groups=2),
        conv_of(352, 352, 3, dilation=2),
    ],
)
def test_others_are_left_alone(conv: nn.Conv2d) -> None:
    ease(nn.Sequential(conv))
    assert not isinstance(conv, FrozenConv2d)
