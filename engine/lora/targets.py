"""Which modules of a base model carry a LoRA, by kohya's rule (networks/lora.py), and their names in the file.

Injection is `inject`; nothing here touches a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.models import ldm
from engine.protocol.params import BakeParams

UNET_CLASSES = frozenset({"Transformer2DModel"})
CONV_CLASSES = frozenset({"ResnetBlock2D", "Downsample2D", "Upsample2D"})
TEXT_CLASSES = frozenset({"CLIPAttention", "CLIPSdpaAttention", "CLIPMLP"})

UNET_PREFIX = "lora_unet"


Sizes = Mapping[str, tuple[int, float]]
"""Rank and alpha of layers by their name in the file."""


@dataclass(frozen=True)
class Target:
    """A module to adapt: its path inside its model, its name in the file, its rank and alpha."""

    path: str
    key: str
    rank: int
    alpha: float


def unet_targets(unet: nn.Module, params: BakeParams, sizes: Sizes | None = None) -> list[Target]:
    """Every Linear and 1×1 convolution inside the transformer blocks; with `conv_dim` also the ResNets and samplers.

    As in kohya's LoCon, 3×3 convolutions take `conv_dim` / `conv_alpha`, the Linear and 1×1 layers beside them
    `network_dim` / `network_alpha`. Without `conv_dim` the ResNets carry none, on SDXL neither. With `sizes`, exactly
    the layers named there.
    """
    classes = UNET_CLASSES | (CONV_CLASSES if params.conv_dim or sizes is not None else frozenset())
    return _sized(_targets(unet, classes, _unet_names(unet), params), sizes)


def text_targets(encoder: nn.Module, prefix: str, params: BakeParams, sizes: Sizes | None = None) -> list[Target]:
    """Every Linear of the attentions and MLPs of a CLIP text encoder; the file keeps the level `text_model`.

    With `sizes`, exactly the layers named there.
    """
    rooted = prefix if hasattr(encoder, "text_model") else f"{prefix}_text_model"
    named = _targets(encoder, TEXT_CLASSES, lambda path: f"{rooted}_{path.replace('.', '_')}", params)
    return _sized(named, sizes)


def _sized(targets: Iterator[Target], sizes: Sizes | None) -> list[Target]:
    if sizes is None:
        return [target for target in targets if target.rank]
    return [Target(t.path, t.key, *sizes[t.key]) for t in targets if t.key in sizes]


def _unet_names(unet: nn.Module) -> Callable[[str], str]:
    """How kohya names a U-Net's modules: as diffusers does for SD 1.5, as the original code does for SDXL."""
    config: Mapping[str, Any] = unet.config  # type: ignore[assignment]
    if config.get("addition_embed_type") != "text_time":
        return lambda path: f"{UNET_PREFIX}_{path.replace('.', '_')}"
    attended = tuple("CrossAttn" in kind for kind in config["up_block_types"])
    ladder = ldm.Ladder(int(config["layers_per_block"]), attended)
    return lambda path: f"{UNET_PREFIX}_{ldm.unet_module(path, ladder).replace('.', '_')}"


def _targets(
    root: nn.Module, classes: frozenset[str], key_of: Callable[[str], str], params: BakeParams
) -> Iterator[Target]:
    alpha = params.network_alpha or params.network_dim
    conv_alpha = params.conv_alpha or params.conv_dim
    for path, module in root.named_modules():
        if type(module).__name__ not in classes:
            continue
        for child_path, child in module.named_modules():
            full = f"{path}.{child_path}".rstrip(".")
            if isinstance(child, nn.Linear) or (isinstance(child, nn.Conv2d) and child.kernel_size == (1, 1)):
                yield Target(full, key_of(full), params.network_dim, float(alpha))
            elif isinstance(child, nn.Conv2d):
                yield Target(full, key_of(full), params.conv_dim, float(conv_alpha))
