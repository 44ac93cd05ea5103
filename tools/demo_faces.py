"""What makes the demo's base draw the expressions that are asked for: faces weigh more, and a judge names them.

A mouth explains three thousandths of a drawing's variance: by squared error alone, expressions are left to chance for
hundreds of thousands of samples. A weighted error has the same optimum, only reached sooner; the judge of faces, who
reads eyes and mouths from latents far better than the judge of all tags, tells which one was foretold.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools import demo_tags as named
from tools.demo_obedience import Block

FRAMINGS = ("close-up", "ink style", "voxel style", "toon style")  # the first that a caption names; a face lies alike
MOUTHS = {*named.INK_MOUTH, *named.VOXEL_MOUTH.values(), *named.TOON_MOUTH.values()}
LOOKS = {*named.INK_EYES, *named.VOXEL_EYES.values(), *named.TOON_EYES.values(), "sunglasses"}
MOUTH_WEIGHT, EYES_WEIGHT = 40.0, 6.0  # added where they matter most; mouths are smaller
JUDGE_STEPS = 1600


def explained(latents: Tensor, captions: list[set[str]], tags: set[str]) -> Tensor:
    """[H, W]: variance between drawings of different `tags`, mean over channels of latents [N, C, H, W]; highest 1."""
    labels = [min(caption & tags, default="") for caption in captions]
    mean, between = latents.mean(0), torch.zeros_like(latents[0])
    for label in sorted(set(labels)):
        rows = [i for i, own in enumerate(labels) if own == label]
        between += len(rows) / len(labels) * (latents[rows].mean(0) - mean) ** 2
    place = between.mean(0)
    return place / place.max().clamp_min(1e-9)


class FaceWeights:
    """Weights [H, W] of the squared error, mean 1, by framing."""

    def __init__(self, latents: Tensor, captions: list[str]) -> None:
        sets = [set(c.split(", ")) for c in captions]
        framing = [self.framing(s) for s in sets]
        self.maps = torch.ones(len(FRAMINGS), *latents.shape[-2:])
        for number in sorted(set(framing)):
            rows = [i for i, f in enumerate(framing) if f == number]
            part, tags = latents[rows], [sets[i] for i in rows]
            weight = 1 + MOUTH_WEIGHT * explained(part, tags, MOUTHS) + EYES_WEIGHT * explained(part, tags, LOOKS)
            self.maps[number] = weight / weight.mean()

    @staticmethod
    def framing(tags: set[str]) -> int:
        """Number of the framing that a full caption names."""
        return next((i for i, name in enumerate(FRAMINGS) if name in tags), 1)

    def of(self, captions: list[str]) -> Tensor:
        """[N, 1, H, W] for full captions."""
        return self.maps[[self.framing(set(c.split(", "))) for c in captions]].unsqueeze(1)


class FaceJudge(nn.Module):
    """Names mouths and eyes in scaled latents [N, 4, 16, 16], from the part where all framings have the face."""

    def __init__(self, names: list[list[str]]) -> None:
        super().__init__()
        self.names = names
        self.body = nn.Sequential(Block(4, 64), Block(64, 64), Block(64, 96, 2), Block(96, 96))
        self.heads = nn.ModuleList(nn.Sequential(nn.Dropout(0.3), nn.Linear(96 * 6 * 5, len(n))) for n in names)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits [N, names] of mouths and of eyes."""
        inner = self.body(x[:, :, 3:15, 3:13]).flatten(1)
        return [head(inner) for head in self.heads]


class Expressions:
    """A judge of faces trained on the corpus's latents, and the loss of faces it does not find as they were asked."""

    def __init__(self, captions: list[str]) -> None:
        known = {tag for caption in captions for tag in caption.split(", ")}
        self.judge = FaceJudge([sorted(MOUTHS & known), sorted(LOOKS & known)])

    def asked(self, captions: list[str]) -> Tensor:
        """int64 [N, 2]: number of the mouth and of the eyes that a caption names, -1 where it names none or several."""
        rows = []
        for caption in captions:
            tags = caption.split(", ")
            found = [[names.index(t) for t in tags if t in names] for names in self.judge.names]
            rows.append([f[0] if len(f) == 1 else -1 for f in found])
        return torch.tensor(rows)

    def learn(self, latents: Tensor, captions: list[str], steps: int = JUDGE_STEPS, batch: int = 64) -> None:
        """Train the judge on latents [N, 4, 16, 16], some of them noisy or a row off."""
        truth, start = self.asked(captions), time.time()
        optimizer = torch.optim.AdamW(self.judge.parameters(), 2e-3, weight_decay=0.05)
        generator = torch.Generator().manual_seed(0)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, step / 100) * (1 - step / steps)
            rows = torch.randint(0, len(latents), (batch,), generator=generator)
            noise = torch.rand(batch, 1, 1, 1, generator=generator) ** 2 * 0.7
            x = latents[rows] * (1 - 0.3 * noise) + noise * torch.randn(latents[rows].shape, generator=generator)
            x = torch.roll(x, int(torch.randint(-1, 2, (), generator=generator)), 2)
            answers = self.judge(x)
            loss = sum(F.cross_entropy(a, truth[rows, i], ignore_index=-1) for i, a in enumerate(answers))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if step % 200 == 199:
                print(f"faces {step + 1} {time.time() - start:.0f}s loss {loss.item():.2f}", flush=True)

    def settle(self, file: Path, latents: Tensor, captions: list[str]) -> None:
        """Load the judge from `file`, or train it and save it there; it stands still from then on."""
        if file.exists():
            self.judge.load_state_dict(torch.load(file))
        else:
            self.learn(latents, captions)
            torch.save(self.judge.state_dict(), file)
        self.judge.eval().requires_grad_(False)

    def loss(self, foretold: Tensor, given: list[str], weight: Tensor) -> Tensor:
        """Weighted cross-entropy, eyes counting half, of the faces that captions name in latents; weights [N]."""
        truth = self.asked(given)
        missed = torch.zeros_like(weight)
        for number, (answer, share) in enumerate(zip(self.judge(foretold), (1.0, 0.5), strict=True)):
            wanted = truth[:, number]
            missed = missed + share * F.cross_entropy(answer, wanted, ignore_index=-1, reduction="none")
        return (weight * missed).mean()
