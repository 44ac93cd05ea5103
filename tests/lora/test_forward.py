"""The short forward of adapted layers beside PEFT's own: same outputs, same gradients."""

from __future__ import annotations

import peft.tuners.lora as peft_lora
import pytest
import torch
from peft.mapping import inject_adapter_in_model
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from engine.lora.forward import quicken

LAYERS = {
    "linear": (lambda: nn.Linear(24, 40), (3, 7, 24)),
    "linear without bias": (lambda: nn.Linear(24, 40, bias=False), (5, 24)),
    "1×1 convolution": (lambda: nn.Conv2d(12, 20, 1), (2, 12, 6, 5)),
    "3×3 convolution": (lambda: nn.Conv2d(12, 20, 3, padding=1), (2, 12, 6, 5)),
    "stride 2": (lambda: nn.Conv2d(12, 20, 3, stride=2, padding=1), (2, 12, 6, 6)),
}


def adapted(kind: str) -> tuple[nn.Module, Tensor]:
    """A layer with a PEFT LoRA of rank 4 whose up is not zero, and an input for it."""
    torch.manual_seed(3)
    make, shape = LAYERS[kind]
    root = nn.Sequential(make()).requires_grad_(False)
    config = peft_lora.LoraConfig(r=4, lora_alpha=7, target_modules=["0"], init_lora_weights=False)
    inject_adapter_in_model(config, root)
    layer = root[0]
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_()
    return layer, torch.randn(shape, requires_grad=True)


def answer(layer: nn.Module, x: Tensor, run=lambda layer, x: layer(x)) -> list[Tensor]:
    """Output and gradients of x, down and up for one fixed direction."""
    inputs = [x, layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    output = run(layer, x)
    direction = torch.sin(torch.arange(output.numel()).float()).view(output.shape)
    return [output, *torch.autograd.grad((output * direction).sum(), inputs)]


@pytest.mark.parametrize("kind", LAYERS)
def test_equals_pefts_forward(kind: str) -> None:
    layer, x = adapted(kind)
    expected = answer(layer, x)
    quicken(layer, "default")
    assert type(layer.forward).__module__ == "engine.lora.forward"
    for mine, theirs in zip(answer(layer, x), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_is_the_layer_itself_while_switched_off(kind: str) -> None:
    layer, x = adapted(kind)
    quicken(layer, "default")
    assert not torch.equal(layer(x), layer.get_base_layer()(x))
    layer.enable_adapters(False)
    assert torch.equal(layer(x), layer.get_base_layer()(x))


@pytest.mark.parametrize("kind", LAYERS)
def test_gradient_checkpointing_changes_no_bit(kind: str) -> None:
    layer, x = adapted(kind)
    quicken(layer, "default")
    again = answer(layer, x, lambda layer, x: checkpoint(layer, x, use_reentrant=False))
    assert all(map(torch.equal, answer(layer, x), again))


@pytest.mark.parametrize("kind", LAYERS)
def test_half_precision_weights_take_fp32_inputs_and_give_fp32_gradients(kind: str) -> None:
    layer, x = adapted(kind)
    exact = answer(layer, x)
    layer.get_base_layer().to(torch.bfloat16)
    quicken(layer, "default")
    with torch.autocast("cpu", torch.bfloat16):
        output, *grads = answer(layer, x)
    assert output.dtype == torch.bfloat16
    assert [grad.dtype for grad in grads] == [torch.float32] * 3
    for mine, theirs in zip(grads, exact[1:], strict=True):
        assert (mine - theirs).norm() < 0.02 * theirs.norm()


def test_an_input_without_gradient_gets_none() -> None:
    layer, x = adapted("linear")
    quicken(layer, "default")
    weights = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    without = torch.autograd.grad(layer(x.detach()).square().sum(), weights)
    with_gradient = torch.autograd.grad(layer(x).square().sum(), weights)
    assert all(map(torch.equal, without, with_gradient))
