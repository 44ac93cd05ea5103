"""Names in the layout of the original code (LDM of SD 1.5, SGM of SDXL) for those of diffusers and transformers.

Single-file checkpoints are written in it, and kohya's LoRA keys for SDXL. Pure functions of names; torch-free. Reading
the tensors is left to `single_file`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")
"""Prefixes of SD 1.5's text encoder: the usual one, and that of files written by early forks."""
TEXT_XL = "conditioner.embedders.0.transformer.text_model."
OPEN_CLIP = "conditioner.embedders.1.model."
_VAE_LEVELS = 4


class Ladder(NamedTuple):
    """The shape of a U-Net: residual blocks per level, and which levels of its decoder have attention.

    A level of the encoder takes one number more than it has blocks, for its downsampler.
    """

    depth: int
    attended: tuple[bool, ...]


SD15 = Ladder(2, (False, True, True, True))
SDXL = Ladder(2, (True, True, False))

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_BLOCK = re.compile(r"(down_blocks|up_blocks)\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_MID = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


_OPEN_CLIP_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
"""The three that OpenCLIP keeps in one tensor, in its order."""


def unet_name(name: str, ladder: Ladder = SD15) -> str:
    """The LDM name of a tensor of diffusers' U-Net; raises KeyError for a name that such a U-Net does not have."""
    stem, _, kind = name.rpartition(".")
    return f"{UNET}{unet_module(stem, ladder)}.{kind}"


def unet_module(path: str, ladder: Ladder = SD15) -> str:
    """The LDM name of a module of diffusers' U-Net, without a prefix; raises KeyError as `unet_name`."""
    if path in _UNET_ENDS:
        return _UNET_ENDS[path]
    if found := _MID.fullmatch(path):
        part, number, rest = found[1], int(found[2]), found[3]
        place = 1 if part == "attentions" else 2 * number
        return f"middle_block.{place}.{_unet_inner(part, rest)}"
    if not (found := _BLOCK.fullmatch(path)):
        raise KeyError(path)
    side, level, part, number, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    if part == "downsamplers":
        return f"input_blocks.{(ladder.depth + 1) * (level + 1)}.0.op"
    if part == "upsamplers":
        # The upsampler follows what its block holds: a residual block, and attention where the level has some.
        return f"output_blocks.{(ladder.depth + 1) * level + ladder.depth}.{1 + ladder.attended[level]}.conv"
    block = (ladder.depth + 1) * level + number + (side == "down_blocks")
    place = int(part == "attentions")
    half = "input_blocks" if side == "down_blocks" else "output_blocks"
    return f"{half}.{block}.{place}.{_unet_inner(part, rest)}"


def vae_name(name: str) -> str:
    """The LDM name of a tensor of diffusers' AutoencoderKL; raises KeyError for a name that SD 1.5 does not have."""
    stem, _, kind = name.rpartition(".")
    if stem in ("quant_conv", "post_quant_conv"):
        return f"{VAE}{name}"
    half, _, rest = stem.partition(".")
    if half not in ("encoder", "decoder"):
        raise KeyError(name)
    if rest in ("conv_in", "conv_out", "conv_norm_out"):
        inner = rest.replace("conv_norm_out", "norm_out")
    elif found := _MID.fullmatch(rest):
        number = int(found[2]) + 1
        if found[1] == "attentions":
            inner = f"mid.attn_{number}.{_VAE_ATTENTION[found[3]]}"
        else:
            inner = f"mid.block_{number}.{_shortcut(found[3])}"
    elif found := _BLOCK.fullmatch(rest):
        level, part, number = int(found[2]), found[3], int(found[4])
        # LDM counts the decoder's levels from the finest, diffusers in the order they run.
        ladder = f"down.{level}" if found[1] == "down_blocks" else f"up.{_VAE_LEVELS - 1 - level}"
        samplers = {"downsamplers": "downsample", "upsamplers": "upsample"}
        place = samplers.get(part) or f"block.{number}"
        inner = f"{ladder}.{place}.{_shortcut(found[5])}"
    else:
        raise KeyError(name)
    return f"{VAE}{half}.{inner}.{kind}"


def text_names(name: str) -> tuple[str, ...]:
    """The names that a tensor of transformers' CLIPTextModel may have in a file, likeliest first."""
    return tuple(prefix + name.removeprefix("text_model.") for prefix in TEXT)


def open_clip_name(name: str) -> str:
    """The OpenCLIP name, prefixed, of a tensor of transformers' CLIPTextModelWithProjection.

    Query, key and value share a name: one tensor holds all three (`QKV`). Raises KeyError for an unknown name.
    """
    inner = name.removeprefix("text_model.")
    if inner == "text_projection.weight":
        return f"{OPEN_CLIP}text_projection"
    if inner in _OPEN_CLIP_ENDS:
        return f"{OPEN_CLIP}{_OPEN_CLIP_ENDS[inner]}"
    if not (found := _LAYER.fullmatch(inner)):
        raise KeyError(name)
    layer, part, kind = found[1], found[2], found[3]
    block = f"{OPEN_CLIP}transformer.resblocks.{layer}."
    return f"{block}attn.in_proj_{kind}" if part in QKV else f"{block}{_OPEN_CLIP_LAYER[part]}.{kind}"


def _unet_inner(part: str, rest: str) -> str:
    return _RESNET[rest] if part == "resnets" else rest


def _shortcut(rest: str) -> str:
    return rest.replace("conv_shortcut", "nin_shortcut")
