"""How a tagger's tags join the tags that are there: what a person wrote stays, what a person took out stays out.

Pure functions of lists; whose a tag is, `dataset.tag_sources` and `memory` know.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from engine.dataset.tag_names import key_of
from engine.protocol.tag_options import Existing
from engine.protocol.tags import TagSource


class Before(NamedTuple):
    """What the last tagging left in a caption: all its tags, the keys of those that a person had taken out by then, and
    of those that were there before any tagging."""

    tags: tuple[str, ...]
    gone: frozenset[str] = frozenset()
    found: frozenset[str] = frozenset()


def merged(
    tags: Sequence[str],
    picked: Sequence[str],
    existing: Existing,
    sources: Mapping[str, TagSource],
    before: Before | None = None,
) -> list[str] | None:
    """The tags of a caption after tagging; None when it is to be left alone (`existing` is keep, and it is a person's).

    `before` is None for a caption that no tagger wrote. A caption without any tag starts afresh.
    """
    if not tags:
        return list(picked)
    if before is None and existing == "keep" and any(sources.get(tag) != "model" for tag in tags):
        return None
    if existing == "replace":
        tags = [tag for tag in tags if tag in sources or (before is not None and key_of(tag) not in before.found)]
    out = taken_out(tags, sources, before)
    own = {key_of(tag) for tag in tags if sources.get(tag) != "model"}
    wanted = [tag for tag in picked if (key := key_of(tag)) not in own and key not in out]
    if before is None and existing == "prepend":
        return [*wanted, *_without_model(tags, sources)]
    return _updated(tags, wanted, sources)


def left_by(
    tags: Sequence[str], after: Sequence[str], sources: Mapping[str, TagSource], before: Before | None
) -> Before:
    """What a tagging that makes `after` of `tags` leaves for the next one."""
    present = {key_of(tag) for tag in after}
    found = before.found if before is not None else {key_of(tag) for tag in tags if tag not in sources}
    return Before(tuple(after), taken_out(tags, sources, before) - present, frozenset(found & present))


def taken_out(tags: Sequence[str], sources: Mapping[str, TagSource], before: Before | None) -> frozenset[str]:
    """The keys of tags that a tagger wrote and a person took out since."""
    if before is None:
        return frozenset()
    present = {key_of(tag) for tag in tags}
    written = {key_of(tag) for tag in before.tags if sources.get(tag) == "model"}
    return frozenset((written | before.gone) - present)


def _without_model(tags: Sequence[str], sources: Mapping[str, TagSource]) -> list[str]:
    return [tag for tag in tags if sources.get(tag) != "model"]


def _updated(tags: Sequence[str], wanted: Sequence[str], sources: Mapping[str, TagSource]) -> list[str]:
    """Tags that are there keep their place; new ones follow the last of the tagger's, or stand where its first was."""
    keys: Collection[str] = {key_of(tag) for tag in wanted}
    result: list[str] = []
    seen: set[str] = set()
    place = -1
    for tag in tags:
        if sources.get(tag) != "model":
            result.append(tag)
            continue
        key = key_of(tag)
        if key in keys and key not in seen:
            seen.add(key)
            result.append(tag)
            place = len(result)
        elif place < 0:
            place = len(result)
    new = [tag for tag in wanted if key_of(tag) not in seen]
    place = place if place >= 0 else len(result)
    return result[:place] + new + result[place:]
