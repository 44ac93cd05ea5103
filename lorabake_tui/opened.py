"""OpenedDataset: the dataset all sections look at, its rows as they arrive, and the filter and problems over them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from engine.protocol.errors import SENTENCES, describe
from engine.protocol.records import DatasetPage, DatasetSummary, ImageRow
from lorabake_tui.i18n import told


class OpenedDataset:
    """The rows of one folder. Row numbers are places in `rows` and never change while it is open."""

    def __init__(self, summary: DatasetSummary | None = None) -> None:
        self.summary = summary
        self.rows: list[ImageRow] = []
        self._numbers: dict[str, int] = {}
        self._searched: dict[int, str] = {}
        self.version = 0

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

    def add(self, page: DatasetPage) -> None:
        """Take a page of rows in order."""
        for row in page.rows:
            self._numbers[row.name] = len(self.rows)
            self.rows.append(row)
        self.version += 1

    def replace(self, rows: Iterable[ImageRow]) -> list[int]:
        """Take rows that changed; returns their numbers."""
        changed = []
        for row in rows:
            number = self._numbers.get(row.name)
            if number is not None:
                self.rows[number] = row
                self._searched.pop(number, None)
                changed.append(number)
        self.version += 1
        return changed

    def matching(self, text: str) -> list[int]:
        """The rows whose name or caption holds every word of `text`; `tag:x` asks for the whole tag x."""
        wanted = text.lower().strip()
        if wanted.startswith("tag:"):
            tag = wanted[4:].strip()
            return [n for n, row in enumerate(self.rows) if tag in tags_of(row.caption, lower=True)]
        words = wanted.split()
        return [n for n in range(len(self.rows)) if all(word in self._text(n) for word in words)]

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
