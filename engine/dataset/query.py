"""The filter language of datasets: text in, a tree out, or an EngineError that says where it breaks.

What the terms find is `query_search`'s business; completion is in `query_complete`. Words side by side must all fit;
`AND`, `OR`, `NOT` (or a leading `-`) and parentheses combine; `field:value` asks one thing, `"…"` keeps spaces and
signs, `*` stands for anything, `/…/` is a regular expression.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Literal, NamedTuple

from engine.protocol.errors import EngineError

Kind = Literal["text", "number", "score", "choice"]

FIELDS: dict[str, Kind] = {
    "tag": "text",
    "caption": "text",
    "name": "text",
    "path": "text",
    "score": "score",
    "tags": "number",
    "chars": "number",
    "tokens": "number",
    "w": "number",
    "h": "number",
    "area": "number",
    "ratio": "number",
    "repeat": "number",
    "warn": "choice",
    "dup": "choice",
    "has": "choice",
}
"""Field → what stands behind its colon."""

HAS = ("caption", "tags", "crop", "repeat", "scores", "problem")
"""What `has:` knows."""

MAX_LENGTH = 2000
MAX_DEPTH = 50
MAX_REGEX = 300

Operator = Literal["<", "<=", ">", ">=", "=", ".."]


class Regex(NamedTuple):
    """A compiled pattern (of the `regex` package, whose matching can be limited in time) and where it stood. A `tame`
    one takes at most time squared in the length of the text, and needs no watching. `literal` is in every match."""

    pattern: Any
    start: int
    source: str
    tame: bool
    literal: str = ""


class Text(NamedTuple):
    """`field` ("" for a bare word) fits the parts of `value` in this order, anything may stand between them; a value
    with one part has no star. All parts are casefolded."""

    field: str
    parts: tuple[str, ...]


class Match(NamedTuple):
    """`field` ("" for a bare one) holds a match of a regular expression."""

    field: str
    regex: Regex


class Number(NamedTuple):
    """`field` compared with `low` (and `high`, for a range); `tag` is the tag of a score."""

    field: str
    operator: Operator
    low: float
    high: float = 0.0
    tag: str = ""


class Choice(NamedTuple):
    """`field` is this word; "" asks whether it is anything."""

    field: str
    word: str


class Not(NamedTuple):
    """Everything the inner one does not find."""

    inner: Node


class All(NamedTuple):
    """What every one of these finds."""

    nodes: tuple[Node, ...]


class Any_(NamedTuple):
    """What at least one of these finds."""

    nodes: tuple[Node, ...]


Node = Text | Match | Number | Choice | Not | All | Any_

_NUMBER = re.compile(r"(<=|>=|<|>|=)?(\d+(?:\.\d+)?)([km])?(?:\.\.(\d+(?:\.\d+)?)([km])?)?", re.IGNORECASE)
_RATIO = re.compile(r"(<=|>=|<|>|=)?(\d+(?:\.\d+)?)[:/](\d+(?:\.\d+)?)")
_SCORE = re.compile(r"(.*?)(<=|>=|<|>|=)(\d*\.?\d+)", re.DOTALL)
_REPEATS = re.compile(r"[*+{]")
_WILD = re.compile(r"\)\s*[*+{?]|\\[1-9gkL]|\(\?")
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6}
_ESCAPABLE = '"()*\\/'
_STAR = "\0"
"""Stands for an unescaped star while a word is read; a NUL cannot be typed and occurs in no caption that is read."""


class Token(NamedTuple):
    """A piece of a filter: its text without quotes and escapes (stars as `_STAR`), and where it stood."""

    kind: Literal["word", "regex", "open", "close", "not", "AND", "OR"]
    field: str
    text: str
    start: int
    end: int


def parse(text: str) -> Node | None:
    """The tree of a filter; None for an empty one, which finds everything.

    Raises EngineError `filter_unclosed`, `filter_expected`, `filter_field`, `filter_value`, `filter_regex` or
    `filter_long`; their `place` and `end` are positions in `text`, from 1.
    """
    if len(text) > MAX_LENGTH:
        raise EngineError("filter_long", limit=MAX_LENGTH)
    tokens = tokenize(text)
    if not tokens:
        return None
    parser = _Parser(tokens, len(text))
    node = parser.either(0)
    if parser.place < len(tokens):
        raise broken("filter_expected", tokens[parser.place], what=tokens[parser.place].text)
    return node


def tokenize(text: str) -> list[Token]:
    """The pieces of a filter; raises EngineError `filter_unclosed` or `filter_field`."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        sign = text[at]
        if sign.isspace():
            at += 1
        elif sign in "()":
            tokens.append(Token("open" if sign == "(" else "close", "", sign, at, at + 1))
            at += 1
        elif sign in "-!" and at + 1 < len(text) and not text[at + 1].isspace():
            tokens.append(Token("not", "", sign, at, at + 1))
            at += 1
        else:
            tokens.append(_term(text, at))
            at = tokens[-1].end
    return tokens


