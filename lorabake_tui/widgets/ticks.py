"""Round numbers for an axis: where ticks stand, what they say, and where a value falls between them."""

from __future__ import annotations

import math
from typing import NamedTuple

_LARGEST = 1e30
"""Beyond it a value is a fault, not a loss; leaving it out keeps the arithmetic of axes from overflowing."""


def drawable(value: float, *, log: bool) -> bool:
    """Whether an axis can show a value: finite, and above zero on a logarithmic one."""
    return (1 / _LARGEST if log else -_LARGEST) <= value <= _LARGEST


class Ticks(NamedTuple):
    """An upright axis. `labels` are (value, text); `limits` bound it in its own scale (the logarithm when `log`)."""

    labels: tuple[tuple[float, str], ...]
    limits: tuple[float, float]
    log: bool = False

    def place(self, value: float) -> float | None:
        """A value in the axis' own scale; None for what it cannot show."""
        if not drawable(value, log=self.log):
            return None
        return math.log10(value) if self.log else value

    def row(self, value: float, rows: int) -> int:
        """The row of a value, 0 at the top, for an axis of `rows` rows."""
        low, high = self.limits
        place = self.place(value)
        share = ((low if place is None else place) - low) / ((high - low) or 1.0)
        return min(rows - 1, max(0, round((1.0 - share) * (rows - 1))))


def linear_ticks(low: float, high: float, count: int) -> Ticks:
    """About `count` ticks at multiples of 1, 2 or 5 × 10ⁿ from `low` to `high`."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = abs(high) * 0.05 or 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / max(1, count)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    if len(values) < 2:
        values = [low, high]
        step = (high - low) / 2
    if max(abs(low), abs(high)) < 0.001 or max(abs(low), abs(high)) >= 100_000:
        return Ticks(tuple((value, short_number(value)) for value in values), (low, high))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return Ticks(tuple((value, f"{value:.{decimals}f}") for value in values), (low, high))


def log_ticks(low: float, high: float, count: int) -> Ticks:
    """Ticks of a logarithmic axis: powers of ten, with 2 and 5 between them where there is room."""
    if high / low < 1.02:
        low, high = low / 1.05, high * 1.05
    limits = math.log10(low), math.log10(high)
    powers = range(math.floor(limits[0]), math.ceil(limits[1]) + 1)
    for factors in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        values = [factor * 10.0**power for power in powers for factor in factors]
        values = [value for value in values if low * 0.999 <= value <= high * 1.001]
        if len(values) <= max(2, count):
            break
    if len(values) < 2:
        values = [low, high]
    return Ticks(tuple((value, short_number(value)) for value in values), limits, log=True)


def short_number(value: float) -> str:
    """A number in few characters: 0.25, 1200, 1e-4, 2.5e-5."""
    if value == 0:
        return "0"
    if 0.001 <= abs(value) < 100_000:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, _e, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
