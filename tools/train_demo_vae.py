"""Trains the demo's autoencoder on the drawings, encoder first, then the decoder alone; resumable by time spent.

The latent's mean and deviation end up inside quant_conv and post_quant_conv, so SD1.5's scaling factor holds.
"""

from __future__ import annotations

import argparse
import colorsys
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from tools.demo_architecture import SCALING, build_vae


def load_pictures(paths: list[Path]) -> torch.Tensor:
    """uint8 pictures [N, 3, 64, 64] of several corpora."""
    arrays = [np.load(p)["pictures"] for p in paths]
    return torch.from_numpy(np.concatenate(arrays)).permute(0, 3, 1, 2).contiguous()


def hue_turned(pictures: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """RGB pictures [N, 3, H, W] in 0..1 with the channels mixed by one random hue: colours the tags never name."""
    axes = torch.tensor([colorsys.hsv_to_rgb((rng.random() + k / 3) % 1, 1, 1) for k in range(3)])
    mix = axes / axes.sum(0, keepdim=True).clamp_min(0.3)
    return torch.einsum("nchw,cd->ndhw", pictures, mix).clamp(0, 1)


def batch_of(pictures: torch.Tensor, size: int, side: int, rng: random.Random) -> torch.Tensor:
    """A batch [size, 3, side, side] of crops in -1..1, mirrored at random, some of it in foreign colours."""
    rows = torch.tensor([rng.randrange(len(pictures)) for _ in range(size)])
    left, top = (4 * rng.randint(0, (pictures.shape[-1] - side) // 4) for _ in range(2))
    x = pictures[rows, :, top : top + side, left : left + side].float() / 255
    if rng.random() < 0.5:
        x = x.flip(-1)
    few = size // 8
    x = torch.cat([hue_turned(x[:few], rng), x[few:]])
    return x * 2 - 1


def reconstruction_loss(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """L1 + squared error + L1 of the first differences (thin ink lines) + error of 4×4 means (flat colours)."""
    edges = sum(F.l1_loss(y.diff(dim=d), x.diff(dim=d)) for d in (-1, -2))
    colours = F.mse_loss(F.avg_pool2d(y, 4), F.avg_pool2d(x, 4))
    return F.l1_loss(y, x) + F.mse_loss(y, x) + 0.5 * edges + 3 * colours


def psnr(y: torch.Tensor, x: torch.Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of pictures in -1..1."""
    return float((10 * torch.log10(4 / (y.clamp(-1, 1) - x).pow(2).mean((1, 2, 3)))).mean())


@torch.no_grad()
def fold_statistics(vae: AutoencoderKL, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Make the latents of `pictures` zero-mean with deviation 1 / SCALING by rewriting the two 1×1 convolutions."""
    means = torch.cat([vae.encode(x).latent_dist.mean for x in pictures.split(64)])
    mean, deviation = means.mean((0, 2, 3)), means.std((0, 2, 3))
    gain = 1 / (SCALING * deviation)
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:4] *= gain.view(4, 1, 1, 1)
    quant.bias[:4] = (quant.bias[:4] - mean) * gain
    quant.bias[4:] += 2 * gain.log()
    post.bias += (post.weight[:, :, 0, 0] * mean).sum(1)
    post.weight /= gain.view(1, 4, 1, 1)
    return mean, deviation


def save(path: Path, state: dict) -> None:
    """torch.save by rename, so that a kill leaves the last whole checkpoint."""
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def train(pictures: torch.Tensor, held: torch.Tensor, out: Path, minutes: float, batch: int) -> AutoencoderKL:
    """Train for `minutes`, the learning rate falling to zero in each of two phases.

    First all of it on quarter pictures (what it lacks at first is steps, not pixels), then the decoder alone on whole
    ones.
    """
    torch.manual_seed(0)
    vae = build_vae()
    # A latent that tells its mean colour linearly: without it the four channels settle on lines and brightness,
    # and the third colour axis never comes.
    colour_head = nn.Conv2d(4, 3, 1)
    optimizer = torch.optim.Adam([*vae.parameters(), *colour_head.parameters()], lr=2e-3, betas=(0.9, 0.99))
    spent, step = 0.0, 0
    if out.exists():
        state = torch.load(out)
        vae.load_state_dict(state["model"])
        colour_head.load_state_dict(state["colour_head"])
        optimizer.load_state_dict(state["optimizer"])
        spent, step = state["spent"], state["step"]
    rng, total, turn = random.Random(step), minutes * 60, 0.65
    mark = time.time()
    while spent < total:
        done = spent / total
        decoder_only = done > turn
        phase = (done - turn) / (1 - turn) if decoder_only else done / turn
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * (1 - 0.93 * phase) * (0.8 if decoder_only else 1)
        x = batch_of(pictures, batch // 2, 64, rng) if decoder_only else batch_of(pictures, batch, 32, rng)
        with torch.set_grad_enabled(not decoder_only):
            latents = vae.encode(x).latent_dist
            z = latents.sample()
        loss = reconstruction_loss(vae.decode(z).sample, x)
        if not decoder_only:
            loss = loss + 2e-4 * latents.kl().mean() / 1024 + F.mse_loss(colour_head(z), F.avg_pool2d(x, 4))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        spent, mark = spent + time.time() - mark, time.time()
        if step % 100 == 0:
            with torch.no_grad():
                value = psnr(vae(held).sample, held)
            print(f"step {step} {spent:.0f}s loss {loss.item():.4f} psnr {value:.2f}", flush=True)
            models = {"model": vae.state_dict(), "colour_head": colour_head.state_dict()}
            save(out, models | {"optimizer": optimizer.state_dict(), "spent": spent, "step": step})
    return vae


def main() -> None:
    """Train, fold the statistics, save the folder that train_demo_base.py reads."""
    parser = argparse.ArgumentParser(description="Train the demo's VAE.")
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="a working folder")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = load_pictures(args.corpora)
    pictures = pictures[torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))]
    held, pictures = pictures[:48].float() / 127.5 - 1, pictures[48:]
    vae = train(pictures, held, args.out / "vae.pt", args.minutes, args.batch)
    vae.eval()
    mean, deviation = fold_statistics(vae, pictures[:1024].float() / 127.5 - 1)
    with torch.no_grad():
        print(f"psnr {psnr(vae(held).sample, held):.2f} latent mean {mean.tolist()} deviation {deviation.tolist()}")
    vae.save_pretrained(args.out / "vae")


if __name__ == "__main__":
    main()
