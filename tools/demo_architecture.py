"""The architecture of the demo's base model: tokenizer, text encoder, VAE and UNet in SD1.5 layout, and its folder.

Only sizes and file formats live here; how the weights come about is train_demo_vae.py and train_demo_base.py.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SIZE = 64
LATENT = 16
SCALING = 0.18215
CONTEXT = 77
WIDTH = 128
VOCABULARY = 960
START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

# fmt: off
# What people type beside the tags. The base sees these words beside random tags, so they come to mean nothing.
FILLERS = (
    "masterpiece", "best quality", "high quality", "highres", "absurdres", "solo", "looking at viewer", "anime",
    "simple background", "detailed", "illustration", "lowres", "bad anatomy", "worst quality", "low quality",
    "blurry", "cute", "beautiful", "a picture of", "a photo of", "drawing", "art", "avatar", "face", "character",
    "signature", "watermark", "jpeg artifacts", "cropped", "8k", "official art", "sketch", "painting of",
)
SYLLABLES = (
    "ka", "ki", "ku", "ko", "sa", "shi", "su", "so", "ta", "chi", "tsu", "to", "na", "ni", "nu", "ne", "no", "ha",
    "hi", "fu", "ho", "ma", "mi", "mu", "me", "mo", "ya", "yu", "yo", "ra", "ri", "ru", "re", "ro", "wa", "n", "ga",
    "gi", "go", "za", "ji", "zu", "da", "do", "ba", "bi", "bo", "lo", "la", "el", "an", "on", "ix", "ar", "th", "qu",
)
# fmt: on


def invented_word(rng: random.Random) -> str:
    """A pronounceable word nobody used before: what a LoRA's trigger word looks like to the base."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))


def train_tokenizer(captions: list[str], seed: int = 0) -> CLIPTokenizer:
    """A CLIP byte-level BPE of VOCABULARY entries learnt from captions, fillers and invented words."""
    rng = random.Random(seed)
    texts = captions + [f for f in FILLERS for _ in range(40)] + [invented_word(rng) for _ in range(3000)]
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    bpe.train_from_iterator((t.lower() for t in texts), trainer)
    merges = [tuple(m) for m in json.loads(bpe.to_str())["model"]["merges"]]
    names = alphabet + [a + "</w>" for a in alphabet]
    room = VOCABULARY - len(names) - 2
    names += [a + b for a, b in merges[:room]] + [START, END]
    return CLIPTokenizer(
        vocab={name: i for i, name in enumerate(names)}, merges=merges[:room], model_max_length=CONTEXT
    )


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """The files of an SD1.5 tokenizer folder: vocab.json, merges.txt, the two configs."""
    folder.mkdir(parents=True, exist_ok=True)
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in state["merges"]]
    (folder / "vocab.json").write_text(json.dumps(tokenizer.get_vocab() | state["vocab"], ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            special
            | {
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": CONTEXT,
                "do_lower_case": True,
                "add_prefix_space": False,
                "errors": "replace",
            },
            indent=2,
        )
    )


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids [len(texts), 77], padded and cut as Stable Diffusion does."""
    return tokenizer(texts, padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt").input_ids


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A CLIP text model of 3 layers of 128."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            hidden_act="quick_gelu",
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
    )


def build_vae() -> AutoencoderKL:
    """An autoencoder of factor 4 with 4 latent channels: [N, 3, 64, 64] ↔ [N, 4, 16, 16]."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=SIZE,
        scaling_factor=SCALING,
    )


def build_unet() -> UNet2DConditionModel:
    """The denoiser of [N, 4, 16, 16] latents under [N, 77, 128] text states.

    Attention begins at 8×8: at 16×16 it would cost as much as all the rest and name nothing more.
    """
    return UNet2DConditionModel(
        sample_size=LATENT,
        block_out_channels=(48, 96, 144),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,  # diffusers reads attention_head_dim as the number of heads
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )


def build_scheduler() -> DDIMScheduler:
    """SD1.5's noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


def save_base(
    folder: Path, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, vae: AutoencoderKL, unet: UNet2DConditionModel
) -> None:
    """Write a diffusers SD1.5 folder in fp16 safetensors, with model_index.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, folder / "tokenizer")
    for name, model in (("text_encoder", text_encoder), ("vae", vae), ("unet", unet)):
        dtype = next(model.parameters()).dtype
        model.half().save_pretrained(folder / name, safe_serialization=True)
        model.to(dtype)
    settings = folder / "vae" / "config.json"  # names where it was loaded from, a path of the machine it was made on
    told = json.loads(settings.read_text())
    told.pop("_name_or_path", None)
    settings.write_text(json.dumps(told, indent=2) + "\n")
    build_scheduler().save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.35.0",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
