"""What commands print: aligned columns, durations, sizes, and colour where the stream takes it.

Cell widths and harmless text come from `widgets.plain`, as on the screens.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO

from rich.cells import cell_len

from lorabake_tui.widgets.plain import fit, plain, wrap

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Lines of aligned columns under a heading; columns whose index is in `right` are aligned right."""
    grid = [list(head), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[column]) for row in grid) for column in range(len(head))]
    last = len(head) - 1
    lines = []
    for row in grid:
        parts = [
            cell if column == last and column not in right else fit(cell, widths[column], right=column in right)
            for column, cell in enumerate(row)
        ]
        lines.append("  ".join(parts).rstrip())
    return lines


def pairs(rows: Sequence[tuple[str, str]], *, indent: int = 0, width: int = 100) -> list[str]:
    """Lines of name and explanation in two columns; long explanations are wrapped under themselves."""
    left = min(max((cell_len(name) for name, _ in rows), default=0), 34)
    lines = []
    for name, told in rows:
        body = wrap(told, max(width - indent - left - 2, 24)) if told else [""]
        if cell_len(name) > left:
            lines.append(" " * indent + name)
            name = ""
        lines.append((" " * indent + fit(name, left) + "  " + body[0]).rstrip())
        lines += [" " * (indent + left + 2) + more for more in body[1:]]
    return lines


def duration(seconds: float) -> str:
    """Wall time as m:ss or h:mm:ss."""
    whole = round(max(0.0, seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def size(count: int) -> str:
    """A number of bytes with a decimal unit, as disks and file managers give it."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.5 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def energy(kwh: float) -> str:
    """An amount of energy."""
    return f"{kwh * 1000:.0f} Wh" if kwh < 1 else f"{kwh:.2f} kWh"


def money(cost: float, currency: str) -> str:
    """An amount of money, with the digits that small ones need."""
    return f"{cost:.2f} {currency}".strip() if cost >= 0.1 or not cost else f"{cost:.4f} {currency}".strip()


def steerable(stream: IO[str]) -> bool:
    """Whether a line on `stream` can be drawn over: a terminal that is not dumb."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def coloured(stream: IO[str]) -> bool:
    """Whether colour makes sense on `stream`: a terminal that is not dumb, and no NO_COLOR."""
    return steerable(stream) and not os.environ.get("NO_COLOR")


def paint(text: str, style: str, stream: IO[str]) -> str:
    """`text` in a style of `STYLES` where the stream takes colour, else as it is."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if coloured(stream) else text
