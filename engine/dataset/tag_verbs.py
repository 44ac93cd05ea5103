"""What the verbs of the tag editor make of one caption's tags: pure functions, lists in, lists out.

Which images they act on is `tag_edit`'s business. Spellings of one tag (see `tag_names.key_of`) are one tag; what a
verb does not concern keeps its place and its spelling.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from engine.dataset import query
from engine.dataset.tag_names import clean, key_of
from engine.protocol.errors import EngineError
from engine.protocol.tags import TagOp

Change = Callable[[list[str]], list[str]]
Fits = Callable[[str], bool]

COUNTS = re.compile(r"(\d+\+?(girl|boy|other)s?|solo|multiple (girls|boys|others)|no humans)", re.IGNORECASE)
_REGEX_SECONDS = 2.0


def verb(op: TagOp, counts: dict[str, int] | None = None) -> Change:
    """The change that `op` is; `counts` (tag → images) is what sorting by frequency goes by.

    Raises EngineError `tags_missing` when the verb needs tags and has none, `filter_regex` for a broken pattern.
    """
    tags = [tag for text in op.tags for tag in clean(text)]
    if op.verb == "add" and op.off:
        off = [matcher(text) for text in _patterns(op.off)]
        put = _add(tags, op.at)
        return lambda before: put([tag for tag in before if not any(fit(tag) for fit in off)])
    if op.verb in ("add", "prepend", "append", "move"):
        _need(tags, op)
        return {"add": _add, "prepend": _prepend, "append": _append, "move": _move}[op.verb](tags, op.at)
    if op.verb == "remove":
        fits = [matcher(text) for text in _need(_patterns(op.tags), op)]
        return lambda before: [tag for tag in before if not any(fit(tag) for fit in fits)]
    if op.verb == "replace":
        return _replace(_need(_patterns(op.tags), op), op.new)
    if op.verb == "sort":
        return _sort(op, counts or {})
    if op.verb == "dedupe":
        return dedupe
    return lambda before: before  # what a tagger, rules or a binding make needs more than the tags


def matcher(text: str) -> Fits:
    """Whether a tag is the one written: itself in any spelling, `*` for anything, `/…/` as a regular expression."""
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        expression = _regex(text[1:-1])
        limit = _Limit(text[1:-1])
        return lambda tag: limit.run(lambda left: expression.search(tag, timeout=left)) is not None
    key = key_of(text)
    if "*" not in text:
        return lambda tag: key_of(tag) == key
    pattern = re.compile("(?s:" + "[\\s\\S]*".join(map(re.escape, _unstarred(key))) + ")")
    return lambda tag: key_of(tag) == key or pattern.fullmatch(key_of(tag)) is not None


def dedupe(tags: Sequence[str]) -> list[str]:
    """Each tag once, the first spelling."""
    seen: set[str] = set()
    return [tag for tag in tags if not ((key := key_of(tag)) in seen or seen.add(key))]  # type: ignore[func-returns-value]


class _Wanted:
    """Tags to be put somewhere, each once."""

    def __init__(self, tags: list[str]) -> None:
        self.tags = dedupe(tags)
        self.keys = [key_of(tag) for tag in self.tags]
        self._set = frozenset(self.keys)
        self._others: set[str] = set()
        """Tags that are known to be none of them: most captions are made of such alone, which is seen quickly."""

    def taken(self, before: list[str]) -> tuple[list[str], list[str]]:
        """What is left without them, and they in their order; a tag that was there keeps the spelling it had."""
        if self._others.issuperset(before):
            return before, self.tags
        if self._set.isdisjoint(map(key_of, before)):
            self._others.update(before)
            return before, self.tags
        spelt: dict[str, str] = {}
        for tag in before:
            spelt.setdefault(key_of(tag), tag)
        rest = [tag for tag in before if key_of(tag) not in self._set]
        return rest, [spelt.get(key, tag) for key, tag in zip(self.keys, self.tags, strict=True)]

    def missing(self, before: list[str]) -> list[str]:
        """Those that are not there."""
        if self._others.issuperset(before):
            return self.tags
        present = set(map(key_of, before))
        if self._set.isdisjoint(present):
            self._others.update(before)
        return [tag for key, tag in zip(self.keys, self.tags, strict=True) if key not in present]


def _add(new: list[str], at: int) -> Change:
    wanted = _Wanted(new)
    if at:
        return lambda before: _placed(before, wanted, at)
    return lambda before: before + missing if (missing := wanted.missing(before)) else before


def _prepend(new: list[str], _at: int) -> Change:
    wanted = _Wanted(new)
    return lambda before: _placed(before, wanted, 1)


def _append(new: list[str], _at: int) -> Change:
    wanted = _Wanted(new)
    return lambda before: _placed(before, wanted, -1)


def _move(tags: list[str], at: int) -> Change:
    def change(before: list[str]) -> list[str]:
        present = set(map(key_of, before))
        return _placed(before, _Wanted([tag for tag in tags if key_of(tag) in present]), at or 1)

    return change


def _placed(before: list[str], wanted: _Wanted, at: int) -> list[str]:
    """The wanted from place `at` on (1 is the front, -1 the end), wherever they were before."""
    rest, own = wanted.taken(before)
    place = at - 1 if at > 0 else len(rest) + 1 + at
    place = max(0, min(place, len(rest)))
    return rest[:place] + own + rest[place:]


def _replace(olds: list[str], new: str) -> Change:
    """Each tag that fits becomes `new` (several with commas, none for ""), where the first one stood; one that is
    there already is merged. In a regular expression `new` may take up groups: \\1."""
    rules = [(matcher(old), _substitution(old, new)) for old in olds]

    def change(before: list[str]) -> list[str]:
        after: list[str] = []
        touched = False
        made: set[str] = set()
        for tag in before:
            rule = next((substitute for fits, substitute in rules if fits(tag)), None)
            if rule is None:
                after.append(tag)
                continue
            put = rule(tag)
            touched = touched or put != [tag]
            made.update(map(key_of, put))
            after += put
        if not touched:
            return before
        # Only what the replacement brought is merged; doubles that were there before are not its business.
        seen: set[str] = set()
        result = []
        for tag in after:
            key = key_of(tag)
            if key in made and key in seen:
                continue
            seen.add(key)
            result.append(tag)
        return result

    return change


def _substitution(old: str, new: str) -> Callable[[str], list[str]]:
    if len(old) > 2 and old.startswith("/") and old.endswith("/"):
        expression, limit = _regex(old[1:-1]), _Limit(old[1:-1])

        def substitute(tag: str) -> list[str]:
            try:
                return clean(limit.run(lambda left: expression.sub(new, tag, timeout=left)))
            except (IndexError, ValueError, expression_error()) as error:
                raise EngineError("filter_regex", place=1, reason=str(error)[:120]) from None

        return substitute
    put = clean(new)
    return lambda _tag: put


def _sort(op: TagOp, counts: dict[str, int]) -> Change:
    """The first `keep` stay; the rest by name, by falling frequency, or only the counts of people to the front."""

    def rank(tag: str) -> Any:
        if op.by == "count":
            return (-counts.get(tag, 0), key_of(tag))
        if op.by == "people":
            return 0 if COUNTS.fullmatch(key_of(tag)) else 1
        return key_of(tag)

    return lambda before: before[: op.keep] + sorted(before[op.keep :], key=rank)


def _patterns(texts: Sequence[str]) -> list[str]:
    """Tags to look for: split at commas, except inside a regular expression."""
    return [
        tag for text in texts for tag in ([text] if text.startswith("/") and text.endswith("/") else clean(text)) if tag
    ]


def _need(tags: list[str], op: TagOp) -> list[str]:
    if not tags:
        raise EngineError("tags_missing", verb=op.verb)
    return tags


def _unstarred(key: str) -> list[str]:
    return re.split(r"\*+", key)


def _regex(source: str) -> Any:
    import regex

    if len(source) > query.MAX_REGEX:
        raise EngineError("filter_regex", place=1, reason=f"more than {query.MAX_REGEX} signs")
    try:
        return regex.compile(source, regex.IGNORECASE | regex.VERSION0)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise EngineError("filter_regex", place=1, reason=str(error)[:120]) from None


def expression_error() -> type[Exception]:
    """What the `regex` package raises for a replacement it does not understand."""
    import regex

    error: type[Exception] = regex.error
    return error


class _Limit:
    """The processor time one regular expression may take in all."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.left = _REGEX_SECONDS

    def run(self, search: Callable[[float], Any]) -> Any:
        began = time.thread_time()
        try:
            if self.left > 0:
                return search(self.left)
        except (TimeoutError, MemoryError):
            pass
        finally:
            self.left -= time.thread_time() - began
        raise EngineError("filter_slow", place=1, what=self.source)
