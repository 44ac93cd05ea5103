"""Trains the demo's UNet and text encoder on latents of the drawings; resumable, its budget counted in minutes.

What differs from a plain recipe was found by looking at x0 at t = 940 and at the tags of generated pictures: steps of
high noise are drawn more often and weigh more, the text encoder first learns to tell whole tags and a pooled latent
from its states, the tags and the faces that two judges miss in foretold latents are a part of the loss, and errors in
eyes and mouths count for more than their few pixels.
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
from tools.demo_faces import Expressions, FaceWeights
from tools.demo_obedience import Obedience, TagTeller

LEARNING_RATE = 1e-3
TEXT_FIRST = 300  # steps in which the text encoder alone learns to tell tags
TEXT_UNTIL = 0.85  # share of the budget after which the text encoder stands still: its backward pass costs a tenth
EMA_DECAY = 0.998
OBEDIENCE = 8e-4  # the judge's gradient is then about a third of the denoising loss's
EXPRESSION = 6e-3  # and that of the judge of faces about as strong
FACES_FROM = 0.75  # share of the budget after which faces are what is left to learn
PARTS = ("unet", "text", "pooled_head", "tag_head", "average", "optimizer")


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
        for part in (missing[i : i + 64] for i in range(0, len(missing), 64)):
            x = self.pictures[part].float() / 127.5 - 1
            self.values[part] = self.vae.encode(x).latent_dist.mean * SCALING
            self.known[part] = True
        return self.values[rows]

    def all(self) -> Tensor:
        """Every latent."""
        return self[list(range(len(self.captions)))]


def varied_caption(caption: str, rng: random.Random) -> str:
    """A caption as people write them: tags dropped, shuffled, with meaningless words between, or nothing at all."""
    if rng.random() < 0.1:
        return ""
    tags = caption.split(", ")
    kind = rng.random()
    if kind < 0.15:
        tags = rng.sample(tags, min(len(tags), rng.randint(2, 4)))
    elif kind < 0.3:
        tags = [t for t in tags if rng.random() > 0.3]
    if rng.random() < 0.6:
        rng.shuffle(tags)
    if rng.random() < 0.35:
        for _ in range(rng.randint(1, 3)):
            word = invented_word(rng) if rng.random() < 0.5 else rng.choice(FILLERS)
            tags.insert(rng.choice((0, rng.randint(0, len(tags)))), word)
    return ", ".join(tags)


def sample_timesteps(count: int, generator: torch.Generator, faces: bool) -> Tensor:
    """`count` timesteps, more of them than uniform drawing would give where the picture's plan is made (t ≥ 600), or,
    with `faces`, where eyes and mouths come out of the noise (200 ≤ t < 600)."""
    uniform = torch.randint(0, 1000, (count,), generator=generator)
    often = torch.randint(*((200, 600) if faces else (600, 1000)), (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < 0.18, often, uniform)


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
        self.teller = TagTeller(self.tokenizer, self.latents.captions, WIDTH)
        self.tag_head = self.teller.head
        self.average = copy.deepcopy(self.unet)
        self.obedience = Obedience(self.latents.captions)
        self.obedience.settle(work / "judge.pt", self.latents.all(), self.latents.captions)
        self.expressions = Expressions(self.latents.captions)
        self.expressions.settle(work / "faces.pt", self.latents.all(), self.latents.captions)
        self.faces = FaceWeights(self.latents.all(), self.latents.captions)
        self.words = [*self.text.parameters(), *self.pooled_head.parameters(), *self.tag_head.parameters()]
        unet = {"params": list(self.unet.parameters()), "base": LEARNING_RATE}
        self.optimizer = torch.optim.AdamW(
            [unet, {"params": self.words, "base": 2 * LEARNING_RATE}],
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
        return {n: getattr(self, n).state_dict() for n in PARTS} | {"spent": self.spent, "step": self.step}

    def load(self, state: dict) -> None:
        """Take up a saved state."""
        for name in PARTS:
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

    def text_loss(self, ids: Tensor, states: Tensor, captions: list[str], x0: Tensor) -> tuple[Tensor, Tensor]:
        """How badly tags are told from states [N, 77, width], and a 4×4 latent from the last of each caption."""
        ends = (ids == self.tokenizer.eos_token_id).int().argmax(1)
        pooled = self.pooled_head(states[torch.arange(len(ids)), ends])
        target = F.adaptive_avg_pool2d(x0, LATENT // 4).flatten(1)
        return self.teller.loss(states, captions), F.mse_loss(pooled, target)

    def learn_words(self, batch: int) -> None:
        """TEXT_FIRST steps of the text encoder alone."""
        optimizer = torch.optim.AdamW(self.words, betas=(0.9, 0.99), weight_decay=0.01)
        for step in range(TEXT_FIRST):
            optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, (step + 1) / 50) * (1 - 0.8 * step / TEXT_FIRST)
            rng = random.Random(f"words:{step}")
            rows = [rng.randrange(len(self.latents.captions)) for _ in range(batch)]
            captions = [varied_caption(self.latents.captions[r], rng) for r in rows]
            ids = tokenize(self.tokenizer, captions)
            told, pooled = self.text_loss(ids, self.text(ids).last_hidden_state, captions, self.latents[rows])
            optimizer.zero_grad(set_to_none=True)
            (told + pooled).backward()
            nn.utils.clip_grad_norm_(self.words, 1.0)
            optimizer.step()
            if step % 50 == 49:
                print(f"words {step + 1} tags {told.item():.3f} pooled {pooled.item():.3f}", flush=True)

    def train_step(self, batch: int, done: float) -> float:
        """One optimiser step at share `done` of the budget; returns the weighted loss of denoising."""
        learn_text = done < TEXT_UNTIL
        rng = random.Random(f"base:{self.step}")
        generator = torch.Generator().manual_seed(self.step)
        rows = [rng.randrange(len(self.latents.captions)) for _ in range(batch)]
        full = [self.latents.captions[r] for r in rows]
        captions = [varied_caption(c, rng) for c in full]
        x0, ids = self.latents[rows], tokenize(self.tokenizer, captions)
        t = sample_timesteps(batch, generator, done >= FACES_FROM)
        noise = torch.randn(x0.shape, generator=generator)
        with torch.set_grad_enabled(learn_text):
            states = self.text(ids).last_hidden_state
        x = self.noisy(x0, t, noise)
        guess = self.unet(x, t, states, return_dict=False)[0]
        alpha = self.alphas[t]
        snr = alpha / (1 - alpha)
        error = (self.faces.of(full) * (guess - noise).pow(2)).mean((1, 2, 3))
        denoising = (loss_weight(snr) * error).mean()
        a = alpha.view(-1, 1, 1, 1)
        foretold = (x - (1 - a).sqrt() * guess) / a.sqrt()
        # An error of epsilon grows by 1 / sqrt(snr) on its way to x0.
        seen = snr.sqrt().clamp_max(1.0)
        loss = denoising + OBEDIENCE * self.obedience.loss(foretold, captions, full, seen)
        loss = loss + EXPRESSION * self.expressions.loss(foretold, captions, seen)
        if learn_text:
            told, pooled = self.text_loss(ids, states, captions, x0)
            loss = loss + 0.05 * told + 0.1 * pooled
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()
        self.step += 1
        parameter_average(self.average, self.unet, min(EMA_DECAY, (1 + self.step) / (20 + self.step)))
        return denoising.item()

    @torch.no_grad()
    def x0_error(self, t: int) -> float:
        """Mean squared error of the x0 foretold at timestep t from held-out drawings, over the latents' variance."""
        generator = torch.Generator().manual_seed(7)
        count = len(self.held.captions)
        x0 = self.held.all()
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
        if self.step == 0:
            self.learn_words(batch)
        while self.spent < total:
            done = self.spent / total
            self.schedule(done)
            losses.append(self.train_step(batch, done))
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
