"""Builds a tiny random base model of SD 1.5 layout and a small dataset, both a function of their arguments."""

from __future__ import annotations

import json
import random
from pathlib import Path

TRIGGER = "nekomizu"


def tiny_base(
    folder: Path, *, seed: int = 0, prediction: str = "epsilon", fp16: bool = True, lean: bool = False
) -> Path:
    """A diffusers folder with a U-Net of two levels, a VAE that shrinks 4×, a text encoder of three layers.

    `lean` has half as many layers to adapt, for bakes that ask no more than a model of every part: the U-Net attends to
    words on the way down and in the middle only, the text encoder has two layers.
    """
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    torch.manual_seed(seed)
    dtype = torch.float16 if fp16 else torch.float32
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D" if lean else "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
    )
    words = tokenizer_files(folder / "tokenizer")
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=32,
            intermediate_size=64,
            num_attention_heads=4,
            num_hidden_layers=2 if lean else 3,
            max_position_embeddings=77,
            projection_dim=32,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
            pad_token_id=words - 1,
        )
    )
    unet.to(dtype).save_pretrained(folder / "unet")
    vae.to(dtype).save_pretrained(folder / "vae")
    encoder.to(dtype).save_pretrained(folder / "text_encoder")
    scheduler = {
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": prediction,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": "leading",
    }
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "scheduler": ["diffusers", "DDIMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "safety_checker": [None, None],
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
        },
    )
    return folder


def tiny_sdxl(folder: Path, *, seed: int = 0, prediction: str = "epsilon", zero_snr: bool = False) -> Path:
    """A diffusers folder of SDXL's layout: three levels, two encoders, linear projections, size and crop told."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(2, 4, 4),
        cross_attention_dim=32 + 48,
        norm_num_groups=8,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 40,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
        scaling_factor=0.13025,
        force_upcast=True,
    )
    words = tokenizer_files(folder / "tokenizer")
    tokenizer_files(folder / "tokenizer_2", padding="!")

    def words_of(width: int, projection: int) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=words,
            hidden_size=width,
            intermediate_size=64,
            num_attention_heads=4,
            num_hidden_layers=3,
            max_position_embeddings=77,
            projection_dim=projection,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
            pad_token_id=words - 1,
        )

    parts = {
        "unet": unet,
        "vae": vae,
        "text_encoder": CLIPTextModel(words_of(32, 32)),
        "text_encoder_2": CLIPTextModelWithProjection(words_of(48, 40)),
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    scheduler = {
        "_class_name": "EulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": prediction,
        "rescale_betas_zero_snr": zero_snr,
        "steps_offset": 1,
        "timestep_spacing": "leading",
    }
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionXLPipeline",
            "scheduler": ["diffusers", "EulerDiscreteScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "image_encoder": [None, None],
            "feature_extractor": [None, None],
            "force_zeros_for_empty_prompt": True,
        },
    )
    return folder


def tokenizer_files(folder: Path, padding: str = "<|endoftext|>") -> int:
    """A CLIP tokenizer that knows single bytes; returns the size of its vocabulary."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in visible] + [chr(256 + i) for i in range(256 - len(visible))]
    vocabulary = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    write_json(folder / "vocab.json", {word: i for i, word in enumerate(vocabulary)})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    write_json(
        folder / "tokenizer_config.json",
        {
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "pad_token": padding,
            "unk_token": "<|endoftext|>",
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": 77,
        },
    )
    return len(vocabulary)


def tiny_dataset(folder: Path, *, images: int = 5, seed: int = 0, sides: tuple[int, ...] = (32, 48)) -> Path:
    """Pictures of a disc on a ground in several shapes, with captions of tags."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    for i in range(images):
        size = (sides[i % len(sides)], sides[(i // 2) % len(sides)])
        image = Image.new("RGB", size, tuple(chance.randrange(256) for _ in range(3)))
        ImageDraw.Draw(image).ellipse((4, 4, 28, 28), fill=tuple(chance.randrange(256) for _ in range(3)))
        image.save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"{TRIGGER}, {chance.choice(['red', 'blue'])}, smile, tag {i}")
    return folder


def write_json(path: Path, value: object) -> None:
    """`value` as a JSON file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1))
