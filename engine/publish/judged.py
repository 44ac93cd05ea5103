"""What a tagger saw in the previews of each epoch, and the hint that follows from it and from the losses.

Measuring is `engine.judge`'s; this reads its file and weighs. A hint stands beside the pictures, never in their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from engine.protocol.errors import ErrorInfo, describe
from engine.runs.folder import RunFolder

FILE = "judged.json"
OBEDIENCE = 0.5
"""How much following the prompt counts beside looking like the dataset."""
NEAR = 0.03
"""Epochs that score this near the best are as good: four pictures tell no finer. The middle one of them is named."""
WORSE_LOSS, WORSE_SCORE = 0.05, 0.1
"""From here on the end of a bake counts as worse than its best epoch."""
BY_HEART, BEGINNING = 0.25, 20
"""Images are learned by heart where the loss on them falls below this share of what it was in the first so many
steps, when the LoRA had hardly begun: what differs from picture to picture alone cannot be foretold so well."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Of one epoch's previews: 0 is as like the dataset as the untrained base is, 1 as the dataset is to itself;
    `obedience` is how surely the tagger finds what the prompts ask for, 0 to 1."""

    likeness: float
    obedience: float


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The previews of a run as one tagger sees them; epoch 0 is the base."""

    tagger: str
    epochs: dict[int, Seen]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The epoch that the figures point to (0: none), why in words, and since which one it was too much (0: never)."""

    best: int
    hints: list[ErrorInfo]
    overtrained: int = 0


class Losses(msgspec.Struct, frozen=True, kw_only=True):
    """By epoch the mean loss on the training images and the one on the images held out; `beginning` is that of the
    first steps, 0 where there are none."""

    trained: dict[int, float] = {}
    held: dict[int, float] = {}
    beginning: float = 0.0


def read(run: RunFolder) -> Judged | None:
    """What was measured, None where nothing was."""
    try:
        return msgspec.json.decode((run.path / FILE).read_bytes(), type=Judged)
    except (OSError, msgspec.DecodeError):
        return None


def verdict(seen: Judged | None, losses: Losses, saved: Sequence[int]) -> Verdict | None:
    """The hint from likeness, obedience and losses, among epochs whose file is there; None without figures.

    What was too much is no candidate for the best while anything before it is.
    """
    scores = {epoch: score(one) for epoch, one in seen.epochs.items() if epoch in saved and epoch} if seen else {}
    worse = _worse(scores, {epoch: loss for epoch, loss in losses.held.items() if epoch in saved and epoch})
    learned = _by_heart(losses, saved)
    first = min((epoch for epoch in (worse, learned) if epoch), default=0)
    hints: list[ErrorInfo] = []
    best = 0
    if len(scores) > 1 and seen is not None:
        left = {epoch: value for epoch, value in scores.items() if not first or epoch < first} or scores
        top = max(left.values())
        near = [epoch for epoch in sorted(left) if left[epoch] >= top - NEAR]
        best = near[(len(near) - 1) // 2]
        one = seen.epochs[best]
        likeness, obedience = f"{one.likeness:.0%}", f"{one.obedience:.0%}"
        words = describe("hint_best_seen", tagger=seen.tagger, epoch=best, likeness=likeness, obedience=obedience)
        hints.append(words)
    if worse:
        hints.append(describe("hint_overtrained", epoch=worse))
    if learned:
        share = f"{losses.trained[learned] / losses.beginning:.0%}"
        hints.append(describe("hint_by_heart", epoch=learned, share=share))
    return Verdict(best=best, hints=hints, overtrained=first) if hints else None


def score(one: Seen) -> float:
    """One number to compare epochs by. More like the dataset than the dataset is no gain."""
    return min(1.0, one.likeness) + OBEDIENCE * one.obedience


def _worse(scores: Mapping[int, float], losses: Mapping[int, float]) -> int:
    """The first epoch of the bad end: from it to the last, every epoch is clearly worse than the best before."""
    bad: set[int] = set()
    if scores:
        peak = max(scores, key=lambda epoch: (scores[epoch], -epoch))
        bad |= {epoch for epoch in scores if epoch > peak and scores[epoch] < scores[peak] - WORSE_SCORE}
    if losses:
        low = min(losses, key=lambda epoch: losses[epoch])
        bad |= {epoch for epoch in losses if epoch > low and losses[epoch] > losses[low] * (1 + WORSE_LOSS)}
    known = sorted({*scores, *losses})
    first = 0
    for epoch in reversed(known):
        if epoch not in bad:
            break
        first = epoch
    return first


def _by_heart(losses: Losses, saved: Sequence[int]) -> int:
    """The first epoch from which on the training images are known by heart, 0 for none."""
    known = [epoch for epoch in sorted(losses.trained) if epoch in saved]
    first = 0
    for epoch in reversed(known):
        if losses.trained[epoch] >= BY_HEART * losses.beginning:
            break
        first = epoch
    return first