def _term(text: str, start: int) -> Token:
    match = re.compile(r"([A-Za-z]+):").match(text, start)
    field, at = "", start
    if match:
        field = match[1].lower()
        if field in FIELDS:
            at = match.end()
        else:
            # `re:zero` and `:d` are tags; `tgas:` is a slip of the finger.
            near = difflib.get_close_matches(field, FIELDS, n=1, cutoff=0.7)
            if near:
                raise _broken("filter_field", start, match.end(), what=match[1], nearest=near[0])
            field = ""
    if text[at : at + 1] == "/":
        end = _closing(text, at, "/")
        return Token("regex", field, text[at + 1 : end - 1], start, end)
    value, end = _word(text, at)
    if not field and text[start:end] in ("AND", "OR"):
        return Token("AND" if text[start:end] == "AND" else "OR", "", value, start, end)
    if not field and text[start:end] == "NOT":
        return Token("not", "", value, start, end)
    return Token("word", field, value, start, end)


def _word(text: str, at: int) -> tuple[str, int]:
    """A word up to a space or a parenthesis that it did not open; quotes keep everything, a backslash one sign."""
    parts: list[str] = []
    depth = 0
    while at < len(text) and not text[at].isspace():
        sign = text[at]
        if sign == "\\" and text[at + 1 : at + 2] and text[at + 1] in _ESCAPABLE:
            parts.append(text[at + 1])
            at += 2
            continue
        if sign == '"':
            end = _closing(text, at, '"')
            parts.append(re.sub(r'\\(["\\])', r"\1", text[at + 1 : end - 1]))
            at = end
            continue
        if sign == ")" and not depth:
            break
        depth += (sign == "(") - (sign == ")")
        parts.append(_STAR if sign == "*" else sign)
        at += 1
    return "".join(parts), at


def _closing(text: str, start: int, sign: str) -> int:
    """The place behind the sign that closes what `start` opens."""
    at = start + 1
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] == sign:
            return at + 1
        else:
            at += 1
    raise _broken("filter_unclosed", start, len(text), what=sign)


class _Parser:
    """Recursive descent; `place` is the next token."""

    def __init__(self, tokens: list[Token], length: int) -> None:
        self.tokens = tokens
        self.length = length
        self.place = 0

    def either(self, depth: int) -> Node:
        nodes = [self.both(depth)]
        while self._kind() == "OR":
            self.place += 1
            nodes.append(self.both(depth))
        return nodes[0] if len(nodes) == 1 else Any_(tuple(nodes))

    def both(self, depth: int) -> Node:
        nodes = [self.negated(depth)]
        while self._kind() not in (None, "OR", "close"):
            if self._kind() == "AND":
                self.place += 1
            nodes.append(self.negated(depth))
        return nodes[0] if len(nodes) == 1 else All(tuple(nodes))

    def negated(self, depth: int) -> Node:
        negations = 0
        while self._kind() == "not":
            self.place += 1
            negations += 1
        node = self.atom(depth)
        return Not(node) if negations % 2 else node

    def atom(self, depth: int) -> Node:
        if self.place >= len(self.tokens):
            raise _broken("filter_expected", self.length, self.length, what="…")
        token = self.tokens[self.place]
        if token.kind == "open":
            if depth >= MAX_DEPTH:
                raise broken("filter_expected", token, what=token.text)
            self.place += 1
            node = self.either(depth + 1)
            if self._kind() != "close":
                raise broken("filter_unclosed", token, what="(")
            self.place += 1
            return node
        if token.kind not in ("word", "regex"):
            raise broken("filter_expected", token, what=token.text)
        self.place += 1
        return _leaf(token)

    def _kind(self) -> str | None:
        return self.tokens[self.place].kind if self.place < len(self.tokens) else None


