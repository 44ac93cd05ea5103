"""Durations, sizes, rates and clock times in few characters, with fixed decimals so that digits do not dance."""

from __future__ import annotations

import time

ABSENT = "—"


def duration(seconds: float | None) -> str:
    """`8s`, `12m 04s`, `3h 07m`, `2d 04h`; a dash for None."""
    if seconds is None:
        return ABSENT
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def size(count: float) -> str:
    """Bytes with a decimal unit and one decimal: `9.4 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.95:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def memory(used: int, total: int) -> str:
    """Memory in use of all there is, in binary gigabytes as drivers count it: `3.1/24.0 GB`."""
    return f"{used / 2**30:.1f}/{total / 2**30:.1f} GB"


def loss(value: float | None) -> str:
    """A loss with four decimals; a dash for None and NaN."""
    return f"{value:.4f}" if value is not None and value == value else ABSENT


def rate(value: float | None) -> str:
    """Something per second with three figures."""
    if value is None or value != value:
        return ABSENT
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def learning_rate(value: float | None) -> str:
    """`1.00e-4`; a dash for None and NaN."""
    if value is None or value != value:
        return ABSENT
    if value == 0:
        return "0"
    mantissa, _e, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def clock(t: float) -> str:
    """Time of day of a Unix time, on this machine's clock."""
    return time.strftime("%H:%M:%S", time.localtime(t))


def moment(t: float) -> str:
    """Day and time of a Unix time: `01-22 19:03`."""
    return time.strftime("%m-%d %H:%M", time.localtime(t))
