"""The tags of a dataset with their counts and usual places, as the tag section shows them.

Splitting follows the trainer (`captions.split_tags`); editing tags is not done here.
"""

from __future__ import annotations

from engine.dataset.captions import split_tags
from engine.dataset.names import printable
from engine.dataset.scan import Dataset
from engine.protocol.records import TagCount, TagTable

MAX_TAGS = 20_000
"""More tags than this are not sent; 20,000 of them are about one megabyte."""


def tag_table(dataset: Dataset) -> TagTable:
    """All tags by falling count (images that carry the tag; a repeated tag counts once), then by name.

    `mean_rank` is the average place of its first mention, 0 = front.
    """
    counts: dict[str, int] = {}
    ranks: dict[str, int] = {}
    for image in dataset.images:
        if not image.caption:
            continue
        seen: set[str] = set()
        for rank, tag in enumerate(split_tags(image.caption)):
            if tag not in seen:
                seen.add(tag)
                counts[tag] = counts.get(tag, 0) + 1
                ranks[tag] = ranks.get(tag, 0) + rank
    ordered = sorted(counts, key=lambda tag: (-counts[tag], tag))
    return TagTable(
        path=printable(str(dataset.path)),
        images=len(dataset.images),
        tags=[
            TagCount(tag=tag, count=counts[tag], mean_rank=round(ranks[tag] / counts[tag], 2))
            for tag in ordered[:MAX_TAGS]
        ],
        limit_reached=len(ordered) > MAX_TAGS,
    )
