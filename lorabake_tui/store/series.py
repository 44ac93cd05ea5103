"""The numbers of a bake, one point per optimizer step, kept so that 100,000 of them cost little.

A resume that goes back to a saved state takes its steps again: the later value of a step wins, and what lay
beyond it is dropped. A loss that is not a number is kept as NaN and drawn as a gap.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from engine.protocol.events import Step

NAN = math.nan
_PENDING = 512


class _Columns(NamedTuple):
    steps: array[int]
    epochs: array[int]
    loss: array[float]
    grad_norm: array[float]
    it_s: array[float]


class Bucket(NamedTuple):
    """The values that share one column of a chart: where it starts, its lowest, highest and mean value."""

    x: float
    low: float
    high: float
    mean: float


class Series:
    """Columns of equal length: steps, epochs, loss, grad_norm, it_s, and one of learning rates per group.

    `generation` changes whenever points were taken back, so that a reader with a cache knows to start over.
    Steps wait in a list and go into the columns many at a time, which halves the cost of a long replay.
    """

    __slots__ = ("_columns", "_lr", "_pending", "_smooth", "_top", "generation")

    def __init__(self) -> None:
        self.generation = 0
        self._columns = _Columns(array("q"), array("q"), array("d"), array("d"), array("d"))
        self._lr: dict[str, array[float]] = {}
        self._pending: list[Step] = []
        self._top = -1
        self._smooth: dict[float, _Smoothed] = {}

    def __len__(self) -> int:
        return len(self._columns.steps) + len(self._pending)

    def add(self, event: Step) -> None:
        """Append a step; one that was taken before replaces that point and drops those behind it."""
        step = event.step
        if step <= self._top:
            self.rewind(step)
        self._top = step
        self._pending.append(event)
        if len(self._pending) >= _PENDING:
            self._flush()

    def rewind(self, step: int) -> None:
        """Take back every point at or behind `step`."""
        self._flush()
        steps = self._columns.steps
        keep = bisect_left(steps, step)
        if keep == len(steps):
            return
        for counts in (self._columns.steps, self._columns.epochs):
            del counts[keep:]
        for column in (*self._columns[2:], *self._lr.values()):
            del column[keep:]
        self._top = steps[-1] if steps else -1
        self.generation += 1

    def _flush(self) -> None:
        pending, columns = self._pending, self._columns
        if not pending:
            return
        count = len(columns.steps)
        columns.steps.extend([event.step for event in pending])
        columns.epochs.extend([event.epoch for event in pending])
        columns.loss.extend([NAN if event.loss is None else event.loss for event in pending])
        columns.grad_norm.extend([NAN if event.grad_norm is None else event.grad_norm for event in pending])
        columns.it_s.extend([NAN if event.it_s is None else event.it_s for event in pending])
        for group in dict.fromkeys(self._lr) | {name: None for event in pending for name in event.lr}:
            column = self._lr.get(group)
            if column is None:
                column = self._lr[group] = array("d", [NAN]) * count
            column.extend([event.lr.get(group, NAN) for event in pending])
        pending.clear()

    @property
    def steps(self) -> array[int]:
        """The number of each step, ascending."""
        self._flush()
        return self._columns.steps

    @property
    def epochs(self) -> array[int]:
        """The epoch each step belongs to."""
        self._flush()
        return self._columns.epochs

    @property
    def loss(self) -> array[float]:
        """The loss of each step, NaN where there was none."""
        self._flush()
        return self._columns.loss

    @property
    def grad_norm(self) -> array[float]:
        """The norm of the gradient at each step, NaN where it was not told."""
        self._flush()
        return self._columns.grad_norm

    @property
    def it_s(self) -> array[float]:
        """Optimizer steps per second at each step, NaN where it was not told."""
        self._flush()
        return self._columns.it_s

    @property
    def lr(self) -> dict[str, array[float]]:
        """Group of parameters → its learning rate at each step, NaN where it was not told."""
        self._flush()
        return self._lr

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
