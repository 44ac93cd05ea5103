"""The optimizer with one group per part of the network, its learning rates, and its state by tensor name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.lora.inject import Network, Part
from engine.protocol.params import BakeParams

PARTS: tuple[Part, ...] = ("unet", "text_encoder")


def make_optimizer(network: Network, params: BakeParams) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), fused, with the learning rate of each part as the group's `base_lr`."""
    rates = {"unet": params.unet_lr, "text_encoder": params.text_encoder_lr}
    groups = [
        {"params": network.parameters(part), "name": part, "base_lr": rates[part]}
        for part in PARTS
        if network.parameters(part)
    ]
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=params.weight_decay, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Give every group `base_lr · factor`; returns the rates by part."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return {group["name"]: group["lr"] for group in optimizer.param_groups}


def state_tensors(optimizer: torch.optim.Optimizer, network: Network) -> dict[str, Tensor]:
    """The optimizer's memory as `<tensor name>/<field>`; a tensor that never had a gradient has none."""
    named: dict[str, Tensor] = {}
    for name, parameter in _parameters(network).items():
        for field, value in optimizer.state.get(parameter, {}).items():
            named[f"{name}/{field}"] = value.detach()
    return named


def load_state_tensors(optimizer: torch.optim.Optimizer, network: Network, tensors: dict[str, Tensor]) -> None:
    """Put a memory from `state_tensors` back; raises KeyError for a name that is not of this network."""
    parameters = _parameters(network)
    optimizer.state.clear()
    for full, value in tensors.items():
        name, _, field = full.rpartition("/")
        parameter = parameters[name]
        # AdamW counts steps in a tensor of its own; only what has the weight's shape lives beside the weight.
        place = {"device": parameter.device} if value.shape == parameter.shape or value.is_floating_point() else {}
        optimizer.state[parameter][field] = value.clone().to(**place)


def _parameters(network: Network) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for module in network.modules:
        named[f"{module.target.key}.lora_down.weight"] = module.down
        named[f"{module.target.key}.lora_up.weight"] = module.up
    return named
