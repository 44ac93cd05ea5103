"""What may be typed next in a filter: fields, tags of the dataset with their counts, words that a field knows."""

from __future__ import annotations

from collections.abc import Iterable

from engine.dataset import query
from engine.dataset.query_index import Index
from engine.dataset.query_search import Facts
from engine.dataset.tag_names import key_of
from engine.protocol.errors import EngineError
from engine.protocol.found import Suggestion, Suggestions

_OPERATORS = ("AND", "OR", "NOT")


def complete(text: str, cursor: int, index: Index, facts: Facts, *, limit: int = 12) -> Suggestions:
    """Suggestions for the term that ends at `cursor`, the likeliest first."""
    before = text[: max(0, min(cursor, len(text)))]
    token = _last(before)
    if token is None or token.kind == "regex":
        return Suggestions(start=len(before), end=len(before))
    typed = token.text.replace("\0", "*")
    rows: list[Suggestion]
    if token.field in ("tag", "score"):
        sign = ">" if token.field == "score" else ""
        rows = [
            Suggestion(text=f"{token.field}:{query.quoted(tag)}{sign}", shown=tag, count=count)
            for tag, count in _tags(index, typed, limit)
        ]
    elif token.field == "has":
        rows = [_word("has", word) for word in query.HAS if word.startswith(typed)]
    elif token.field == "warn":
        codes = {code for codes in facts.warnings.values() for code in codes}
        codes |= {image.problem for image in index.images} - {""}
        rows = [_word("warn", code) for code in sorted(codes) if typed in code]
    elif token.field:
        rows = []
    else:
        rows = [
            Suggestion(text=f"{name}:", shown=f"{name}:") for name in query.FIELDS if typed and name.startswith(typed)
        ]
        rows += [Suggestion(text=word, shown=word) for word in _OPERATORS if typed and word.startswith(typed)]
        if typed:
            tags = _tags(index, typed, limit)
            rows += [Suggestion(text=f"tag:{query.quoted(tag)}", shown=tag, count=count) for tag, count in tags]
    return Suggestions(start=token.start, end=len(before), rows=rows[:limit])


def _word(field: str, word: str) -> Suggestion:
    return Suggestion(text=f"{field}:{word}", shown=word)


def _last(before: str) -> query.Token | None:
    """The term that ends where the text ends; an empty one behind a space."""
    for closing in ("", '"', "/"):
        try:
            tokens = query.tokenize(before + closing)
        except EngineError:
            continue
        if tokens and tokens[-1].end >= len(before) and tokens[-1].kind in ("word", "regex"):
            return tokens[-1]
        return query.Token("word", "", "", len(before), len(before))
    return None


def _tags(index: Index, typed: str, limit: int) -> list[tuple[str, int]]:
    """Tags that begin with what is typed, then those with a word that does, then those that hold it."""
    wanted = key_of(typed)
    ranked: list[tuple[int, int, str]] = []
    for key, numbers in index.keys().items():
        place = key.find(wanted)
        if place < 0:
            continue
        rank = 0 if not place else 1 if key[place - 1] in " -(" else 2
        ranked += [(rank, -count, index.tags[n]) for n in numbers if (count := len(index.rows_of(index.tags[n])))]
    ranked.sort()
    return [(tag, -count) for _rank, count, tag in _head(ranked, limit)]


def _head(rows: Iterable[tuple[int, int, str]], limit: int) -> list[tuple[int, int, str]]:
    return list(rows)[:limit]
