"""Puts LoRA layers into a loaded base model through PEFT, and holds them as one network.

Which modules is `targets`; files are `kohya`, dropouts `dropout`, magnitudes `dora`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import peft.tuners.lora as peft_lora  # before peft.mapping: the two import each other
import torch
from peft.mapping import inject_adapter_in_model
from torch import Tensor, nn

from engine.lora.dora import Magnitude
from engine.lora.dropout import Dropouts, InnerDropout
from engine.lora.forward import quicken
from engine.lora.targets import Sizes, Target, text_targets, unet_targets
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

    @property
    def magnitude(self) -> nn.Parameter | None:
        """DoRA's [1, in] or [1, in, 1, 1], fp32; None without DoRA."""
        return getattr(self.layer, "dora_scale", None)

    def named(self) -> dict[str, nn.Parameter]:
        """What is trained, by its key in the file."""
        rows = {"lora_down.weight": self.down, "lora_up.weight": self.up, "dora_scale": self.magnitude}
        return {f"{self.target.key}.{name}": value for name, value in rows.items() if value is not None}


class Norms(NamedTuple):
    """What a weight-norm limit did: how many layers it scaled, mean and largest norm afterwards."""

    scaled: Tensor
    mean: Tensor
    largest: Tensor


@dataclass
class Network:
    """All adapted layers of a base model, in a fixed order."""

    modules: list[LoraModule] = field(default_factory=list)
    dropouts: Dropouts = field(default_factory=lambda: Dropouts(0.0, 0.0, 0.0))

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """Every trainable tensor by its key in the file."""
        return {name: p for module in self.modules for name, p in module.named().items()}

    def parameters(self, part: Part) -> list[nn.Parameter]:
        """The trainable tensors of the U-Net or of the text encoders."""
        return [p for module in self.modules if module.part == part for p in module.named().values()]

    def parameter_count(self) -> int:
        """Numbers that are trained."""
        return sum(p.numel() for p in self.named_parameters().values())

    def tensors(self) -> dict[str, Tensor]:
        """The live fp32 weights by file key, without alphas."""
        return {name: p.detach() for name, p in self.named_parameters().items()}

    def begin(self, seed: int) -> None:
        """Decide, as a function of `seed`, what the dropouts leave out of the micro-batch that comes."""
        self.dropouts.seed = seed
        if self.dropouts.module:
            for module in self.modules:
                # Not `enable_adapters`: that would take the weights out of training as well.
                module.layer._disable_adapters = self.dropouts.skips(module.target.key)

    def end(self) -> None:
        """After the last micro-batch: every layer takes part again, in previews for example."""
        if self.dropouts.module:
            for module in self.modules:
                module.layer._disable_adapters = False

    @torch.no_grad()
    def limit_norms(self, limit: float) -> Norms:
        """Scale back every layer whose ‖(alpha / rank) · up · down‖ has grown past `limit`; waits for no device.

        kohya's `apply_max_norm_regularization`, both factors × √(limit / norm). The norm comes from the two small
        rank × rank products: ‖BA‖² = ⟨BᵀB, AAᵀ⟩.
        """
        norms, ratios = [], []
        for module in self.modules:
            down, up = module.down.flatten(1), module.up.flatten(1)
            squared = ((up.T @ up) * (down @ down.T)).sum().clamp(min=0)
            norm = squared.sqrt() * (module.target.alpha / module.target.rank)
            ratio = limit / norm.clamp(min=limit)
            module.down.mul_(ratio.sqrt())
            module.up.mul_(ratio.sqrt())
            norms.append(norm * ratio)
            ratios.append(ratio)
        after = torch.stack(norms)
        return Norms((torch.stack(ratios) < 1).sum(), after.mean(), after.max())

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


def inject(model: DiffusionModel, params: BakeParams, sizes: Sizes | None = None) -> Network:
    """Adapt the U-Net where `unet_lr` is above 0, and each text encoder where its learning rate is.

    `sizes` names layers with a rank and alpha each, and no others are adapted; None leaves both to `params`.
    """
    network = Network(dropouts=Dropouts.of(params))
    if params.unet_lr > 0:
        network.modules += _inject(
            model.unet, unet_targets(model.unet, params, sizes), "unet", params, network.dropouts
        )
    for (prefix, encoder), rate in zip(model.text_encoders, params.text_encoder_lrs, strict=False):
        if rate > 0:
            targets = text_targets(encoder, prefix, params, sizes)
            network.modules += _inject(encoder, targets, "text_encoder", params, network.dropouts)
    return network


def _inject(
    root: nn.Module, targets: list[Target], part: Part, params: BakeParams, dropouts: Dropouts
) -> list[LoraModule]:
    frozen = {name: p.requires_grad for name, p in root.named_parameters()}
    # One call per size in place of PEFT's patterns: those it compiles anew for every module, a minute for SDXL.
    for rank, alpha in sorted({(target.rank, target.alpha) for target in targets}):
        config = peft_lora.LoraConfig(
            r=rank,
            lora_alpha=alpha,  # type: ignore[arg-type]  # divided by the rank, so a float is as good
            target_modules=[target.path for target in targets if (target.rank, target.alpha) == (rank, alpha)],
            init_lora_weights=False,
            bias="none",
        )
        inject_adapter_in_model(config, root, adapter_name=ADAPTER)
    modules = [LoraModule(target, part, root.get_submodule(target.path)) for target in targets]
    _check(root, modules, len(frozen))
    for module in modules:
        _initialise(module, params)
        if dropouts.inner or dropouts.rank:
            module.layer.lora_A[ADAPTER].register_forward_hook(InnerDropout(module.target.key, dropouts))
        else:
            quicken(module.layer, ADAPTER)
        if params.use_dora:
            Magnitude(module.layer, ADAPTER)
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
    if module.down.is_meta:
        return
    digest = blake2b(f"{params.seed}/init/{module.target.key}".encode(), digest_size=7).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
    weight = torch.empty(module.down.shape)
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    module.down.copy_(weight)
    module.up.zero_()
