"""Which epoch the held-out loss points to, and why: a hint beside the previews, never a verdict.

Measuring is the trainer's business; a viewer shows the sentence as it stands in `finished`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from engine.protocol.errors import ErrorInfo, describe

EVEN = 0.01
"""Losses that differ by less than this share say nothing: a handful of held-out images is no better than that."""


class Best(NamedTuple):
    """The epoch and the reason; `epoch` is 0 where no epoch does better than the untrained base."""

    epoch: int
    hint: ErrorInfo


def best_epoch(losses: Mapping[int, float], saved: Collection[int]) -> Best | None:
    """The hint from the held-out loss of each epoch (0: the untrained base), among epochs whose file is `saved`.

    None where fewer than two of them were measured: there is nothing to choose from.
    """
    measured = {epoch: losses[epoch] for epoch in sorted(saved) if epoch in losses and epoch > 0}
    if len(measured) < 2:
        return None
    epoch = min(measured, key=lambda number: measured[number])
    last = max(measured)
    loss, base = measured[epoch], losses.get(0)
    words: dict[str, Any] = {"epoch": epoch, "loss": _short(loss), "last": last, "last_loss": _short(measured[last])}
    if base is not None and loss >= base:
        return Best(0, describe("hint_best_none", loss=_short(loss), base=_short(base)))
    if epoch == last:
        return Best(epoch, describe("hint_best_last", epoch=epoch, loss=_short(loss)))
    if measured[last] < loss * (1 + EVEN):
        return Best(epoch, describe("hint_best_even", **words))
    return Best(epoch, describe("hint_best_epoch", **words))


def _short(loss: float) -> str:
    return f"{loss:.4f}"
