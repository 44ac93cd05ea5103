"""Names of tensors in single-file checkpoints (the LDM layout of SD 1.5) for those of diffusers and transformers.

Pure functions of names; torch-free. Reading the tensors is left to `single_file`.
"""

from __future__ import annotations

import re

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")
"""Prefixes of the text encoder: the usual one, and that of files written by early forks."""
_DEPTH = 2
"""Residual blocks per level of the U-Net; a level of the encoder takes one more number for its downsampler."""
_VAE_LEVELS = 4

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
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_BLOCK = re.compile(r"(down_blocks|up_blocks)\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_MID = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def unet_name(name: str) -> str:
    """The LDM name of a tensor of diffusers' U-Net; raises KeyError for a name that SD 1.5 does not have."""
    stem, _, kind = name.rpartition(".")
    if stem in _UNET_ENDS:
        return f"{UNET}{_UNET_ENDS[stem]}.{kind}"
    if found := _MID.fullmatch(stem):
        part, number, rest = found[1], int(found[2]), found[3]
        place = 1 if part == "attentions" else 2 * number
        return f"{UNET}middle_block.{place}.{_unet_inner(part, rest)}.{kind}"
    if not (found := _BLOCK.fullmatch(stem)):
        raise KeyError(name)
    side, level, part, number, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    if part == "downsamplers":
        return f"{UNET}input_blocks.{(_DEPTH + 1) * (level + 1)}.0.op.{kind}"
    if part == "upsamplers":
        # The upsampler follows what its block holds: a residual block, and attention except at the lowest level.
        return f"{UNET}output_blocks.{(_DEPTH + 1) * level + _DEPTH}.{2 if level else 1}.conv.{kind}"
    block = (_DEPTH + 1) * level + number + (side == "down_blocks")
    place = int(part == "attentions")
    ladder = "input_blocks" if side == "down_blocks" else "output_blocks"
    return f"{UNET}{ladder}.{block}.{place}.{_unet_inner(part, rest)}.{kind}"


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


def _unet_inner(part: str, rest: str) -> str:
    return _RESNET[rest] if part == "resnets" else rest


def _shortcut(rest: str) -> str:
    return rest.replace("conv_shortcut", "nin_shortcut")
