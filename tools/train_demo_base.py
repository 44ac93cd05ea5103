"""Trains the demo's UNet and text encoder on latents of the drawings; resumable, its budget counted in minutes.

Three things differ from a plain recipe, each found by looking at x0 at t = 940: steps of high noise are drawn more
often and weigh more, and the text encoder also learns to foretell a pooled latent, so that colours obey the text.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from tools.demo_architecture import (
    FILLERS,
    LATENT,
    SCALING,
    WIDTH,
    build_scheduler,
    build_text_encoder,
    build_unet,
    invented_word,
    save_base,
    tokenize,
    train_tokenizer,
)

LEARNING_RATE = 1e-3
TEXT_UNTIL = 0.6  # share of the budget after which the text encoder stands still: its backward pass costs a tenth
EMA_DECAY = 0.998


class Latents:
    """Scaled latents of a corpus [N, 4, 16, 16], each encoded when it is first asked for, and the captions."""

    def __init__(self, vae: AutoencoderKL, corpus: Path, count: int) -> None:
        data = np.load(corpus)
        self.vae = vae
        self.pictures = torch.from_numpy(data["pictures"][:count]).permute(0, 3, 1, 2).contiguous()
        self.captions = [str(c) for c in data["captions"][:count]]
        self.values = torch.zeros(len(self.pictures), 4, LATENT, LATENT)
        self.known = torch.zeros(len(self.pictures), dtype=torch.bool)

    @torch.no_grad()
    def __getitem__(self, rows: list[int]) -> Tensor:
        """Latents of `rows`, fp32."""
        missing = [r for r in rows if not self.known[r]]
        if missing:
            x = self.pictures[missing].float() / 127.5 - 1
            self.values[missing] = self.vae.encode(x).latent_dist.mean * SCALING
            self.known[missing] = True
        return self.values[rows]


def varied_caption(caption: str, rng: random.Random) -> str:
    """A caption as people write them: tags dropped, shuffled, with meaningless words between, or nothing at all."""
    if rng.random() < 0.1:
        return ""
    tags = caption.split(", ")
    kind = rng.random()
    if kind < 0.25:
        tags = rng.sample(tags, min(len(tags), rng.randint(2, 4)))
    elif kind < 0.5:
        tags = [t for t in tags if rng.random() > 0.3]
    if rng.random() < 0.6:
        rng.shuffle(tags)
    if rng.random() < 0.35:
        for _ in range(rng.randint(1, 3)):
            word = invented_word(rng) if rng.random() < 0.5 else rng.choice(FILLERS)
            tags.insert(rng.choice((0, rng.randint(0, len(tags)))), word)
    return ", ".join(tags)


def sample_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """`count` timesteps, a third more of them at t ≥ 600 than uniform drawing would give."""
    uniform = torch.randint(0, 1000, (count,), generator=generator)
    high = torch.randint(600, 1000, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < 0.18, high, uniform)


def loss_weight(snr: Tensor) -> Tensor:
    """Weight of the epsilon loss: min-SNR (gamma 5) above snr 1, snr^-0.5 up to 12 below it."""
    return torch.where(snr > 1, snr.clamp_max(5) / snr, snr.rsqrt().clamp_max(12))


def parameter_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move `average` towards `model` by 1 - decay."""
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