def _leaf(token: Token) -> Node:
    kind = FIELDS.get(token.field, "text")
    if token.kind == "regex":
        if kind != "text":
            raise broken("filter_value", token, what=f"/{token.text}/", field=token.field)
        return Match(token.field, _compiled(token))
    if kind == "number":
        return _number(token)
    if kind == "score":
        match = _SCORE.fullmatch(token.text)
        if match is None or not match[1]:
            raise broken("filter_value", token, what=_shown(token.text), field=token.field)
        return Number("score", _operator(match[2]), float(match[3]), tag=_plain(match[1]))
    if kind == "choice":
        word = _plain(token.text).casefold()
        if token.field == "has" and word not in HAS:
            raise broken("filter_value", token, what=_shown(token.text), field=token.field)
        return Choice(token.field, "" if word in ("any", "*") else word)
    if not token.text:
        raise broken("filter_value", token, what="", field=token.field)
    return Text(token.field, tuple(part.casefold() for part in token.text.split(_STAR)))


def _number(token: Token) -> Number:
    text = _plain(token.text)
    ratio = _RATIO.fullmatch(text) if token.field == "ratio" else None
    if ratio and float(ratio[3]):
        return Number(token.field, _operator(ratio[1]), round(float(ratio[2]) / float(ratio[3]), 4))
    match = _NUMBER.fullmatch(text)
    if match is None or (match[1] and match[4]):
        raise broken("filter_value", token, what=text, field=token.field)
    low = float(match[2]) * _UNITS[(match[3] or "").lower()]
    if match[4]:
        return Number(token.field, "..", low, float(match[4]) * _UNITS[(match[5] or "").lower()])
    return Number(token.field, _operator(match[1]), low)


def _operator(text: str | None) -> Operator:
    return text or "="  # type: ignore[return-value]


def _compiled(token: Token) -> Regex:
    import regex

    source = token.text.replace("\\/", "/")
    if len(source) > MAX_REGEX:
        raise broken("filter_regex", token, reason=f"more than {MAX_REGEX} signs")
    try:
        pattern = regex.compile(source, regex.IGNORECASE | regex.VERSION0)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise broken("filter_regex", token, reason=str(error)[:120]) from None
    tame = len(_REPEATS.findall(source)) <= 2 and not _WILD.search(source)
    return Regex(pattern, token.start, source, tame, _literal(source))


def _literal(source: str) -> str:
    """The longest text that every match holds, as far as a plain expression shows it."""
    if re.search(r"[|()\[\]{}\\]", source):
        return ""
    runs = re.findall(r"([a-z0-9 ]+)([*?]?)", source.lower())
    return max(((run[:-1] if optional else run).strip() for run, optional in runs), key=len, default="")


def _plain(text: str) -> str:
    return text.replace(_STAR, "*")


_shown = _plain


def broken(code: str, token: Token, **args: object) -> EngineError:
    """The error of a filter that breaks at this token."""
    return _broken(code, token.start, token.end, **args)


def _broken(code: str, start: int, end: int, **args: object) -> EngineError:
    return EngineError(code, place=start + 1, end=end, **args)


def quoted(value: str) -> str:
    """`value` as it is typed behind `field:` so that it stands for itself."""
    if (
        value
        and value not in ("AND", "OR", "NOT")
        and not re.search(r'[\s"*()\\]', value)
        and not value.startswith(("/", "-", "!"))
    ):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
