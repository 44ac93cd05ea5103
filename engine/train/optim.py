"""The optimizer with one group per part of the network, its learning rates, and its state by tensor name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.lora.inject import Network, Part
from engine.protocol.params import BakeParams
from engine.train.lion import Lion
from engine.train.prodigy import Prodigy

PARTS: tuple[Part, ...] = ("unet", "text_encoder")


def make_optimizer(network: Network, params: BakeParams) -> torch.optim.Optimizer:
    """The optimizer that `params` names, with the learning rate of each part as the group's `base_lr`.

    AdamW: Loshchilov & Hutter 2019, fused. Adafactor: Shazeer & Stern 2018, factored second moments only, with our
    learning rate in place of its own relative steps. Lion and Prodigy cite their papers.
    """
    rates = {"unet": params.unet_lr, "text_encoder": params.text_encoder_lr}
    groups = [
        {"params": network.parameters(part), "name": part, "base_lr": rates[part]}
        for part in PARTS
        if network.parameters(part)
    ]
    options: dict[str, Any] = {"lr": 0.0, "weight_decay": params.weight_decay}
    if params.optimizer == "Lion":
        return Lion(groups, **options)
    if params.optimizer == "Prodigy":
        return Prodigy(groups, **options)
    if params.optimizer == "Adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(groups, relative_step=False, scale_parameter=False, **options)
    return torch.optim.AdamW(groups, fused=True, **options)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Give every group `base_lr · factor`; returns the rates by part."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return {group["name"]: group["lr"] for group in optimizer.param_groups}


def state_tensors(optimizer: torch.optim.Optimizer, network: Network) -> dict[str, Tensor]:
    """The optimizer's memory as `<tensor name>/<field>`; a tensor that never had a gradient has none.

    What belongs to no tensor is `/<field>`; whole numbers become 0-d int64 tensors.
    """
    named = {f"/{field}": value for field, value in getattr(optimizer, "shared", {}).items()}
    for name, parameter in _parameters(network).items():
        for field, value in optimizer.state.get(parameter, {}).items():
            named[f"{name}/{field}"] = torch.as_tensor(value).detach()
    return named


def load_state_tensors(optimizer: torch.optim.Optimizer, network: Network, tensors: dict[str, Tensor]) -> None:
    """Put a memory from `state_tensors` back; raises KeyError for a name that is not of this network."""
    parameters = _parameters(network)
    optimizer.state.clear()
    for full, value in tensors.items():
        name, _, field = full.rpartition("/")
        if not name:
            shared: dict[str, Tensor] = optimizer.shared  # type: ignore[attr-defined]
            shared[field] = value.clone().to(shared[field].device)
            continue
        parameter = parameters[name]
        if value.is_floating_point():
            optimizer.state[parameter][field] = value.clone().to(parameter.device)
        else:  # Adafactor counts its steps in a plain number
            optimizer.state[parameter][field] = int(value)


def _parameters(network: Network) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for module in network.modules:
        named[f"{module.target.key}.lora_down.weight"] = module.down
        named[f"{module.target.key}.lora_up.weight"] = module.up
    return named
