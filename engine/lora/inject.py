"""Puts LoRA layers into a loaded base model through PEFT, and holds them as one network.

Which modules is `targets`; files are `kohya`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from engine.lora.targets import Target, text_targets, unet_targets
from engine.models.model import DiffusionModel
from engine.protocol.params import BakeParams

ADAPTER = "default"
Part = Literal["unet", "text_encoder"]


@dataclass(frozen=True)
class LoraModule:
    """One adapted layer: `up(down(x)) · alpha / rank` is added to what the layer gives."""

    target: Target
    part: Part
    layer: Any

    @property
    def down(self) -> nn.Parameter:
        """[rank, in] or [rank, in, k, k], fp32."""
        return self.layer.lora_A[ADAPTER].weight

    @property
    def up(self) -> nn.Parameter:
        """[out, rank] or [out, rank, 1, 1], fp32."""
        return self.layer.lora_B[ADAPTER].weight


@dataclass
class Network:
    """All adapted layers of a base model, in a fixed order."""

    modules: list[LoraModule] = field(default_factory=list)

    def parameters(self, part: Part) -> list[nn.Parameter]:
        """The trainable tensors of the U-Net or of the text encoders."""
        return [p for module in self.modules if module.part == part for p in (module.down, module.up)]

    def parameter_count(self) -> int:
        """Numbers that are trained."""
        return sum(p.numel() for module in self.modules for p in (module.down, module.up))

    def tensors(self) -> dict[str, Tensor]:
        """The live fp32 weights by file key, without alphas."""
        named: dict[str, Tensor] = {}
        for module in self.modules:
            named[f"{module.target.key}.lora_down.weight"] = module.down.detach()
            named[f"{module.target.key}.lora_up.weight"] = module.up.detach()
        return named

    @torch.no_grad()
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Overwrite the weights; raises KeyError or ValueError when names or shapes are not exactly these."""
        mine = self.tensors()
        if mine.keys() != tensors.keys():
            odd = sorted(mine.keys() ^ tensors.keys())[0]
            raise KeyError(odd)
        for name, weight in mine.items():
            if weight.shape != tensors[name].shape:
                raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}, not {tuple(weight.shape)}")
            weight.copy_(tensors[name])

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        """Inside, the model answers as if there were no LoRA."""
        self._switch(False)
        try:
            yield
        finally:
            self._switch(True)

    def _switch(self, enabled: bool) -> None:
        for module in self.modules:
            module.layer.enable_adapters(enabled)


def inject(model: DiffusionModel, params: BakeParams) -> Network:
    """Adapt the U-Net where `unet_lr` is above 0 and the text encoders where `text_encoder_lr` is."""
    network = Network()
    if params.unet_lr > 0:
        network.modules += _inject(model.unet, unet_targets(model.unet, params), "unet", params)
    if params.text_encoder_lr > 0:
        for prefix, encoder in model.text_encoders:
            targets = text_targets(encoder, prefix, params)
            network.modules += _inject(encoder, targets, "text_encoder", params)
    return network


def _inject(root: nn.Module, targets: list[Target], part: Part, params: BakeParams) -> list[LoraModule]:
    frozen = {name: p.requires_grad for name, p in root.named_parameters()}
    config = LoraConfig(
        r=params.network_dim,
        lora_alpha=params.network_alpha or params.network_dim,
        target_modules=[target.path for target in targets],
        rank_pattern={t.path: t.rank for t in targets if t.rank != params.network_dim},
        alpha_pattern={t.path: t.alpha for t in targets},
        init_lora_weights=False,
        bias="none",
    )
    inject_adapter_in_model(config, root, adapter_name=ADAPTER)
    modules = [LoraModule(target, part, root.get_submodule(target.path)) for target in targets]
    _check(root, modules, len(frozen))
    for module in modules:
        _initialise(module, params)
    return modules


def _check(root: nn.Module, modules: list[LoraModule], frozen: int) -> None:
    # PEFT matches names by suffix and pattern; a silent extra or missing module would make a wrong file.
    if sum(1 for _ in root.parameters()) != frozen + 2 * len(modules):
        raise AssertionError("PEFT adapted other modules than asked")
    for module in modules:
        scale = module.layer.scaling[ADAPTER]
        if module.down.shape[0] != module.target.rank or not math.isclose(
            scale, module.target.alpha / module.target.rank
        ):
            raise AssertionError(f"PEFT gave {module.target.path} another rank or alpha than asked")


@torch.no_grad()
def _initialise(module: LoraModule, params: BakeParams) -> None:
    """As kohya: down ~ Kaiming uniform (a = √5), up = 0; a function of (seed, module name) alone."""
    module.down.data = module.down.data.float()
    module.up.data = module.up.data.float()
    # With autocast the layer's input already has the right type; PEFT's own cast to fp32 would only cost time.
    module.layer.cast_input_dtype_enabled = False
    if params.network_dropout:
        module.layer.lora_A[ADAPTER].register_forward_hook(_Dropout(params.network_dropout))
    if module.down.is_meta:
        return
    digest = blake2b(f"{params.seed}/init/{module.target.key}".encode(), digest_size=7).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
    weight = torch.empty(module.down.shape)
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    module.down.copy_(weight)
    module.up.zero_()


class _Dropout:
    """kohya's network dropout: it falls on `down(x)`, PEFT's own on `x`."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, down: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return nn.functional.dropout(output, self.rate, training=down.training)
