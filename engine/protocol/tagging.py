"""What a viewer may ask of the taggers: a tagging job, other thresholds from stored scores, the scores of one image.

Parameters and results of the `tags.*` methods that need a tagger's scores, listed in `messages.METHODS`; the rules are
`engine.tagging`'s, the editing of captions is `tags`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.protocol.tag_options import TagOptions
from engine.protocol.tags import CaptionDiff, TagSource


class TagSubmit(msgspec.Struct, frozen=True, kw_only=True):
    """Tag the dataset `path`: a job at the end of the queue. With `options.write` off only the scores are kept."""

    path: str
    options: TagOptions = TagOptions()
    start: bool = True


class ThresholdParams(msgspec.Struct, frozen=True, kw_only=True):
    """Make captions of the stored scores once more, without the model. With `dry_run` nothing is written."""

    path: str
    options: TagOptions = TagOptions()
    dry_run: bool = False


class TaggingReport(msgspec.Struct, frozen=True, kw_only=True):
    """What tagging did, or would do: of `images`, `scored` have scores and `changed` another caption, with `added` and
    `removed` tags in all; the first thousands of them in `changes`. `kept` captions were left alone since `existing` is
    keep, `busy` were changed by another program meanwhile and left alone."""

    path: str
    images: int
    scored: int
    changed: int = 0
    added: int = 0
    removed: int = 0
    kept: int = 0
    busy: int = 0
    taggers: list[str] = []
    changes: list[CaptionDiff] = []


class ScoresParams(msgspec.Struct, frozen=True, kw_only=True):
    """One image of a dataset."""

    path: str
    image: str


class TagScore(msgspec.Struct, frozen=True, kw_only=True):
    """A tag of one image: its category and score where a tagger saw it (None elsewhere), whether the caption holds it,
    and who wrote it there."""

    tag: str
    category: str = ""
    score: float | None = None
    written: bool = False
    provenance: TagSource | Literal[""] = ""


class ImageScores(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of one image, those of its caption first in their order, then what the taggers saw besides."""

    path: str
    image: str
    tags: list[TagScore] = []
    taggers: list[str] = []
