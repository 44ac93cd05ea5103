"""The filter language: every word of it finds what a plain reading of the captions finds, and mistakes say where."""

from __future__ import annotations

import contextlib
import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dataset import query
from engine.dataset.captions import split_tags
from engine.dataset.query_complete import complete
from engine.dataset.query_index import Index
from engine.dataset.query_search import Facts, find, runs_of
from engine.dataset.scan import Dataset, ImageFile
from engine.protocol.errors import EngineError
from engine.protocol.records import Crop

TAGS = (
    *(
        "1girl",
        "solo",
        "long hair",
        "very long hair",
        "short_hair",
        "smile",
        ":d",
        ";)",
        "^_^",
        r"\o/",
        "mira (series)",
    ),
    *("re:zero", "AND", "not a tag", "银发", "blue eyes", "a*b", "-_-", 'say "hi"', "Éclair", r"mira \(alt\)"),
)


def image(row: int, caption: str | None, **facts: object) -> ImageFile:
    name = f"sub/{row:02}.png"
    return ImageFile(name=name, path=Path("/set") / name, width=512, height=768, bytes=row, caption=caption, **facts)  # type: ignore[arg-type]


def dataset(*captions: str | None) -> Dataset:
    return Dataset(path=Path("/set"), images=tuple(image(row, caption) for row, caption in enumerate(captions)))


def found(data: Dataset, text: str, facts: Facts | None = None) -> list[int]:
    return [int(row) for row in find(Index(data), text, facts).nonzero()[0]]


SET = dataset(
    "1girl, long hair, smile",  # 0
    "1girl, very long hair, :d",  # 1
    "short_hair, ;), mira (series)",  # 2
    None,  # 3
    "",  # 4
    "a photo of a girl with long hair\nsecond line, smile",  # 5
    "solo,smile , ^_^,smile",  # 6
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("   ", [0, 1, 2, 3, 4, 5, 6]),
        ("long", [0, 1, 5]),
        ("LONG hair", [0, 1, 5]),
        ('"long hair, smile"', [0]),
        ("02.png", [2]),
        ("long -very", [0, 5]),
        ("NOT long", [2, 3, 4, 6]),
        ("!long", [2, 3, 4, 6]),
        ("long AND smile", [0, 5]),
        ("very OR solo", [1, 6]),
        ("very OR solo smile", [1, 6]),
        ("(very OR solo) smile", [6]),
        ("NOT (very OR solo) smile", [0, 5]),
        ('tag:"long hair"', [0]),
        ("tag:long_hair", [0]),
        ("tag:*hair", [0, 1, 2, 5]),
        ("tag:*long*", [0, 1, 5]),
        ("tag:mira_(series)", [2]),
        (r"tag:;\)", [2]),
        ('tag:";)"', [2]),
        ("tag::d", [1]),
        ("tag:^_^", [6]),
        ("caption:second", [5]),
        ("caption:1girl*smile", [0]),
        ("hair*line", [5]),
        ("name:sub/*3.png", [3]),
        ("path:/set/sub/04", [4]),
        ("/^1girl/", [0, 1]),
        ("tag:/^l.*r$/", [0]),
        (r"caption:/\bhair\b/", [0, 1, 5]),
        ("tags:3", [0, 1, 2, 6]),
        ("tags:>2", [0, 1, 2, 6]),
        ("tags:1..2", [5]),
        ("tags:0", [3, 4]),
        ("chars:<1", [3, 4]),
        ("tokens:>7", [1, 2, 5]),
        ("w:512 h:>=768", [0, 1, 2, 3, 4, 5, 6]),
        ("w:>0.6k", []),
        ("area:>0.3M", [0, 1, 2, 3, 4, 5, 6]),
        ("ratio:2/3", [0, 1, 2, 3, 4, 5, 6]),
        ("ratio:>1", []),
        ("has:caption", [0, 1, 2, 5, 6]),
        ("-has:tags", [3, 4]),
        ("dup:", []),
        ("warn:any", []),
        ("score:smile>0.5", []),
        ("nothing here", []),
    ],
)
def test_each_word_of_the_language(text: str, rows: list[int]) -> None:
    assert found(SET, text) == rows


