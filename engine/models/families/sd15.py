"""Stable Diffusion 1.5 and everything of its layout, the embedded demo included: a diffusers folder or one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from engine.models import ldm, single_file
from engine.models.model import DiffusionModel, Embedding, Frame, Posterior

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
    """One CLIP text encoder, epsilon or v prediction, no extra conditioning."""

    tokenizer: CLIPTokenizer

    def encode_text(self, captions: Sequence[str], *, clip_skip: int, max_token_length: int) -> Embedding:
        """[B, 77 | 152 | 227, width]: windows of 75 tokens, each encoded on its own between BOS and EOS."""
        encoder = self.text_encoders[0][1]
        ids = windows(self.tokenizer, captions, max_token_length).to(self.device)
        batch, count, length = ids.shape
        output = encoder(ids.view(batch * count, length), output_hidden_states=clip_skip > 1)
        if clip_skip > 1:
            hidden = encoder.final_layer_norm(output.hidden_states[-clip_skip])
        else:
            hidden = output.last_hidden_state
        hidden = hidden.view(batch, count, length, -1)
        inner = hidden[:, :, 1:-1].reshape(batch, count * (length - 2), -1)
        return Embedding(torch.cat([hidden[:, 0, :1], inner, hidden[:, -1, -1:]], dim=1))

    @torch.no_grad()
    def encode_image(self, pixels: Tensor) -> Posterior:
        """One picture at a time, so that a latent never depends on what it was batched with."""
        distribution = self.vae.encode(pixels[None].to(self.device, torch.float32)).latent_dist
        return Posterior(distribution.mean[0], distribution.std[0])

    def scale(self, latents: Tensor) -> Tensor:
        """`(x - shift) · scaling_factor` of the VAE's config."""
        return (latents - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `scale`, then the VAE, then to 0…1."""
        raw = latents.to(self.device, torch.float32) / self.vae.config.scaling_factor
        pixels = self.vae.decode(raw + (self.vae.config.shift_factor or 0.0)).sample
        return (pixels / 2 + 0.5).clamp(0, 1)

    def predict(self, noisy: Tensor, timesteps: Tensor, embedding: Embedding, frames: Sequence[Frame]) -> Tensor:
        """The U-Net sees noise, time and words; `frames` is for families that are told the crop."""
        return self.unet(noisy, timesteps, encoder_hidden_states=embedding.hidden, return_dict=False)[0]


def windows(tokenizer: CLIPTokenizer, captions: Sequence[str], max_token_length: int) -> Tensor:
    """Token ids [B, windows, 77]: `max_token_length` / 75 windows of BOS, 75 tokens, EOS; longer text is cut."""
    length = tokenizer.model_max_length
    inner = length - 2
    count = max_token_length // 75
    ids = tokenizer(
        list(captions),
        padding="max_length",
        truncation=True,
        max_length=count * inner + 2,
        return_tensors="pt",
        add_special_tokens=True,
    ).input_ids
    middle = ids[:, 1:-1].view(len(captions), count, inner)
    start = ids[:, :1, None].expand(-1, count, 1)
    end = ids[:, -1:, None].expand(-1, count, 1)
    return torch.cat([start, middle, end], dim=2)


def load(
    path: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    variants: dict[str, str | None],
    scheduler: dict[str, Any],
    vae_hash: str,
) -> SD15:
    """Read a checked folder; U-Net and text encoder in `dtype`, the VAE in fp32 (it runs once per picture)."""
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
    unet, unet_info = UNet2DConditionModel.from_pretrained(
        path / "unet", torch_dtype=dtype, variant=variants["unet"], **options
    )
    vae, vae_info = AutoencoderKL.from_pretrained(
        path / "vae", torch_dtype=torch.float32, variant=variants["vae"], **options
    )
    encoder, encoder_info = CLIPTextModel.from_pretrained(
        path / "text_encoder",
        dtype=dtype,
        variant=variants["text_encoder"],
        attn_implementation="sdpa",
        **options,
    )
    for part, info in (("unet", unet_info), ("vae", vae_info), ("text_encoder", encoder_info)):
        if info["missing_keys"]:
            # Both libraries would go on with random numbers in their place.
            raise ValueError(f"{part} lacks {len(info['missing_keys'])} tensors ({sorted(info['missing_keys'])[0]})")
    tokenizer = CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
    return _assemble(path, device, dtype, unet, vae, encoder, tokenizer, scheduler, vae_hash)


def load_file(path: Path, *, device: torch.device, dtype: torch.dtype, vocabulary: Path) -> SD15:
    """Read a checked single file in LDM layout, with the words of the folder `vocabulary`; raises ValueError."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**FILE_CONFIGS["unet"])
        vae = AutoencoderKL(**FILE_CONFIGS["vae"])
        wanted = CLIPTextModel(CLIPTextConfig(**FILE_CONFIGS["text_encoder"])).state_dict()
    single_file.fill(unet, path, lambda name: (ldm.unet_name(name),), dtype)
    single_file.fill(vae, path, lambda name: (ldm.vae_name(name),), torch.float32)
    encoder = CLIPTextModel.from_pretrained(
        None,
        config=CLIPTextConfig(**FILE_CONFIGS["text_encoder"]),
        state_dict=single_file.read_part(path, wanted, ldm.text_names, dtype),
        dtype=dtype,
        attn_implementation="sdpa",
    )
    tokenizer = CLIPTokenizer(
        vocab=str(vocabulary / "vocab.json"), merges=str(vocabulary / "merges.txt"), model_max_length=77
    )
    vae_hash = single_file.vae_hash(path, FILE_CONFIGS["vae"])
    scheduler = dict(FILE_CONFIGS["scheduler"])
    return _assemble(path, device, dtype, unet.eval(), vae, encoder.eval(), tokenizer, scheduler, vae_hash)


def _assemble(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    scheduler: dict[str, Any],
    vae_hash: str,
) -> SD15:
    # Channels last is what tensor cores want; on a processor it only costs conversions (measured: 10 %).
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    return SD15(
        family="sd15",
        path=path,
        device=device,
        dtype=dtype,
        unet=unet.requires_grad_(False).to(device, memory_format=layout),
        vae=vae.requires_grad_(False).eval().to(device),
        text_encoders=[("lora_te", encoder.requires_grad_(False).to(device))],
        scheduler=scheduler,
        vae_hash=vae_hash,
        tokenizer=tokenizer,
    )
