"""OpenedDataset: the dataset all sections look at: its rows, what the doctor found, the plan of a bake."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from engine.protocol.datasets import PlanTable
from engine.protocol.errors import SENTENCES, describe
from engine.protocol.records import DatasetPage, DatasetSummary, ImageRow
from lorabake_tui.i18n import told
from lorabake_tui.store.findings import Findings
from lorabake_tui.store.order import UPWARDS, Order, sort_key

# Never the same twice: a folder that is read again is other rows, however few steps it took to read them.
_versions = itertools.count(1)


class OpenedDataset:
    """The rows of one folder. Row numbers are places in `rows` and never change while it is open.

    `version` is a new and higher one, of all datasets, after every change of the rows; `edited` is that of the last
    change which was no mere coming of more. `findings` and `plan` are of some version or None.
    """

    def __init__(self, summary: DatasetSummary | None = None) -> None:
        self.summary = summary
        self.rows: list[ImageRow] = []
        self.findings: Findings | None = None
        self.plan: PlanTable | None = None
        self._numbers: dict[str, int] = {}
        self._searched: dict[int, str] = {}
        self.version = next(_versions)
        self.edited = self.version

    @property
    def path(self) -> str:
        """The folder, "" while none is open."""
        return self.summary.path if self.summary is not None else ""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return PurePath(self.path).name or self.path

    @property
    def beside(self) -> str:
        """The folder that holds this one, with a slash, where its neighbours are; "~/" while none is open."""
        return str(PurePath(self.path).parent).rstrip("/") + "/" if self.path else "~/"

    @property
    def count(self) -> int:
        """How many images the folder holds, also while rows are still coming."""
        return self.summary.images if self.summary is not None else 0

    @property
    def complete(self) -> bool:
        """Whether every row has come."""
        return self.summary is not None and len(self.rows) >= self.summary.images

    def problem_of(self, row: ImageRow) -> tuple[str, str]:
        """What is wrong with an image and what to do, as the scan told it."""
        findings = self.summary.findings if self.summary is not None else []
        for info in findings:
            if info.code == row.problem and row.name in (info.args.get("file", ""), info.args.get("other", "")):
                return told(info)
        return told(describe(row.problem, file=row.name)) if row.problem in SENTENCES else (row.problem, "")

    def codes_of(self, row: ImageRow) -> list[str]:
        """The codes of what is wrong with an image: the doctor's if there are any, else the scan's."""
        if self.findings is not None:
            return [found.code for found in self.findings.of(row.name)]
        return [row.problem] if row.problem else []

    def bucket_of(self, number: int) -> str:
        """The bucket that a row trains in, as `512×768`; "" when it does not train or is not known."""
        if self.plan is None or not self._planned or self.plan.bucket[number] < 0:
            return ""
        bucket = self.plan.buckets[self.plan.bucket[number]]
        return f"{bucket.width}×{bucket.height}"

    def views_of(self, number: int) -> int | None:
        """How often a row is learned from in an epoch, None when that is not known."""
        return self.plan.views[number] if self.plan is not None and self._planned else None

    @property
    def _planned(self) -> bool:
        return self.plan is not None and len(self.plan.bucket) == len(self.rows)

    def add(self, page: DatasetPage) -> None:
        """Take a page of rows in order."""
        for row in page.rows:
            self._numbers[row.name] = len(self.rows)
            self.rows.append(row)
        self.version = next(_versions)

    def replace(self, rows: Iterable[ImageRow]) -> list[int]:
        """Take rows that changed; returns their numbers."""
        changed = []
        for row in rows:
            number = self._numbers.get(row.name)
            if number is not None:
                self.rows[number] = row
                self._searched.pop(number, None)
                changed.append(number)
        self.version = self.edited = next(_versions)
        return changed

    def numbers_of(self, names: Iterable[str]) -> list[int]:
        """The numbers of the rows with these names; names that are not there are left out."""
        return [self._numbers[name] for name in names if name in self._numbers]

    def matching(self, text: str) -> list[int]:
        """The rows whose name or caption holds every word of `text`; `tag:x` asks for the whole tag x."""
        wanted = text.lower().strip()
        if wanted.startswith("tag:"):
            tag = wanted[4:].strip()
            return [n for n, row in enumerate(self.rows) if tag in tags_of(row.caption, lower=True)]
        words = wanted.split()
        return [n for n in range(len(self.rows)) if all(word in self._text(n) for word in words)]

    def arranged(self, rows: Sequence[int], order: Order, *, reverse: bool, marked: set[int]) -> Sequence[int]:
        """Row numbers in an order, `reverse` against its usual direction; the folder's own order costs nothing."""
        if order == "name" and not reverse:
            return rows
        key = sort_key(order, self.rows, self.plan, self.findings, marked)
        return sorted(rows, key=key, reverse=reverse == (order in UPWARDS))

    def _text(self, number: int) -> str:
        text = self._searched.get(number)
        if text is None:
            row = self.rows[number]
            text = self._searched[number] = f"{row.name}\n{row.caption or ''}".lower()
        return text


def tags_of(caption: str | None, *, lower: bool = False) -> list[str]:
    """The tags of a caption: what stands between commas, without the empty ones."""
    parts = [part.strip() for part in (caption or "").split(",")]
    return [part.lower() if lower else part for part in parts if part]