def test_facts_beside_the_captions() -> None:
    crop = Crop(box=(0, 0, 9, 9), of=(512, 768), size=(9, 9))
    data = Dataset(
        path=Path("/set"),
        images=(
            image(0, "a", own_repeat=3, crop=crop),
            image(1, "b", folder_repeat=10),
            image(2, None, problem="caption_missing"),
        ),
    )
    facts = Facts(
        warnings={"sub/01.png": {"image_alpha"}},
        duplicates={"sub/00.png"},
        scores=lambda tag: {"sub/01.png": 0.75} if tag == "long hair" else {},
        scored=lambda: ["sub/01.png"],
    )
    for text, rows in {
        "repeat:3": [0],
        "repeat:>5": [1],
        "has:repeat": [0],
        "has:crop": [0],
        "has:problem": [2],
        "has:scores": [1],
        "warn:": [1, 2],
        "warn:alpha": [1],
        "warn:caption_missing": [2],
        "dup:any": [0],
        'score:"long hair">0.5': [1],
        'score:"long hair"<0.5': [0, 2],
        "score:smile>=0.1": [],
    }.items():
        assert found(data, text, facts) == rows, text


@pytest.mark.parametrize(
    ("text", "code", "place", "end"),
    [
        ('long "hair', "filter_unclosed", 6, 10),
        ("/a", "filter_unclosed", 1, 2),
        ("(long hair", "filter_unclosed", 1, 1),
        ("long)", "filter_expected", 5, 5),
        ("long AND", "filter_expected", 9, 8),
        ("OR long", "filter_expected", 1, 2),
        ("()", "filter_expected", 2, 2),
        ("-(", "filter_expected", 3, 2),
        ("smile tgas:>3", "filter_field", 7, 11),
        ("tags:many", "filter_value", 1, 9),
        ("a tags:>", "filter_value", 3, 8),
        ("score:smile", "filter_value", 1, 11),
        ("has:wings", "filter_value", 1, 9),
        ("tag:", "filter_value", 1, 4),
        ("/(a/", "filter_regex", 1, 4),
        ("tags:/3/", "filter_value", 1, 8),
        ("x" * 2001, "filter_long", None, None),
        ("(" * 80 + "a" + ")" * 80, "filter_expected", 51, 51),
    ],
)
def test_a_mistake_says_where(text: str, code: str, place: int | None, end: int | None) -> None:
    with pytest.raises(EngineError) as caught:
        query.parse(text)
    args = caught.value.info.args
    assert caught.value.info.code == code
    assert (args.get("place"), args.get("end")) == (
        None if place is None else str(place),
        None if end is None else str(end),
    )


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "(a*)*b", r"(\w+\s?)+!", ".*.*.*.*=.*x", "((a{1,30}){1,30}){1,30}b"]
)
def test_no_regular_expression_hangs_the_filter(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.dataset import query_search

    monkeypatch.setattr(query_search, "REGEX_SECONDS", 0.05)
    data = dataset(*["a" * 4000 + "!" for _ in range(20)])
    began = time.thread_time()
    with contextlib.suppress(EngineError):
        found(data, f"caption:/{pattern}/")
    assert time.thread_time() - began < 5


# -- a plain reading, for comparison --------------------------------------------------------------------------


def plain_fits(data: Dataset, row: int, node: query.Node | None) -> bool:
    caption = (data.images[row].caption or "").casefold()
    tags = split_tags(data.images[row].caption or "")
    match node:
        case None:
            return True
        case query.All(nodes):
            return all(plain_fits(data, row, inner) for inner in nodes)
        case query.Any_(nodes):
            return any(plain_fits(data, row, inner) for inner in nodes)
        case query.Not(inner):
            return not plain_fits(data, row, inner)
        case query.Number("tags", sign, low):
            count = len(set(tags))
            return count > low if sign == ">" else count < low if sign == "<" else count == low
        case query.Text("tag", parts):
            keys = [_key(tag) for tag in tags]
            pattern = re.compile(".*".join(re.escape(_key(part)) for part in parts), re.DOTALL)
            return any(pattern.fullmatch(key) for key in keys)
        case query.Text(field, parts):
            pattern = re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)
            if field == "caption":
                return bool(pattern.fullmatch(caption) if len(parts) > 1 else pattern.search(caption))
            return bool(pattern.search(caption) or pattern.search(data.images[row].name.casefold()))
        case query.Match("tag", expression):
            return any(expression.pattern.search(tag) for tag in tags)
    raise AssertionError(node)


def _key(tag: str) -> str:
    text = re.sub(r"\\([()])", r"\1", tag.casefold())
    return text if text in ("^_^", "-_-") else text.replace("_", " ")


