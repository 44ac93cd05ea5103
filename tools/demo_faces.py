"""Where eyes and mouths lie in the latents of a corpus, so that its training can weigh them more.

A mouth explains three thousandths of a drawing's variance: unweighted, the base leaves expressions to chance for
hundreds of thousands of samples. A weighted squared error has the same optimum; it is only reached sooner there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tools import demo_tags as named

FRAMINGS = ("close-up", "ink style", "voxel style", "toon style")  # the first that a caption names; a face lies alike
MOUTHS = {*named.INK_MOUTH, *named.VOXEL_MOUTH.values(), *named.TOON_MOUTH.values()}
LOOKS = {*named.INK_EYES, *named.VOXEL_EYES.values(), *named.TOON_EYES.values(), "sunglasses"}
MOUTH_WEIGHT, EYES_WEIGHT = 12.0, 6.0  # added where they matter most; mouths are smaller


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
