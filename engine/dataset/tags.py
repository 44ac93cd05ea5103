"""The tags of a dataset with their counts, usual places, scores and sources, as the tag section shows them.

Splitting follows the trainer (`captions.split_tags`); editing tags is not done here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from engine.dataset.captions import split_tags
from engine.dataset.names import printable
from engine.dataset.scan import Dataset
from engine.dataset.tag_names import key_of
from engine.dataset.tag_sources import read_sources
from engine.protocol.found import TagCount, TagTable

MAX_TAGS = 20_000
"""More tags than this are not sent; 20,000 of them are about two megabytes."""


def tag_table(
    dataset: Dataset,
    chosen: Collection[str] | None = None,
    scores: Callable[[str], Mapping[str, float]] | None = None,
    categories: Mapping[str, str] | None = None,
) -> TagTable:
    """All tags by falling count (images that carry the tag; a repeated tag counts once), then by name.

    `chosen` names the images that count, all without it; `mean_rank` is the average place of the first mention,
    0 = front. `scores` gives image → score of a tag, for the most frequent ones; `categories` by the key of a tag.
    """
    known_categories = categories or {}
    counts: dict[str, int] = {}
    totals: dict[str, int] = {}
    ranks: dict[str, int] = {}
    by: dict[str, dict[str, int]] = {"manual": {}, "model": {}, "rule": {}}
    sources = read_sources(dataset.path).images
    carriers: dict[str, list[str]] = {}
    images = 0
    for image in dataset.images:
        counted = chosen is None or image.name in chosen
        images += counted
        if not image.caption:
            continue
        known = sources.get(image.name, {})
        seen: set[str] = set()
        for rank, tag in enumerate(split_tags(image.caption)):
            if tag in seen:
                continue
            seen.add(tag)
            totals[tag] = totals.get(tag, 0) + 1
            if counted:
                counts[tag] = counts.get(tag, 0) + 1
                ranks[tag] = ranks.get(tag, 0) + rank
                if known and (source := known.get(tag)):
                    by[source][tag] = by[source].get(tag, 0) + 1
                if scores is not None:
                    carriers.setdefault(tag, []).append(image.name)
    ordered = sorted(counts, key=lambda tag: (-counts[tag], tag))
    return TagTable(
        path=printable(str(dataset.path)),
        images=images,
        tags=[
            TagCount(
                tag=tag,
                count=counts[tag],
                mean_rank=round(ranks[tag] / counts[tag], 2),
                total=totals[tag],
                score=_mean(scores(tag), carriers[tag]) if scores is not None and place < _SCORED else None,
                manual=by["manual"].get(tag, 0),
                model=by["model"].get(tag, 0),
                rule=by["rule"].get(tag, 0),
                category=known_categories.get(key_of(tag), ""),
                lift=round(counts[tag] * len(dataset.images) / (max(1, images) * totals[tag]), 2),
            )
            for place, tag in enumerate(ordered[:MAX_TAGS])
        ],
        limit_reached=len(ordered) > MAX_TAGS,
    )


_SCORED = 500
"""Tags whose mean score is told; each costs a look at all scores."""


def _mean(scores: Mapping[str, float], names: list[str]) -> float | None:
    values = [scores[name] for name in names if name in scores]
    return round(sum(values) / len(values), 3) if values else None
