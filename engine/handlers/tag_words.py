"""Tags as words for the viewer: the table of a dataset, suggestions while typing, traits of a trigger word."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from engine.handlers import Context
from engine.handlers.dataset_filter import facts
from engine.home import home
from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.found import Suggestion, Suggestions, TagTable
from engine.protocol.messages import Empty, FilterParams
from engine.protocol.tags import (
    Desk,
    DeskParams,
    JudgeParams,
    Review,
    ReviewParams,
    ReviewRow,
    SuggestTags,
    Trains,
    TrainsParams,
    Traits,
    TraitsParams,
)

if TYPE_CHECKING:
    from engine.dataset.scan import Dataset
    from engine.dataset.vocabulary import Vocabulary

_lock = threading.Lock()
_read: dict[tuple[Path, int], Vocabulary] = {}


def tags_table(context: Context, params: FilterParams) -> TagTable:
    """All tags of the images a filter finds, with counts, scores and sources."""
    from engine.dataset.query_search import find
    from engine.dataset.tags import tag_table
    from engine.tagging.scores import stored

    dataset = context.datasets.get(params.path)
    asked = facts(context, dataset)
    chosen: set[str] | None = None
    if params.text.strip():
        with context.indexes.of(dataset) as index:
            mask = find(index, params.text, asked)
        chosen = {image.name for image, found in zip(dataset.images, mask, strict=True) if found}
    scores = asked.scores if any(True for _ in stored(dataset.path)) else None
    return tag_table(dataset, chosen, scores, _categories(context, dataset))


def tags_suggest(context: Context, params: SuggestTags) -> Suggestions:
    """Tags that fit what is typed: the dataset's own first, then those of vocabularies."""
    from engine.dataset.tag_names import key_of
    from engine.dataset.vocabulary import Vocabulary, Word

    dataset = context.datasets.get(params.path)
    with context.indexes.of(dataset) as index:
        own: Vocabulary | None = index.kept.get("vocabulary")
        if own is None:
            own = Vocabulary((Word(tag, count, ""), ()) for tag, count in index.counts().items())
            index.kept["vocabulary"] = own
    rows: list[Suggestion] = []
    seen: set[str] = set()
    ranked = [(rank, place, word) for place, (word, rank) in enumerate(own.find(params.text, params.limit))]
    for vocabulary in _vocabularies(dataset.path):
        ranked += [(rank, 1000 + n, word) for n, (word, rank) in enumerate(vocabulary.find(params.text, params.limit))]
    # A slip of the finger on a tag of one's own is likelier than a rare word that holds the letters.
    for _rank, _place, word in sorted(ranked, key=lambda row: (row[0] if row[1] < 1000 else row[0] + 0.5, row[1])):
        if key_of(word.tag) not in seen:
            seen.add(key_of(word.tag))
            rows.append(Suggestion(text=word.tag, shown=word.tag, count=word.count, note=word.source))
    return Suggestions(start=0, end=len(params.text), rows=rows[: params.limit])


def tags_traits(context: Context, params: TraitsParams) -> Traits:
    """What may be bound to a trigger word."""
    from engine.dataset.tag_traits import traits

    return traits(context.datasets.get(params.path), params.trigger)


def tags_desk(context: Context, params: DeskParams) -> Desk:
    """Pins, bookmarks and macros of a dataset."""
    from engine.dataset.tag_desk import keep_desk, read_desk

    root = context.datasets.get(params.path).path
    if params.desk is not None:
        keep_desk(root, params.desk)
    return read_desk(root)


def tags_trains(context: Context, params: TrainsParams) -> Trains:
    """One caption as the trainer will see it."""
    from engine.dataset.render import plain_caption, seen
    from engine.dataset.scan import find
    from engine.dataset.tokens import about_tokens

    built = fields.build(params.params)
    dataset = context.datasets.get(params.path)
    caption = find(dataset, params.image).caption or ""
    item = next(number for number, image in enumerate(dataset.images) if image.name == params.image)
    plain = plain_caption(caption, built)
    return Trains(
        image=params.image,
        plain=plain,
        views=seen(caption, built, item=item, turns=3),
        tokens=about_tokens(plain),
        limit=built.max_token_length,
    )


def tags_review(context: Context, params: ReviewParams) -> Review:
    """The doubtful images first: by how far the score lies from the middle, then those without a score."""
    from engine.dataset.captions import split_tags
    from engine.dataset.names import printable
    from engine.dataset.tag_names import key_of
    from engine.dataset.tag_review import judged

    dataset = context.datasets.get(params.path)
    asked = facts(context, dataset)
    scores = asked.scores(params.tag) if asked.scores is not None else {}
    looked_at = judged(dataset.path, params.tag)
    wanted = key_of(params.tag)
    rows = [
        ReviewRow(
            file=image.name,
            score=scores.get(image.name),
            written=any(key_of(tag) == wanted for tag in split_tags(image.caption or "")),
            judged=image.name in looked_at,
        )
        for image in dataset.images
    ]
    # What carries the tag without a score, or has a score without the tag, is likelier wrong than the rest.
    rows.sort(key=lambda row: abs(row.score - _MIDDLE) if row.score is not None else (0.6 if row.written else 2.0))
    return Review(path=printable(str(dataset.path)), tag=params.tag, rows=rows[:_REVIEWED])


def tags_judge(context: Context, params: JudgeParams) -> Empty:
    """Remember what was looked at, so that a review goes on where it stopped."""
    from engine.dataset.tag_review import judge

    judge(context.datasets.get(params.path).path, params.tag, params.image, again=params.again)
    return Empty()


_MIDDLE = 0.35
_REVIEWED = 20_000


def _categories(context: Context, dataset: Dataset) -> dict[str, str]:
    """What vocabularies call the tags of a dataset, by their keys."""
    vocabularies = _vocabularies(dataset.path)
    if not vocabularies:
        return {}
    with context.indexes.of(dataset) as index:
        keys = list(index.keys())
    found: dict[str, str] = {}
    for key in keys:
        words = (vocabulary.word(key) for vocabulary in vocabularies)
        category = next((word.category for word in words if word is not None and word.category), "")
        if category:
            found[key] = category
    return found


def _vocabularies(root: Path) -> list[Vocabulary]:
    """Those of the taggers that scored a dataset, and the home's `vocabularies/*.csv`; read again when they change."""
    from engine.dataset.tag_rules import IMPLICATIONS
    from engine.dataset.vocabulary import Vocabulary, Word, read_csv
    from engine.tagging.scores import stored

    found = []
    with _lock:
        for tagger in stored(root):
            key = (tagger.path, len(tagger.labels))
            if key not in _read:
                _read[key] = Vocabulary(
                    (Word(label.name, 0, tagger.tagger, label.category), ()) for label in tagger.labels
                )
            found.append(_read[key])
        for path in sorted((home() / "vocabularies").glob("*.csv")):
            if path.name == IMPLICATIONS:
                continue
            try:
                key = (path, path.stat().st_mtime_ns)
                if key not in _read:
                    _read[key] = Vocabulary(read_csv(path))
            except (OSError, EngineError):
                continue
            found.append(_read[key])
    return found
