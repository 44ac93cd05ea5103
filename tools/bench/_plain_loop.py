"""The yardstick of the training bench: LoRA with diffusers and PEFT as their own examples do it, nothing clever.

    python -m tools.bench._plain_loop BASE DATASET STEPS PRECISION RANK

Prints a JSON line per optimizer step (seconds since the epoch) and one at the end with peak memory and FLOP per step.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from peft import LoraConfig, get_peft_model
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextModel, CLIPTokenizer

UNET_LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
TEXT_LAYERS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def main(base: str, dataset: str, steps: int, precision: str, rank: int) -> None:
    """Train `steps` optimizer steps at batch 1 with latents cached; print when each was done."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(base, subfolder="tokenizer")
    scheduler = DDPMScheduler.from_pretrained(base, subfolder="scheduler")
    vae = AutoencoderKL.from_pretrained(base, subfolder="vae", torch_dtype=torch.float32)
    latents, words = [], []
    for path in sorted(Path(dataset).rglob("*.png")):
        pixels = torch.from_numpy(np.asarray(Image.open(path))).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            latents.append(vae.encode(pixels).latent_dist.sample() * vae.config.scaling_factor)
        options = {"padding": "max_length", "max_length": 77, "truncation": True, "return_tensors": "pt"}
        words.append(tokenizer(path.with_suffix(".txt").read_text(), **options).input_ids)
    del vae
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet", torch_dtype=dtype).requires_grad_(False)
    encoder = CLIPTextModel.from_pretrained(base, subfolder="text_encoder", dtype=dtype).requires_grad_(False)
    shared = {"r": rank, "lora_alpha": rank, "init_lora_weights": "gaussian"}
    unet = get_peft_model(unet, LoraConfig(target_modules=UNET_LAYERS, **shared))
    encoder = get_peft_model(encoder, LoraConfig(target_modules=TEXT_LAYERS, **shared))
    trained = [p for part in (unet, encoder) for p in part.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    flops = 0

    def step(number: int) -> None:
        clean = latents[number % len(latents)]
        noise = torch.randn_like(clean)
        timesteps = torch.randint(0, 1000, (1,))
        noisy = scheduler.add_noise(clean, noise, timesteps).to(dtype)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            hidden = encoder(words[number % len(words)])[0]
            predicted = unet(noisy, timesteps, encoder_hidden_states=hidden).sample
        torch.nn.functional.mse_loss(predicted.float(), noise).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    for number in range(steps):
        step(number)
        print(json.dumps({"t": time.time(), "cpu": time.process_time()}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with FlopCounterMode(display=False) as counter:
        step(steps)
    flops = counter.get_total_flops()
    print(json.dumps({"peak": peak, "flops": flops}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
