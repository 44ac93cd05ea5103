"""Who put a tag on an image, in `<dataset>/.lorabake/tag_sources.json`: a person, a model, or a rule.

A tag that stands here for no one came with the files and counts as a person's: re-tagging never takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.dataset.captions import split_tags
from engine.dataset.sidecar import FOLDER
from engine.dataset.tag_names import clean, key_of
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write
from engine.protocol.tags import TagOp, TagSource

if TYPE_CHECKING:
    from engine.dataset.scan import ImageFile

_BRINGS = frozenset({"add", "prepend", "append", "replace", "rules", "bind", "write", "tag"})


class Sources(msgspec.Struct, kw_only=True):
    """By image name: tag → who put it there."""

    version: int = 1
    images: dict[str, dict[str, TagSource]] = {}


msgspec.json.Decoder(Sources)


def read_sources(dataset: Path) -> Sources:
    """What is known; nothing when the file is missing or broken: every tag then counts as a person's."""
    try:
        return msgspec.json.decode(_path(dataset).read_bytes(), type=Sources)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Sources()


def note(dataset: Path, op: TagOp, after: Mapping[str, str | None], before: Mapping[str, str | None]) -> None:
    """Remember whose the tags are that an edit brought; its caller holds the lock of the tags' journal.

    Raises OSError.
    """
    if op.verb not in _BRINGS:
        return
    sources = read_sources(dataset)
    changed = False
    given = None
    if op.verb in ("add", "prepend", "append"):  # whose tags are known need not be looked for
        given = {tag for text in op.tags for tag in clean(text)}
    for name, caption in after.items():
        old = before.get(name) or ""
        if given is not None and not any(tag in old for tag in given):
            brought = {tag for tag in given if tag in (caption or "")}
        elif given is not None:  # who writes a tag that a tagger wrote before means it
            brought = given & _tags(caption)
        else:
            brought = _tags(caption) - _tags(old)
        for tag in brought:
            known = sources.images.setdefault(name, {})
            if known.get(tag) != op.source:
                known[tag] = op.source
                changed = True
    if changed:
        atomic_write(_path(dataset), msgspec.json.encode(sources))


def own(
    dataset: Path, images: Sequence[ImageFile], tags: Sequence[str], source: TagSource, *, dry_run: bool
) -> tuple[int, int]:
    """Say whose tags are that stand on some images; on how many they stand, and on how many that is news.

    Raises EngineError `tags_missing`, `dataset_busy`, `path_outside` or `dataset_unwritable`.
    """
    from engine.dataset.tag_journal import opened

    wanted = {key_of(tag) for text in tags for tag in clean(text)}
    if not wanted:
        raise EngineError("tags_missing", verb="own")
    with opened(dataset):
        sources = read_sources(dataset)
        count = changed = 0
        for image in images:
            held = [tag for tag in split_tags(image.caption or "") if key_of(tag) in wanted]
            known = sources.images.get(image.name, {})
            news = [tag for tag in held if known.get(tag, "manual") != source]
            count, changed = count + bool(held), changed + bool(news)
            if news:
                sources.images.setdefault(image.name, {}).update(dict.fromkeys(news, source))
        if changed and not dry_run:
            atomic_write(_path(dataset), msgspec.json.encode(sources))
    return count, changed


def _tags(caption: str | None) -> set[str]:
    text = caption or ""
    plain = "\n" not in text and text.count(", ") == text.count(",")
    return set(text.split(", ")) if plain else set(split_tags(text))


def _path(dataset: Path) -> Path:
    return dataset / FOLDER / "tag_sources.json"
