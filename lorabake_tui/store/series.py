"""What a chart needs of a bake's numbers: smoothed, by epoch, and as few of them as there is room for.

The numbers themselves are `engine.protocol.columns`; one that is NaN is drawn as a gap.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from engine.protocol.columns import NAN, Columns


class Bucket(NamedTuple):
    """The values that share one column of a chart: where it starts, its lowest, highest and mean value."""

    x: float
    low: float
    high: float
    mean: float


class Series(Columns):
    """The columns of a run, and what a chart reads from them."""

    __slots__ = ("_smooth",)

    def __init__(self) -> None:
        super().__init__()
        self._smooth: dict[float, _Smoothed] = {}

    def smoothed(self, beta: float) -> array[float]:
        """The loss as an exponential moving average with weight `beta` on the past, debiased as in Adam.

        Only the points that came since the last call are worked on; NaN points repeat the value before them.
        """
        line = self._smooth.setdefault(beta, _Smoothed(beta))
        line.follow(self.loss, self.generation)
        return line.values

    def first_of_epochs(self) -> list[tuple[int, int]]:
        """(epoch, its first step) for every epoch that has points, ascending."""
        marks: list[tuple[int, int]] = []
        epochs, steps, at = self.epochs, self.steps, 0
        while at < len(epochs):
            marks.append((epochs[at], steps[at]))
            at = _end_of_run(epochs, at)
        return marks

    def epoch_means(self) -> dict[int, float]:
        """Epoch → mean loss over its finite points; an epoch without any is left out."""
        means: dict[int, float] = {}
        epochs, loss, at = self.epochs, self.loss, 0
        while at < len(epochs):
            end = _end_of_run(epochs, at)
            finite = [value for value in loss[at:end] if value == value]
            if finite:
                means[epochs[at]] = math.fsum(finite) / len(finite)
            at = end
        return means


class _Smoothed:
    """One moving average that continues where it stood."""

    def __init__(self, beta: float) -> None:
        self.beta = beta
        self.values: array[float] = array("d")
        self._generation = -1
        self._mean = 0.0
        self._weight = 1.0

    def follow(self, raw: array[float], generation: int) -> None:
        if generation != self._generation:
            self.values = array("d")
            self._generation, self._mean, self._weight = generation, 0.0, 1.0
        beta, mean, weight = self.beta, self._mean, self._weight
        push = self.values.append
        last = self.values[-1] if self.values else NAN
        for value in raw[len(self.values) :]:
            if value == value:
                mean = beta * mean + (1.0 - beta) * value
                weight *= beta
                last = mean / (1.0 - weight)
            push(last)
        self._mean, self._weight = mean, weight


def _end_of_run(values: Sequence[int], start: int) -> int:
    """The index behind the stretch of equal values that begins at `start`, by galloping search.

    Epochs never fall along a series, so equal values stand together.
    """
    value, low, stride = values[start], start, 1
    while low + stride < len(values) and values[low + stride] == value:
        low += stride
        stride *= 2
    high = min(low + stride, len(values))
    while high - low > 1:
        middle = (low + high) // 2
        if values[middle] == value:
            low = middle
        else:
            high = middle
    return high


def downsample(steps: Sequence[int], values: Sequence[float], columns: int, first: int = 0) -> list[Bucket | None]:
    """At most `columns` buckets of equal width in steps over the points from index `first` on.

    Each keeps its lowest and highest value, so that a spike of one step survives; a bucket whose points are all
    NaN is None, which a chart leaves empty. Columns without any point are left out.
    """
    count = len(steps)
    if first >= count or columns < 1:
        return []
    start, span = steps[first], steps[-1] - steps[first] + 1
    if count - first <= columns:
        return [
            None if value != value else Bucket(float(step), value, value, value)
            for step, value in zip(steps[first:], values[first:], strict=True)
        ]
    buckets: list[Bucket | None] = []
    at = first
    for column in range(columns):
        edge = start + (span * (column + 1)) // columns
        end = bisect_left(steps, edge, at)
        if end == at:
            continue
        chunk = values[at:end]
        total = sum(chunk)
        if total != total:
            chunk = [value for value in chunk if value == value]
            total = sum(chunk)
        if chunk:
            low, high = min(chunk), max(chunk)
            buckets.append(Bucket(float(steps[at]), low, high, min(high, max(low, total / len(chunk)))))
        else:
            buckets.append(None)
        at = end
    return buckets
