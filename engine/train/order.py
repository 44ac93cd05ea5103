"""All chance of a bake as a function of (seed, epoch, item or step), never of history: what makes resuming exact.

Which items there are is the dataset plan's business; what is drawn with the generators is `noise` and `step`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import torch

from engine.dataset.chance import rng, seed_for
from engine.dataset.plan import BakePlan
from engine.protocol.params import BakeParams


class View(NamedTuple):
    """One time an image is seen in an epoch: the index of its item in the plan, and which of its repeats."""

    item: int
    turn: int


Batch = list[View]


def generator(seed: int, *parts: object) -> torch.Generator:
    """A CPU generator of its own for one purpose; the same on every device."""
    return torch.Generator().manual_seed(seed_for(seed, *parts))


def epoch_batches(plan: BakePlan, params: BakeParams, epoch: int) -> list[Batch]:
    """The micro-batches of an epoch in order; each holds views of one bucket, the last of a bucket may be short."""
    buckets: dict[tuple[int, int], Batch] = defaultdict(list)
    for index, item in enumerate(plan.items):
        buckets[item.fit.bucket] += [View(index, turn) for turn in range(item.repeat)]
    chance = rng(params.seed, "order", epoch)
    batches: list[Batch] = []
    for size in sorted(buckets):
        views = buckets[size]
        chance.shuffle(views)
        batches += [views[i : i + params.batch_size] for i in range(0, len(views), params.batch_size)]
    chance.shuffle(batches)
    return batches


def epoch_steps(plan: BakePlan, params: BakeParams, epoch: int) -> list[list[Batch]]:
    """The optimizer steps of an epoch, each a list of micro-batches; accumulation never crosses an epoch."""
    batches = epoch_batches(plan, params, epoch)
    size = params.gradient_accumulation
    return [batches[i : i + size] for i in range(0, len(batches), size)]
