"""What a tagger saw in the previews of each epoch, and the hint that follows from it and the held-out loss.

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
"""Epochs that score this near the best are as good; the earliest of them has learned least by heart."""
WORSE_LOSS, WORSE_SCORE = 0.05, 0.1
"""From here on the end of a bake counts as worse than its best epoch."""


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


def read(run: RunFolder) -> Judged | None:
    """What was measured, None where nothing was."""
    try:
        return msgspec.json.decode((run.path / FILE).read_bytes(), type=Judged)
    except (OSError, msgspec.DecodeError):
        return None


def verdict(seen: Judged | None, held: Mapping[int, float], saved: Sequence[int]) -> Verdict | None:
    """The hint from likeness, obedience and held-out loss, among epochs whose file is there; None without figures."""
    scores = {epoch: score(one) for epoch, one in seen.epochs.items() if epoch in saved and epoch} if seen else {}
    losses = {epoch: loss for epoch, loss in held.items() if epoch in saved and epoch}
    hints: list[ErrorInfo] = []
    best = 0
    if len(scores) > 1 and seen is not None:
        top = max(scores.values())
        best = min(epoch for epoch, value in scores.items() if value >= top - NEAR)
        one = seen.epochs[best]
        likeness, obedience = f"{one.likeness:.0%}", f"{one.obedience:.0%}"
        words = describe("hint_best_seen", tagger=seen.tagger, epoch=best, likeness=likeness, obedience=obedience)
        hints.append(words)
    overtrained = _overtrained(scores, losses)
    if overtrained:
        hints.append(describe("hint_overtrained", epoch=overtrained))
    return Verdict(best=best, hints=hints, overtrained=overtrained) if hints else None


def score(one: Seen) -> float:
    """One number to compare epochs by. More like the dataset than the dataset is no gain."""
    return min(1.0, one.likeness) + OBEDIENCE * one.obedience


def _overtrained(scores: Mapping[int, float], losses: Mapping[int, float]) -> int:
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
