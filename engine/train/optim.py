"""The optimizer, its groups and their learning rates, and its state by tensor name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from engine.lora.inject import LoraModule, Network
from engine.optimizers import betas, check_installed
from engine.protocol.params import BakeParams
from engine.train.lion import Lion
from engine.train.prodigy import Prodigy

SECOND_ENCODER = "lora_te2_"
"""How kohya's keys of SDXL's second text encoder begin."""


def make_optimizer(network: Network, params: BakeParams) -> torch.optim.Optimizer:
    """The optimizer that `params` names, over the groups of `groups_of`. Raises EngineError `optimizer_missing`.

    AdamW: Loshchilov & Hutter 2019, fused. AdamW8bit: Dettmers et al. 2022, bitsandbytes. Adafactor: Shazeer & Stern
    2018, factored second moments, with our learning rate in place of its own relative steps. Lion and Prodigy cite
    their papers.
    """
    groups = groups_of(network, params)
    options: dict[str, Any] = {"lr": 0.0, "weight_decay": params.weight_decay}
    eps = params.optimizer_eps or 1e-8
    match params.optimizer:
        case "AdamW":
            return torch.optim.AdamW(groups, fused=True, **options, betas=betas(params), eps=eps)
        case "AdamW8bit":
            check_installed(params.optimizer)
            kind = import_module("bitsandbytes.optim").AdamW8bit
            made: torch.optim.Optimizer = kind(groups, **options, betas=betas(params), eps=eps)
            return made
        case "Lion":
            return Lion(groups, **options, betas=betas(params))
        case "Prodigy":
            own = {"d_coef": params.d_coef, "d0": params.d0}
            return Prodigy(groups, **options, **own, betas=betas(params), eps=eps)
        case "Adafactor":
            from transformers.optimization import Adafactor

            own = {"beta1": params.beta1 or None, "eps": (params.optimizer_eps or 1e-30, 1e-3)}
            return Adafactor(groups, relative_step=False, scale_parameter=False, **options, **own)


def groups_of(network: Network, params: BakeParams) -> list[dict[str, Any]]:
    """Parameter groups, each with a `name` and a `base_lr`: the U-Net, each text encoder, and with LoRA+ the up
    matrices of each apart.

    LoRA+ (Hayou et al. 2024): η(B) = ratio · η(A). DoRA's magnitudes go with A.
    """
    groups: dict[str, dict[str, Any]] = {}
    for module in network.modules:
        name, rate, ratio = _rate(module, params)
        for key, parameter in module.named().items():
            faster = key.endswith(".lora_up.weight") and ratio not in (0, 1)
            label = f"{name} up" if faster else name
            base = rate * ratio if faster else rate
            groups.setdefault(label, {"params": [], "name": label, "base_lr": base})["params"].append(parameter)
    return list(groups.values())


def _rate(module: LoraModule, params: BakeParams) -> tuple[str, float, float]:
    """The group of a layer, its learning rate, and its LoRA+ ratio (0: none)."""
    if module.part == "unet":
        return "unet", *_rate_of("unet", params)
    name = "text_encoder_2" if module.target.key.startswith(SECOND_ENCODER) else "text_encoder"
    return name, *_rate_of(name, params)


def _rate_of(part: str, params: BakeParams) -> tuple[float, float]:
    if part == "unet":
        return params.unet_lr, params.loraplus_unet_lr_ratio or params.loraplus_lr_ratio
    ratio = params.loraplus_text_encoder_lr_ratio or params.loraplus_lr_ratio
    return params.text_encoder_lrs[part == "text_encoder_2"], ratio


def set_bases(optimizer: torch.optim.Optimizer, params: BakeParams) -> None:
    """Give every group the `base_lr` that other parameters say; which layers train, and in which groups, stays."""
    for group in optimizer.param_groups:
        part = group["name"].removesuffix(" up")
        rate, ratio = _rate_of(part, params)
        group["base_lr"] = rate * ratio if part != group["name"] else rate


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Give every group `base_lr · factor`; returns the rates by group."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return {group["name"]: group["lr"] for group in optimizer.param_groups}


def state_tensors(optimizer: torch.optim.Optimizer, network: Network) -> dict[str, Tensor]:
    """The optimizer's memory as `<tensor name>/<field>`; a tensor that never had a gradient has none.

    What belongs to no tensor is `/<field>`; whole numbers become 0-d int64 tensors.
    """
    named = {f"/{field}": value for field, value in getattr(optimizer, "shared", {}).items()}
    for name, parameter in network.named_parameters().items():
        for field, value in optimizer.state.get(parameter, {}).items():
            named[f"{name}/{field}"] = torch.as_tensor(value).detach()
    return named


def load_state_tensors(optimizer: torch.optim.Optimizer, network: Network, tensors: dict[str, Tensor]) -> None:
    """Put a memory from `state_tensors` back; raises KeyError for a name that is not of this network."""
    parameters = network.named_parameters()
    optimizer.state.clear()
    for full, value in tensors.items():
        name, _, field = full.rpartition("/")
        if not name:
            shared: dict[str, Tensor] = optimizer.shared  # type: ignore[attr-defined]
            shared[field] = value.clone().to(shared[field].device)
            continue
        parameter = parameters[name]
        if value.dim() == 0 and not value.is_floating_point():
            # Adafactor and bitsandbytes count their steps in a plain number.
            optimizer.state[parameter][field] = int(value)
        else:
            optimizer.state[parameter][field] = value.clone().to(parameter.device)
