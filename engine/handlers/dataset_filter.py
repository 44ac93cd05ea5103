"""Filters for the viewer: what one finds, how it may be completed, and which were used or saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.handlers import Context
from engine.protocol.errors import EngineError
from engine.protocol.found import Filters, Found, Suggestions
from engine.protocol.messages import CompleteParams, FilterParams, KeepFilter, PathParams

if TYPE_CHECKING:
    from engine.dataset.query_search import Facts
    from engine.dataset.scan import Dataset


def dataset_filter(context: Context, params: FilterParams) -> Found:
    """The rows a filter finds. One that is being typed is often broken: that is an answer, not a failure."""
    from engine.dataset.names import printable
    from engine.dataset.query_search import find, runs_of

    dataset = context.datasets.get(params.path)
    path, images = printable(str(dataset.path)), len(dataset.images)
    try:
        with context.indexes.of(dataset) as index:
            mask = find(index, params.text, facts(context, dataset))
    except EngineError as error:
        if not error.info.code.startswith("filter_"):
            raise
        start = int(error.info.args.get("place", "1")) - 1
        end = int(error.info.args.get("end", len(params.text)))
        return Found(path=path, text=params.text, images=images, error=error.info, start=start, end=end)
    return Found(path=path, text=params.text, images=images, count=int(mask.sum()), runs=runs_of(mask))


def dataset_complete_filter(context: Context, params: CompleteParams) -> Suggestions:
    """Fields, tags and words that fit what stands before the cursor."""
    from engine.dataset.query_complete import complete

    dataset = context.datasets.get(params.path)
    with context.indexes.of(dataset) as index:
        return complete(params.text, params.cursor, index, facts(context, dataset), limit=params.limit)


def dataset_filters(context: Context, params: PathParams) -> Filters:
    """The filters used and saved for a dataset."""
    from engine.dataset.filters import read_filters

    return read_filters(context.datasets.get(params.path).path)


def dataset_keep_filter(context: Context, params: KeepFilter) -> Filters:
    """Remember a filter; answers with all that are remembered."""
    from engine.dataset.filters import keep_filter

    return keep_filter(context.datasets.get(params.path).path, params.text, params.name)


def facts(context: Context, dataset: Dataset) -> Facts:
    """What a search may ask about besides the rows: the taggers' scores and the findings of the last check."""
    from engine.dataset.query_search import Facts
    from engine.tagging.scores import stored

    def scores(tag: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for tagger in stored(dataset.path):
            for name, score in tagger.of_tag(tag).items():
                found[name] = max(score, found.get(name, 0.0))
        return found

    def scored() -> set[str]:
        return {name for tagger in stored(dataset.path) for name in tagger.scored()}

    warnings: dict[str, set[str]] = {}
    doubles: set[str] = set()
    for finding in context.checks.get(dataset.path, ()):
        warnings.setdefault(finding.file, set()).add(finding.code)
        if finding.code in ("image_duplicate", "image_similar") and not finding.reg:
            doubles.update((finding.file, finding.args.get("other", "")))
    return Facts(scores=scores, scored=scored, warnings=warnings, duplicates=doubles)
