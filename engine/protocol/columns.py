"""The numbers of a bake as columns, one point per optimizer step: in a long journal's digest, on the wire, in a viewer.

A resume that goes back to a saved state takes its steps again: the later value of a step wins, and what lay
beyond it is dropped. A loss that is not a number is kept as NaN.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from engine.protocol.events import Step

NAN = math.nan
_PENDING = 512


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of `count` points: 64-bit integers and floats in the machine's own order, one after another."""

    count: int
    steps: bytes
    epochs: bytes
    loss: bytes
    grad_norm: bytes
    it_s: bytes
    lr: dict[str, bytes] = {}


class _Columns(NamedTuple):
    steps: array[int]
    epochs: array[int]
    loss: array[float]
    grad_norm: array[float]
    it_s: array[float]


class Columns:
    """Columns of equal length: steps, epochs, loss, grad_norm, it_s, and one of learning rates per group.

    `generation` changes whenever points were taken back, so that a reader with a cache knows to start over.
    Steps wait in a list and go into the columns many at a time, which halves the cost of a long replay.
    """

    __slots__ = ("_columns", "_lr", "_pending", "_top", "generation")

    def __init__(self) -> None:
        self.generation = 0
        self._columns = _Columns(array("q"), array("q"), array("d"), array("d"), array("d"))
        self._lr: dict[str, array[float]] = {}
        self._pending: list[Step] = []
        self._top = -1

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

    def packed(self, size: int) -> Iterator[Packed]:
        """All points in stretches of at most `size`; nothing where there are none."""
        self._flush()
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            columns = {name: column[part].tobytes() for name, column in self._columns._asdict().items()}
            rates = {group: column[part].tobytes() for group, column in self._lr.items()}
            yield Packed(count=len(self._columns.steps[part]), lr=rates, **columns)

    def extend(self, packed: Packed) -> None:
        """Append a stretch that follows what is there; raises ValueError when its columns are not of equal length."""
        self._flush()
        new: dict[str, array[Any]] = {}
        for name, column in self._columns._asdict().items():
            new[name] = array(column.typecode)
            new[name].frombytes(getattr(packed, name))
        rates = {group: array("d") for group in packed.lr}
        for group, column in rates.items():
            column.frombytes(packed.lr[group])
        if any(len(column) != packed.count for column in (*new.values(), *rates.values())):
            raise ValueError("columns of different lengths")
        count = len(self._columns.steps)
        for name, column in self._columns._asdict().items():
            column.extend(new[name])
        for group in dict.fromkeys(self._lr) | dict.fromkeys(rates):
            if group not in self._lr:
                self._lr[group] = array("d", [NAN]) * count
            self._lr[group].extend(rates[group] if group in rates else array("d", [NAN]) * packed.count)
        self._top = self._columns.steps[-1] if self._columns.steps else -1

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
