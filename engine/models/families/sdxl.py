"""Stable Diffusion XL: two text encoders, a pooled text, and the true size and crop of every picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from engine.models import autoencoder, folder, ldm, single_file
from engine.models.clip import join
from engine.models.model import DiffusionModel, Embedding, Emphasis, Frame, Source

FILE_CONFIGS: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 2,
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    "vae": {
        "sample_size": 1024,
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "scaling_factor": 0.13025,
    },
    "text_encoder": {
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
        "projection_dim": 768,
        "hidden_act": "quick_gelu",
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    },
    "text_encoder_2": {
        "vocab_size": 49408,
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 20,
        "max_position_embeddings": 77,
        "projection_dim": 1280,
        "hidden_act": "gelu",
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    },
    "scheduler": {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": "epsilon",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    },
}
"""The configs of stabilityai/stable-diffusion-xl-base-1.0 where they differ from the classes' defaults."""

_FIRST, _SECOND = "lora_te1", "lora_te2"
_PADDING = "!"
"""What fills the second encoder's window in place of the end mark."""


@dataclass
class SDXL(DiffusionModel):
    """CLIP-L and OpenCLIP bigG side by side; sizes and crop go to the U-Net as numbers (Podell et al. 2023, 2.2)."""

    family = "sdxl"
    kohya_version = "sdxl_base_v1-0"
    architecture = "stable-diffusion-xl-v1-base"

    vocabularies: tuple[CLIPTokenizer, CLIPTokenizer]

    @property
    def tokenizers(self) -> tuple[CLIPTokenizer, ...]:
        """CLIP-L's and bigG's: they pad differently."""
        return self.vocabularies

    def encode_ids(self, ids: Sequence[Tensor], *, clip_skip: int, emphasis: Emphasis | None = None) -> Embedding:
        """What both encoders say one layer before their last, without a final norm, 768 + 1280 wide.

        `pooled` [B, 1280] is bigG's projection of the first window's end mark. `clip_skip` has no meaning here.
        """
        hidden, pooled, batch = [], None, len(ids[0])
        for place, (_, encoder) in enumerate(self.text_encoders):
            output = encoder(ids[place].to(self.device).flatten(0, 1), output_hidden_states=True)
            states = join(output.hidden_states[-2], batch)
            hidden.append(emphasis(place, states) if emphasis is not None else states)
            if encoder is self.text_encoders[-1][1]:
                pooled = output.text_embeds.view(batch, -1, output.text_embeds.shape[-1])[:, 0]
        return Embedding(torch.cat(hidden, dim=-1), pooled)

    def predict(self, noisy: Tensor, timesteps: Tensor, embedding: Embedding, frames: Sequence[Frame]) -> Tensor:
        """The U-Net is told of each picture its size before, where it was cut (from top and left), its size after."""
        numbers = [[*frame.original, *frame.crop, *frame.target] for frame in frames]
        told = {
            "text_embeds": embedding.pooled,
            "time_ids": torch.tensor(numbers, device=noisy.device, dtype=torch.float32),
        }
        return self.unet(
            noisy,
            timesteps,
            encoder_hidden_states=embedding.hidden,
            added_cond_kwargs=told,
            return_dict=False,
        )[0]


def load_folder(source: Source) -> SDXL:
    """Read a checked diffusers folder; raises ValueError where tensors are missing."""
    path = source.path
    unet = folder.part(UNet2DConditionModel, path, "unet", source.dtype)
    tokenizers = (
        CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True),
        CLIPTokenizer.from_pretrained(path / "tokenizer_2", local_files_only=True),
    )
    return _assemble(source, unet, _from_folder, tokenizers, source.scheduler, source.vae_hash)


def load_file(source: Source, vocabulary: Path) -> SDXL:
    """Read a checked single file in SGM layout, with the words of the folder `vocabulary`; raises ValueError."""
    path, dtype = source.path, source.dtype
    with torch.device("meta"):
        unet = UNet2DConditionModel(**FILE_CONFIGS["unet"])
    single_file.fill(unet, path, lambda name: (ldm.unet_name(name, ldm.SDXL),), dtype)
    files = {"vocab": str(vocabulary / "vocab.json"), "merges": str(vocabulary / "merges.txt")}
    tokenizers = (
        CLIPTokenizer(**files, model_max_length=77),
        CLIPTokenizer(**files, model_max_length=77, pad_token=_PADDING),
    )
    vae_hash = single_file.vae_hash(path, FILE_CONFIGS["vae"])
    return _assemble(source, unet, _from_file, tokenizers, dict(FILE_CONFIGS["scheduler"]), vae_hash)


def _from_folder(source: Source, part: str) -> nn.Module:
    if part == "vae":
        return autoencoder.from_folder(source.path)
    if part == _FIRST:
        return folder.part(CLIPTextModel, source.path, "text_encoder", source.dtype)
    return folder.part(CLIPTextModelWithProjection, source.path, "text_encoder_2", source.dtype)


def _from_file(source: Source, part: str) -> nn.Module:
    path, dtype = source.path, source.dtype
    if part == "vae":
        return autoencoder.from_file(path, FILE_CONFIGS["vae"])
    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": "sdpa"}
    if part == _FIRST:
        config = CLIPTextConfig(**FILE_CONFIGS["text_encoder"])
        with torch.device("meta"):
            wanted = CLIPTextModel(config).state_dict()
        words = single_file.read_part(
            path, wanted, lambda name: (ldm.TEXT_XL + name.removeprefix("text_model."),), dtype
        )
        first: nn.Module = CLIPTextModel.from_pretrained(None, config=config, state_dict=words, **options)
        return first
    config = CLIPTextConfig(**FILE_CONFIGS["text_encoder_2"])
    with torch.device("meta"):
        wanted = CLIPTextModelWithProjection(config).state_dict()
    words = single_file.read_part(
        path, wanted, lambda name: (ldm.open_clip_name(name),), dtype, single_file.open_clip_piece
    )
    second: nn.Module = CLIPTextModelWithProjection.from_pretrained(None, config=config, state_dict=words, **options)
    return second


def _assemble(
    source: Source,
    unet: UNet2DConditionModel,
    read: Callable[[Source, str], nn.Module],
    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer],
    scheduler: dict[str, Any],
    vae_hash: str,
) -> SDXL:
    def part(name: str) -> nn.Module:
        return folder.frozen(read(source, name), source.device)

    return SDXL(
        path=source.path,
        device=source.device,
        dtype=source.dtype,
        unet=folder.frozen(unet, source.device, convolutions=True),
        vae=cast(AutoencoderKL, part("vae")),
        text_encoders=[(name, part(name)) for name in (_FIRST, _SECOND)],
        scheduler=scheduler,
        vae_hash=vae_hash,
        read=part,
        vocabularies=tokenizers,
    )