words = st.sampled_from([*TAGS, "long", "hair", "smi", "0", "1girl, solo", "e"])
leaves = st.one_of(
    words.map(query.quoted),
    words.map(lambda word: "tag:" + query.quoted(word)),
    st.sampled_from(
        ["tag:*hair", "tag:*o*", "tag:l*r", "hair*e", "caption:1*", "tags:>3", "tags:<2", "tags:2", "tag:/^.o/"]
    ),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" ".join),
        st.tuples(inner, inner).map(" OR ".join),
        st.tuples(inner, inner).map(" AND ".join),
        inner.map(lambda text: f"NOT ({text})"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=6,
)
captions = st.one_of(
    st.none(),
    st.lists(st.sampled_from(TAGS), max_size=8).map(", ".join),
    st.lists(st.sampled_from(TAGS), max_size=4).map(",  ".join),
    st.just("first, long hair\nsmile, second"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(captions, min_size=1, max_size=12), st.lists(filters, min_size=1, max_size=3))
def test_it_finds_what_a_plain_reading_finds(texts: list[str | None], wanted: list[str]) -> None:
    data = dataset(*texts)
    index = Index(data)
    for text in wanted:
        node = query.parse(text)
        assert [plain_fits(data, row, node) for row in range(len(texts))] == find(index, text).tolist(), text


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        query.parse(text)
        code = "filter_"
    except EngineError as error:
        code = error.info.code
    assert code.startswith("filter_")


@settings(max_examples=50, deadline=None)
@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters=[",", "\n", "\r", "\0"]), min_size=1, max_size=12
    )
)
def test_a_quoted_tag_finds_itself(tag: str) -> None:
    data = dataset(f"other, {tag}, more")
    for clean in split_tags(tag):
        assert found(data, "tag:" + query.quoted(clean)) == [0]


def test_the_index_follows_edits_as_if_made_anew() -> None:
    dice = random.Random(3)

    def caption() -> str | None:
        return dice.choice([None, ", ".join(dice.sample(TAGS, dice.randrange(6))), "x\ny, smile", "smile,smile"])

    images = [image(row, caption()) for row in range(40)]
    index = Index(Dataset(path=Path("/set"), images=tuple(images)))
    asked = ["smile", "tag:smile", "tags:>2", "tokens:>5", "long", "has:caption", "chars:>9", "sm*e", "/o.o/"]
    for turn in range(30):
        for row in dice.sample(range(len(images)), dice.randrange(1, 12)):
            images[row] = image(row, caption())
        if turn % 10 == 9:
            images.append(image(len(images), caption()))
        data = Dataset(path=Path("/set"), images=tuple(images))
        index.follow(data)
        fresh = Index(data)
        assert index.counts() == fresh.counts()
        for text in dice.sample(asked, 5):
            assert find(index, text).tolist() == find(fresh, text).tolist(), text


def test_runs_are_the_rows() -> None:
    dice = random.Random(5)
    for _ in range(50):
        mask = find(Index(dataset(*["a"] * dice.randrange(1, 30))), "a")
        mask[:] = [dice.random() < 0.5 for _ in mask]
        runs = runs_of(mask)
        rows = [row for begin, end in zip(runs[::2], runs[1::2], strict=True) for row in range(begin, end)]
        assert rows == mask.nonzero()[0].tolist()


def test_what_may_be_typed_next() -> None:
    index = Index(SET)

    def offered(text: str) -> list[str]:
        answer = complete(text, len(text), index, Facts())
        assert text[: answer.start] + text[answer.start : answer.end] == text
        return [row.text for row in answer.rows]

    assert offered("ta")[:2] == ["tag:", "tags:"]
    photo = 'tag:"a photo of a girl with long hair"'
    assert offered("smile tag:lo") == ['tag:"long hair"', photo, 'tag:"very long hair"', "tag:solo"]
    assert offered('tag:"long h') == ['tag:"long hair"', photo, 'tag:"very long hair"']
    assert "tag:short_hair" in offered("hair")
    assert offered("score:smi") == ["score:smile>"]
    assert offered("has:c") == ["has:caption", "has:crop"]
    assert offered("tag:/lo") == []
    assert offered("") == []
    for text in ("tag:mira", "tag:;", "tag:^"):
        (row,) = offered(text)[:1]
        assert found(SET, row), row