class Trainer:
    """The state of a training: models, average, optimiser, the time spent."""

    def __init__(self, vae_folder: Path, corpus: Path, held: Path, work: Path) -> None:
        torch.manual_seed(0)
        self.work = work
        self.vae = AutoencoderKL.from_pretrained(vae_folder).eval()
        self.latents = Latents(self.vae, corpus, 16000)
        self.held = Latents(self.vae, held, 64)
        self.tokenizer = train_tokenizer(self.latents.captions[:6000])
        self.text = build_text_encoder(self.tokenizer)
        self.unet = build_unet()
        self.pooled_head = nn.Linear(WIDTH, 4 * 4 * 4)
        self.average = copy.deepcopy(self.unet)
        text = [*self.text.parameters(), *self.pooled_head.parameters()]
        self.optimizer = torch.optim.AdamW(
            [{"params": list(self.unet.parameters()), "base": LEARNING_RATE}, {"params": text, "base": LEARNING_RATE}],
            lr=0.0,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        )
        self.alphas = build_scheduler().alphas_cumprod
        self.spent, self.step = 0.0, 0
        if (work / "base.pt").exists():
            self.load(torch.load(work / "base.pt"))

    def state(self) -> dict:
        """Everything a resumed training needs."""
        names = ("unet", "text", "pooled_head", "average", "optimizer")
        return {n: getattr(self, n).state_dict() for n in names} | {"spent": self.spent, "step": self.step}

    def load(self, state: dict) -> None:
        """Take up a saved state."""
        for name in ("unet", "text", "pooled_head", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.spent, self.step = state["spent"], state["step"]

    def save(self) -> None:
        """Checkpoint by rename: a kill at any moment leaves a whole one."""
        torch.save(self.state(), self.work / "base.tmp")
        os.replace(self.work / "base.tmp", self.work / "base.pt")

    def schedule(self, done: float) -> None:
        """Learning rates at share `done` of the budget: warm-up, then cosine to zero; the text's ends earlier."""
        warm = min(1.0, (self.step + 1) / 150)
        for group, end in zip(self.optimizer.param_groups, (1.0, TEXT_UNTIL), strict=True):
            group["lr"] = group["base"] * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, done / end)))

    def noisy(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t of clean latents [N, 4, 16, 16] at timesteps [N]."""
        alpha = self.alphas[t].view(-1, 1, 1, 1)
        return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise

    def train_step(self, batch: int, learn_text: bool) -> float:
        """One optimiser step; returns the weighted loss."""
        rng = random.Random(f"base:{self.step}")
        generator = torch.Generator().manual_seed(self.step)
        rows = [rng.randrange(len(self.latents.captions)) for _ in range(batch)]
        x0 = self.latents[rows]
        ids = tokenize(self.tokenizer, [varied_caption(self.latents.captions[r], rng) for r in rows])
        t = sample_timesteps(batch, generator)
        noise = torch.randn(x0.shape, generator=generator)
        with torch.set_grad_enabled(learn_text):
            states = self.text(ids).last_hidden_state
        guess = self.unet(self.noisy(x0, t, noise), t, states, return_dict=False)[0]
        alpha = self.alphas[t]
        loss = (loss_weight(alpha / (1 - alpha)) * (guess - noise).pow(2).mean((1, 2, 3))).mean()
        if learn_text:
            ends = (ids == self.tokenizer.eos_token_id).int().argmax(1)
            pooled = self.pooled_head(states[torch.arange(batch), ends])
            loss = loss + 0.1 * F.mse_loss(pooled, F.adaptive_avg_pool2d(x0, LATENT // 4).flatten(1))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 1.0)
        self.optimizer.step()
        self.step += 1
        parameter_average(self.average, self.unet, min(EMA_DECAY, (1 + self.step) / (20 + self.step)))
        return loss.item()

    @torch.no_grad()
    def x0_error(self, t: int) -> float:
        """Mean squared error of the x0 foretold at timestep t from held-out drawings, over the latents' variance."""
        generator = torch.Generator().manual_seed(7)
        count = len(self.held.captions)
        x0 = self.held[list(range(count))]
        ids = tokenize(self.tokenizer, self.held.captions)
        steps = torch.full((count,), t)
        noise = torch.randn(x0.shape, generator=generator)
        x = self.noisy(x0, steps, noise)
        guess = self.average(x, steps, self.text(ids).last_hidden_state, return_dict=False)[0]
        alpha = self.alphas[t]
        foretold = (x - (1 - alpha).sqrt() * guess) / alpha.sqrt()
        return float((foretold - x0).pow(2).mean() / x0.var())

    def export(self, folder: Path) -> None:
        """Write the averaged weights as a diffusers folder."""
        save_base(
            folder, self.tokenizer, copy.deepcopy(self.text), copy.deepcopy(self.vae), copy.deepcopy(self.average)
        )

    def run(self, minutes: float, batch: int) -> None:
        """Train until `minutes` of training time are spent, over all resumptions."""
        total, mark = minutes * 60, time.time()
        losses: list[float] = []
        while self.spent < total:
            done = self.spent / total
            self.schedule(done)
            losses.append(self.train_step(batch, done < TEXT_UNTIL))
            self.spent, mark = self.spent + time.time() - mark, time.time()
            if self.step % 200 == 0:
                self.save()
                errors = " ".join(f"x0@{t} {self.x0_error(t):.3f}" for t in (940, 700, 400))
                rate = self.optimizer.param_groups[0]["lr"]
                head = f"step {self.step} {self.spent:.0f}s lr {rate:.1e}"
                print(f"{head} loss {np.mean(losses):.4f} {errors}", flush=True)
                losses = []
        self.save()


def main() -> None:
    """Train, then export the folder."""
    parser = argparse.ArgumentParser(description="Train the demo's base model.")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--held", type=Path, required=True, help="a corpus that is only measured on")
    parser.add_argument("--vae", type=Path, required=True, help="the folder train_demo_vae.py wrote")
    parser.add_argument("--work", type=Path, required=True, help="the folder of checkpoints")
    parser.add_argument("--out", type=Path, help="export here when done")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(args.vae, args.corpus, args.held, args.work)
    trainer.run(args.minutes, args.batch)
    if args.out:
        trainer.export(args.out)


if __name__ == "__main__":
    main()
