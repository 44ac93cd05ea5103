"""Lays LoRA files onto a base model's weights and takes them off again, without loading the base anew.

What the file says is `models.adapter`'s, which layer is which `lora.start`'s. Taking off puts the very same bytes back,
so that a picture of the base alone never tells what was drawn before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.lora.dora import column_norms
from engine.lora.start import by_key, every_target
from engine.models.adapter import Adapter, Layer, read_adapter
from engine.models.model import DiffusionModel
from engine.protocol.drawing import LoraUse
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams


class Dressed:
    """A base model and the LoRAs that lie on it just now: W′ = W + Σ weight · ΔW."""

    def __init__(self, model: DiffusionModel) -> None:
        self.model = model
        self._targets = every_target(model, BakeParams())
        self._modules: dict[str, Any] = {target.key: root.get_submodule(target.path) for root, target in self._targets}
        self._kept: dict[str, Tensor] = {}
        self._worn: list[LoraUse] = []

    @torch.no_grad()
    def wear(self, loras: Sequence[LoraUse]) -> None:
        """Have exactly these on. One of weight 0 is as good as none.

        Raises EngineError `lora_broken`, `lora_family`, `lora_kind` or `lora_nothing`, with nothing on.
        """
        wanted = [lora for lora in loras if lora.weight or lora.te_weight]
        if wanted == self._worn:
            return
        self.take_off()
        try:
            for lora in wanted:
                self._put_on(lora)
        except BaseException:
            self.take_off()
            raise
        self._worn = wanted

    @torch.no_grad()
    def take_off(self) -> None:
        """The base as it was loaded."""
        for key, weight in self._kept.items():
            layer = self._modules[key]
            layer.weight.copy_(weight)
        self._kept.clear()
        self._worn = []

    def _put_on(self, lora: LoraUse) -> None:
        path = Path(lora.path)
        adapter = check(path, self.model.family)
        layers = by_key(adapter, [target for _, target in self._targets])
        if not layers:
            raise EngineError("lora_nothing", path=path, first=adapter.layers[0].module)
        try:
            with safe_open(path, framework="pt") as file:
                for key, layer in layers.items():
                    weight = lora.weight
                    if layer.part != "unet" and lora.te_weight is not None:
                        weight = lora.te_weight
                    if weight:
                        self._change(key, layer, file, weight)
        except (OSError, SafetensorError, ValueError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise EngineError("lora_broken", path=path, reason=reason) from None

    def _change(self, key: str, layer: Layer, file: Any, weight: float) -> None:
        module = self._modules[key]
        base = module.weight
        if key not in self._kept:
            # Off the device: a copy of SDXL's layers there could be what does not fit.
            self._kept[key] = base.detach().to("cpu", copy=True)
        original = self._kept[key].to(base.device, torch.float32)
        base.copy_(base.float() + weight * _delta(layer, file, original))


def check(path: Path, family: str) -> Adapter:
    """The LoRA at `path` by its header, if it can be laid onto a model of `family`.

    Raises EngineError as `read_adapter`, `lora_family` or `lora_kind`.
    """
    adapter = read_adapter(path)
    if adapter.family != family:
        raise EngineError("lora_family", path=path, family=adapter.family or "unknown", other=family)
    odd = next((layer for layer in adapter.layers if layer.kind != "LoRA" or "mid" in layer.tensors), None)
    if odd is not None:
        kind = odd.kind if odd.kind != "LoRA" else "LoCon with Tucker cores"
        raise EngineError("lora_kind_drawn", path=path, kind=kind)
    return adapter


def _delta(layer: Layer, file: Any, original: Tensor) -> Tensor:
    """What the layer adds at weight 1, in fp32 and in the shape of the weight."""
    device = original.device
    down = file.get_tensor(layer.tensors["down"]).to(device, torch.float32)
    up = file.get_tensor(layer.tensors["up"]).to(device, torch.float32)
    alpha = float(layer.rank) if layer.alpha is None else layer.alpha
    change: Tensor = (up.flatten(1) @ down.flatten(1)).reshape(original.shape) * (alpha / layer.rank)
    if not layer.dora:
        return change
    magnitude = file.get_tensor(layer.tensors["dora"]).to(device, torch.float32)
    merged = original + change
    if magnitude.numel() == original.shape[1] and magnitude.shape[0] == 1:
        norm = column_norms(merged)
        magnitude = magnitude.reshape(norm.shape)
    elif magnitude.numel() == original.shape[0]:  # PEFT's and newer LyCORIS's: one per output
        shape = (-1, *[1] * (original.dim() - 1))
        norm = torch.linalg.vector_norm(merged.flatten(1), dim=1).view(shape) + torch.finfo(torch.float32).eps
        magnitude = magnitude.reshape(shape)
    else:
        raise ValueError(f"{layer.module} has {magnitude.numel()} magnitudes")
    dora: Tensor = merged * (magnitude / norm) - original
    return dora
