"""Stable Diffusion 1.5 and everything of its layout, the embedded demo included: a diffusers folder or one file."""

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
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from engine.models import autoencoder, folder, ldm, single_file
from engine.models.clip import join
from engine.models.model import DiffusionModel, Embedding, Emphasis, Frame, Source

FILE_CONFIGS: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "vae": {
        "sample_size": 512,
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "scaling_factor": 0.18215,
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
"""The configs of runwayml/stable-diffusion-v1-5 where they differ from the classes' defaults: a file carries none."""


@dataclass
class SD15(DiffusionModel):
    """One CLIP text encoder, no extra conditioning."""

    family = "sd15"
    kohya_version = "sd_v1"
    architecture = "stable-diffusion-v1"

    tokenizer: CLIPTokenizer

    @property
    def tokenizers(self) -> tuple[CLIPTokenizer, ...]:
        """The one there is."""
        return (self.tokenizer,)

    def encode_ids(self, ids: Sequence[Tensor], *, clip_skip: int, emphasis: Emphasis | None = None) -> Embedding:
        """What CLIP-L says in its last layer, or `clip_skip` - 1 layers before that under its final norm."""
        encoder, batch = self.text_encoders[0][1], len(ids[0])
        output = encoder(ids[0].to(self.device).flatten(0, 1), output_hidden_states=clip_skip > 1)
        if clip_skip > 1:
            hidden = encoder.final_layer_norm(output.hidden_states[-clip_skip])
        else:
            hidden = output.last_hidden_state
        hidden = join(hidden, batch)
        return Embedding(emphasis(0, hidden) if emphasis is not None else hidden)

    def predict(self, noisy: Tensor, timesteps: Tensor, embedding: Embedding, frames: Sequence[Frame]) -> Tensor:
        """The U-Net sees noise, time and words; `frames` is for families that are told the crop."""
        return self.unet(noisy, timesteps, encoder_hidden_states=embedding.hidden, return_dict=False)[0]


def load_folder(source: Source) -> SD15:
    """Read a checked diffusers folder; raises ValueError where tensors are missing."""
    path = source.path
    unet = folder.part(UNet2DConditionModel, path, "unet", source.dtype)
    tokenizer = CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
    return _assemble(source, unet, _from_folder, tokenizer, source.scheduler, source.vae_hash)


def load_file(source: Source, vocabulary: Path) -> SD15:
    """Read a checked single file in LDM layout, with the words of the folder `vocabulary`; raises ValueError."""
    path = source.path
    with torch.device("meta"):
        unet = UNet2DConditionModel(**FILE_CONFIGS["unet"])
    single_file.fill(unet, path, lambda name: (ldm.unet_name(name),), source.dtype)
    tokenizer = CLIPTokenizer(
        vocab=str(vocabulary / "vocab.json"), merges=str(vocabulary / "merges.txt"), model_max_length=77
    )
    vae_hash = single_file.vae_hash(path, FILE_CONFIGS["vae"])
    return _assemble(source, unet, _from_file, tokenizer, dict(FILE_CONFIGS["scheduler"]), vae_hash)


def _from_folder(source: Source, part: str) -> nn.Module:
    if part == "vae":
        return autoencoder.from_folder(source.path)
    return folder.part(CLIPTextModel, source.path, "text_encoder", source.dtype)


def _from_file(source: Source, part: str) -> nn.Module:
    if part == "vae":
        return autoencoder.from_file(source.path, FILE_CONFIGS["vae"])
    config = CLIPTextConfig(**FILE_CONFIGS["text_encoder"])
    with torch.device("meta"):
        wanted = CLIPTextModel(config).state_dict()
    encoder: nn.Module = CLIPTextModel.from_pretrained(
        None,
        config=config,
        state_dict=single_file.read_part(source.path, wanted, ldm.text_names, source.dtype),
        dtype=source.dtype,
        attn_implementation="sdpa",
    )
    return encoder


def _assemble(
    source: Source,
    unet: UNet2DConditionModel,
    read: Callable[[Source, str], nn.Module],
    tokenizer: CLIPTokenizer,
    scheduler: dict[str, Any],
    vae_hash: str,
) -> SD15:
    def part(name: str) -> nn.Module:
        return folder.frozen(read(source, name), source.device)

    return SD15(
        path=source.path,
        device=source.device,
        dtype=source.dtype,
        unet=folder.frozen(unet, source.device, convolutions=True),
        vae=cast(AutoencoderKL, part("vae")),
        text_encoders=[("lora_te", part("lora_te"))],
        scheduler=scheduler,
        vae_hash=vae_hash,
        read=part,
        tokenizer=tokenizer,
    )
