"""In which order the images of a dataset are shown. Numbers sort downwards first: what is worst or largest on top."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from engine.protocol.datasets import PlanTable
from engine.protocol.records import ImageRow
from lorabake_tui.store.findings import Findings

Order = Literal["name", "size", "bucket", "repeat", "tags", "findings", "marks"]
ORDERS: tuple[Order, ...] = ("name", "size", "bucket", "repeat", "tags", "findings", "marks")
"""What a list of images can be sorted by."""
UPWARDS: frozenset[Order] = frozenset({"name", "bucket"})
"""Those that begin with the smallest."""

_DIGITS = re.compile(r"(\d+)")


def natural(name: str) -> list[str | int]:
    """A name so that `9.png` comes before `10.png`; text and numbers alternate."""
    return [int(part) if part.isdecimal() else part for part in _DIGITS.split(name.lower())]


def sort_key(
    order: Order,
    rows: Sequence[ImageRow],
    plan: PlanTable | None,
    findings: Findings | None,
    marked: set[int],
) -> Callable[[int], Any]:
    """The key of a row number. What is not known yet (plan, findings) counts as nothing."""
    known = plan is not None and len(plan.bucket) == len(rows)

    def planned(column: Sequence[int], number: int) -> int:
        return column[number] if known else 0

    keys: dict[Order, Callable[[int], Any]] = {
        "name": lambda number: natural(rows[number].name),
        "size": lambda number: rows[number].width * rows[number].height,
        "bucket": lambda number: planned(plan.bucket if plan else (), number),
        "repeat": lambda number: (planned(plan.views if plan else (), number), rows[number].repeat or 0),
        "tags": lambda number: (rows[number].caption or "").count(",") + bool(rows[number].caption),
        "findings": lambda number: len(findings.of(rows[number].name)) if findings else bool(rows[number].problem),
        "marks": lambda number: (number in marked, rows[number].marks),
    }
    return keys[order]
