"""What the host answers about the words of a dataset: its table of tags, what a filter finds, how typing may go on.

Plain immutable structs; the language of filters and the counting belong to `engine.dataset`.
"""

from __future__ import annotations

from engine.protocol.errors import ErrorInfo
from engine.protocol.records import Record


class TagCount(Record, frozen=True):
    """How many images carry a tag, and which rank it takes on average (0 = first). Where a filter chose the images,
    `total` is the count in the whole dataset, and `lift` how many times as common it is among them as there (1 = as
    common). `category` is what a tagger or a vocabulary calls it. `score` is the mean of what a tagger said where it
    is; `manual`, `model` and `rule` say who put it how often, the rest came with the files."""

    tag: str
    count: int
    mean_rank: float = 0.0
    total: int = 0
    score: float | None = None
    manual: int = 0
    model: int = 0
    rule: int = 0
    category: str = ""
    lift: float = 1.0


class TagTable(Record, frozen=True):
    """All tags of a dataset by falling count (cut to `limit_reached` when there are too many for a line)."""

    path: str
    images: int
    tags: list[TagCount]
    limit_reached: bool = False


class Found(Record, frozen=True):
    """What a filter finds: `runs` are row numbers, from and up to in turns. A filter that is broken finds nothing, and
    `error` says why; it breaks between the positions `start` and `end` of its text."""

    path: str
    text: str
    images: int
    count: int = 0
    runs: list[int] = []
    error: ErrorInfo | None = None
    start: int = 0
    end: int = 0

    def rows(self) -> list[int]:
        """The row numbers one by one."""
        pairs = zip(self.runs[::2], self.runs[1::2], strict=True)
        return [row for begin, end in pairs for row in range(begin, end)]


class Suggestion(Record, frozen=True):
    """A way to go on typing: `text` takes the place of what is typed, `shown` is how it reads, `count` how many images
    (or, in a vocabulary, how many pictures of its site) it stands for, `note` where it comes from."""

    text: str
    shown: str
    count: int = 0
    note: str = ""


class Suggestions(Record, frozen=True):
    """What may stand in place of the signs from `start` to `end` of the text asked about, the likeliest first."""

    start: int
    end: int
    rows: list[Suggestion] = []


class Filters(Record, frozen=True):
    """The filters that were used on a dataset, the latest first, and those saved under a name."""

    history: list[str] = []
    saved: dict[str, str] = {}
