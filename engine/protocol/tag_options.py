"""The options of a tagging, frozen in its job: which taggers, which of their tags, and how they become captions.

What they mean in detail is `engine.tagging`'s; what a viewer may ask with them, `tagging`.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Existing = Literal["keep", "prepend", "append", "replace"]
"""What becomes of captions that are there before the first tagging: left alone, tags in front, tags behind, or the
tagger's instead. Tags added or taken out by hand after a tagging stay so in every case."""

Merge = Literal["union", "intersection"]
"""Several taggers: what any of them sees, or what all of them see."""

Group = Literal["count", "character", "general", "rating"]
"""Groups of tags in the order in which they are written; `count` is 1girl, 2boys, solo and their like."""

ORDER: tuple[Group, ...] = get_args(Group)
FLOOR = 0.05
"""Scores below this are not kept, so no threshold can be lower."""


class TagOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which tags of the taggers' scores become captions, and how they are written.

    `taggers` are names of the catalogue or paths. A threshold of 0 is each tagger's own; `mcut` sets it for each image
    at the widest gap between its scores. `characters` and `rating` let such tags in, `limit` is the most tags of one
    image (0: all). `exclude` are tags, `*` standing for anything; `spaces` writes underscores as spaces, kaomoji apart.
    """

    taggers: tuple[str, ...] = ("demo",)
    merge: Merge = "union"
    general: float = 0.0
    character: float = 0.0
    mcut: bool = False
    characters: bool = True
    rating: bool = False
    spaces: bool = True
    exclude: tuple[str, ...] = ()
    order: tuple[Group, ...] = ORDER
    limit: int = 0
    existing: Existing = "keep"
    images: tuple[str, ...] = ()
    batch: int = 0
    write: bool = True
    again: bool = False
