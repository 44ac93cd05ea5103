"""What makes the demo's base obey its prompts: tags told from text states, and tags seen in foretold latents.

Denoising alone leaves "clothes" and "background" nearly colour-blind in the text encoder for a hundred thousand
samples, and small things like glasses hardly weigh in its loss. Both teachers leave with the training; the base keeps
the plain SD1.5 layout.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTokenizer

from tools import demo_tags as named
from tools.demo_architecture import CONTEXT

COLOURS = (named.HAIR, named.BACKGROUND, named.CLOTHES, named.BODY, named.SKIN, named.EYES)
VALUES = (
    (named.INK_MOUTH.keys(), named.VOXEL_MOUTH.values(), named.TOON_MOUTH.values()),
    (named.INK_GLASSES.keys(), named.VOXEL_GLASSES.values()),
    (named.INK_EYES.keys(), named.VOXEL_EYES.values(), named.TOON_EYES.values()),
)
JUDGE_STEPS = 2600
RARE = 20  # a tag in fewer captions cannot be judged


class TagTeller:
    """Names every tag of a caption, colour and all, from the text encoder's state at the tag's last token."""

    def __init__(self, tokenizer: CLIPTokenizer, captions: list[str], width: int) -> None:
        self.tokenizer = tokenizer
        self.tags = {t: i for i, t in enumerate(sorted({t for c in captions for t in c.split(", ")}))}
        self.head = nn.Linear(width, len(self.tags))
        self._lengths: dict[str, int] = {}

    def ends(self, captions: list[str]) -> Tensor:
        """int64 [M, 3]: row, position of the last token, number of the tag, for every known tag of the captions."""
        found = []
        for row, caption in enumerate(captions):
            position = 0  # of the start token
            for tag in caption.split(", "):
                if tag not in self._lengths:
                    self._lengths[tag] = len(self.tokenizer.tokenize(tag))
                position += self._lengths[tag]
                if position >= CONTEXT - 1:
                    break
                if tag in self.tags:
                    found.append((row, position, self.tags[tag]))
                position += 1  # the comma
        return torch.tensor(found, dtype=torch.long).reshape(-1, 3)

    def loss(self, states: Tensor, captions: list[str]) -> Tensor:
        """Cross-entropy of the tags, from states [N, 77, width]; 0 where no caption names one."""
        row, position, tag = self.ends(captions).unbind(1)
        return F.cross_entropy(self.head(states[row, position]), tag) if len(row) else states.sum() * 0


class Block(nn.Module):
    """A residual block of two 3×3 convolutions with group norms."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, stride, 1)
        self.first_norm = nn.GroupNorm(8, width)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        self.second_norm = nn.GroupNorm(8, width)
        self.skip = nn.Conv2d(channels, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, H / stride, W / stride] of [N, channels, H, W]."""
        inner = F.silu(self.first_norm(self.first(x)))
        return F.silu(self.skip(x) + self.second_norm(self.second(inner)))


class LatentJudge(nn.Module):
    """Tags of scaled latents [N, 4, 16, 16], as logits [N, tags]."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Block(4, 48), Block(48, 96, 2), Block(96, 96), Block(96, 144, 2))
        self.head = nn.Linear(144 * 16, tags)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of latents."""
        return self.head(self.drop(self.body(x).flatten(1)))


class Obedience:
    """A judge trained on the corpus's latents, and the loss of the tags it misses in latents that were foretold."""

    def __init__(self, captions: list[str]) -> None:
        counts: dict[str, int] = {}
        for caption in captions:
            for tag in caption.split(", "):
                counts[tag] = counts.get(tag, 0) + 1
        tags = sorted(t for t, n in counts.items() if n >= RARE)
        self.index = {t: i for i, t in enumerate(tags)}
        self.judge = LatentJudge(len(tags))
        styles = {t for t in tags if t.endswith(" style")}
        exclusive = [set(c) for c in COLOURS] + [set().union(*v) for v in VALUES] + [styles]
        self.groups = torch.zeros(len(exclusive), len(tags), dtype=torch.bool)
        for row, group in enumerate(exclusive):
            self.groups[row, [self.index[t] for t in group if t in self.index]] = True

    def wanted(self, caption: str) -> list[int]:
        """Numbers of the known tags of a caption."""
        return [self.index[t] for t in caption.split(", ") if t in self.index]

    def learn(self, latents: Tensor, captions: list[str], steps: int = JUDGE_STEPS, batch: int = 64) -> None:
        """Train the judge on latents [N, 4, 16, 16], some of them noisy and shifted, as foretold latents are."""
        truth = torch.zeros(len(captions), len(self.index))
        for row, caption in enumerate(captions):
            truth[row, self.wanted(caption)] = 1
        optimizer = torch.optim.AdamW(self.judge.parameters(), 2e-3, weight_decay=0.05)
        generator, start = torch.Generator().manual_seed(0), time.time()
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, step / 100) * (1 - step / steps)
            rows = torch.randint(0, len(latents), (batch,), generator=generator)
            noise = torch.rand(batch, 1, 1, 1, generator=generator) ** 2 * 0.8
            x = latents[rows] * (1 - 0.3 * noise) + noise * torch.randn(latents[rows].shape, generator=generator)
            shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
            logits = self.judge(torch.roll(x, shift, (2, 3)))
            loss = F.binary_cross_entropy_with_logits(logits, truth[rows], 1 + 3 * truth[rows], reduction="none")
            optimizer.zero_grad(set_to_none=True)
            loss.sum(1).mean().backward()
            optimizer.step()
            if step % 200 == 199:
                print(f"judge {step + 1} {time.time() - start:.0f}s loss {loss.sum(1).mean():.2f}", flush=True)

    def settle(self, file: Path, latents: Tensor, captions: list[str]) -> None:
        """Load the judge from `file`, or train it and save it there; it stands still from then on."""
        if file.exists():
            self.judge.load_state_dict(torch.load(file))
        else:
            self.learn(latents, captions)
            torch.save(self.judge.state_dict(), file)
        self.judge.eval().requires_grad_(False)

    def loss(self, foretold: Tensor, given: list[str], full: list[str], weight: Tensor) -> Tensor:
        """Weighted cross-entropy of the tags of the captions as `given` in foretold latents; weights [N].

        Where a caption was given in full all other tags count as absent; else only those that exclude a given one.
        """
        truth = torch.zeros(len(given), len(self.index))
        mask = torch.zeros_like(truth)
        for row, (shown, whole) in enumerate(zip(given, full, strict=True)):
            tags = self.wanted(shown)
            truth[row, tags] = 1
            if not tags:
                continue
            if set(tags) == set(self.wanted(whole)):
                mask[row] = 1
            else:
                mask[row] = self.groups[self.groups[:, tags].any(1)].any(0).float()
                mask[row, tags] = 1
        missed = F.binary_cross_entropy_with_logits(
            self.judge(foretold), truth, mask * (1 + 2 * truth), reduction="none"
        )
        return (weight * missed.sum(1)).mean()
