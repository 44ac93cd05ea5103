"""Chance as a function of (seed, parts) and never of history, for everything in a bake that needs no tensor.

Torch-free, so that a viewer can work out what the trainer will draw; tensors get theirs from `engine.train.order`.
"""

from __future__ import annotations

import random
from hashlib import blake2b


def seed_for(seed: int, *parts: object) -> int:
    """A 56-bit seed that depends on the bake's seed and on every part."""
    text = "/".join(map(str, (seed, *parts)))
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "little")


def rng(seed: int, *parts: object) -> random.Random:
    """Python's own randomness, for captions, mirroring and order."""
    return random.Random(seed_for(seed, *parts))


def caption_rng(seed: int, epoch: int, item: int, turn: int) -> random.Random:
    """What decides the caption of one view: item `item` of the plan, seen for the `turn`-th time in `epoch`."""
    return rng(seed, "caption", epoch, item, turn)


def mirrored(seed: int, epoch: int, item: int, turn: int) -> bool:
    """Whether a view that may be mirrored is; one half of them are."""
    return rng(seed, "flip", epoch, item, turn).random() < 0.5
