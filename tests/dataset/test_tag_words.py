"""Verbs on one caption, words of a vocabulary, and the binding of traits to a trigger word."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tag_edit import carry_out, with_captions
from engine.dataset.tag_names import clean, escaped, key_of
from engine.dataset.tag_traits import bind_plan, remember, traits
from engine.dataset.tag_verbs import verb
from engine.dataset.vocabulary import Vocabulary, Word, read_csv
from engine.protocol.errors import EngineError
from engine.protocol.tags import TagOp, Verdict, ops_of


def made(before: str, name: str, *tags: str, **more: object) -> str:
    op = TagOp(verb=name, tags=list(tags), **more)  # type: ignore[arg-type]
    return ", ".join(verb(op, {"b": 9, "c": 5})(before.split(", ") if before else []))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (made("a, b", "add", "c, a, B"), "a, b, c"),
        (made("a, b", "add", "c", at=1), "c, a, b"),
        (made("a, b", "add", "b", at=1), "b, a"),
        (made("Mira, a", "prepend", "mira"), "Mira, a"),
        (made("a, mira, b", "prepend", "mira, new"), "mira, new, a, b"),
        (made("a, b, c", "append", "a"), "b, c, a"),
        (made("a, b, c", "move", "c, z", at=1), "c, a, b"),
        (made("a, b, c", "move", "a", at=-1), "b, c, a"),
        (made("long hair, ;), long_hair", "remove", "long hair"), ";)"),
        (made(r"mira \(x\), b", "remove", "mira (x)"), "b"),
        (made("blue hair, hair, hairband", "remove", "*hair"), "hairband"),
        (made("a*b, ab, axb", "remove", "/a.b/"), "ab"),
        (made("a, b, c", "replace", "b", new="x, y"), "a, x, y, c"),
        (made("a, b, c", "replace", "b", new="c"), "a, c"),
        (made("a, b, a, b", "replace", "b", new="b"), "a, b, a, b"),
        (made("a, b", "replace", "b", new=""), "a"),
        (made("blue eyes, b", "replace", r"/(\w+) eyes/", new=r"eyes \1"), "eyes blue, b"),
        (made("c, a, b, B", "sort"), "a, b, B, c"),
        (made("c, a, b", "sort", by="count"), "b, c, a"),
        (made("x, c, a, 2girls, solo", "sort", by="people", keep=1), "x, 2girls, solo, c, a"),
        (made("a, A, a_b, a b", "dedupe"), "a, a_b"),
    ],
)
def test_verbs(before: str, after: str) -> None:
    assert before == after


def test_tags_are_opaque() -> None:
    for tag in (":d", ";)", "^_^", r"\o/", "(o)_(o)", "?!", "mira (series)", "🏳️‍🌈", "銀\u3000髪", "'", '"'):
        assert clean(tag) == [tag]
        assert made("a", "add", tag) == f"a, {tag}"
        assert made(f"a, {tag}", "remove", tag) == "a"
        assert key_of(escaped(tag)) == key_of(tag)
    assert key_of("^_^") != key_of("^ ^")
    assert clean("a\nb,\x1b[31m ,") == ["a b", "[31m"]


@pytest.mark.parametrize("pattern", ["/(/", "/" + "a" * 400 + "/"])
def test_a_broken_pattern_is_told(pattern: str) -> None:
    with pytest.raises(EngineError) as caught:
        verb(TagOp(verb="remove", tags=[pattern]))(["a"])
    assert caught.value.info.code == "filter_regex"


def test_a_journal_is_read_as_what_remains_of_it() -> None:
    lines = [
        '{"token":"1","t":1,"edit":1,"op":{"verb":"add","tags":["a"]},"count":1,"rows":[["x",0,0,"","a",1,2]]}',
        '{"token":"4","t":1,"edit":4,"op":{"verb":"tag","tags":["demo"]},"count":1}',
        '{"token":"2","t":1,"edit":2,"op":{"verb":"add","tags":["b"]},"count":1}',
        '{"token":"3","t":1,"undo":2}',
        '{"verb":"remove","tags":["c"]}',
        "",
    ]
    assert [(op.verb, op.tags) for op in ops_of(lines)] == [("add", ["a"]), ("remove", ["c"])]
    with pytest.raises(EngineError):
        ops_of(['{"verb":"paint"}'])


# -- vocabulary -----------------------------------------------------------------------------------------------


def test_ranking(tmp_path: Path) -> None:
    path = tmp_path / "danbooru.csv"
    path.write_text(
        '1girl,0,6000000,"sole_female,1girls"\nlong_hair,0,4000000,"/lh,longhair"\nvery_long_hair,0,900000,\n'
        'long_sleeves,0,1500000,\nalong,0,10,\n^_^,0,60000,\nparallel_speed_lines,0,50,\nmira_(series),3,77,""\n'
    )
    words = Vocabulary(read_csv(path))

    def found(typed: str, limit: int = 5) -> list[str]:
        return [word.tag for word, _rank in words.find(typed, limit)]

    assert found("long") == ["long hair", "long sleeves", "very long hair", "along"]
    assert found("longhair")[0] == "long hair"
    assert found("LONG_H") == ["long hair", "very long hair"]
    assert found("sole") == ["1girl"]
    assert found("eed lin") == ["parallel speed lines"]
    assert found("series") == ["mira (series)"]
    assert found("^_") == ["^_^"]
    assert found("lnog hair") == ["long hair"]
    assert found("qqqqqq") == found("") == []
    with pytest.raises(EngineError):
        read_csv(tmp_path / "none.csv")


def test_a_large_vocabulary_finds_what_a_plain_search_finds() -> None:
    dice = random.Random(4)
    parts = ["hair", "long", "eyes", "blue", "hat", "chair", "longing", "h"]
    tags = sorted({" ".join(dice.sample(parts, dice.randrange(1, 4))) for _ in range(300)})
    words = Vocabulary((Word(tag, dice.randrange(1000), ""), ()) for tag in tags)
    for typed in ("h", "ha", "hair", "long h", "lue", "air c", "s b"):
        found = {word.tag for word, _rank in words.find(typed, 1000)}
        assert found == {tag for tag in tags if typed in tag}


# -- binding --------------------------------------------------------------------------------------------------


def test_binding_takes_traits_away_and_gives_them_back(tmp_path: Path) -> None:
    texts = [
        "mira, silver hair, smile, hat",
        "mira, silver hair, blue eyes",
        "mira, blue eyes, silver hair, hat",
        "other, silver hair",
    ]
    images = []
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text)
        images.append(ImageFile(name=f"{number}.png", path=tmp_path / f"{number}.png", caption=text))
    dataset = Dataset(path=tmp_path, images=tuple(images))
    found = traits(dataset, "mira")
    assert [(row.tag, row.count, row.proposed) for row in found.traits] == [
        ("silver hair", 3, "bind"),
        ("blue eyes", 2, "bind"),
        ("hat", 2, ""),
        ("smile", 1, "keep"),
    ]

    def bind(dataset: Dataset, verdicts: dict[str, Verdict]) -> Dataset:
        planned = bind_plan(dataset, "mira", verdicts)
        done = carry_out(dataset, planned)
        remember(tmp_path, "mira", verdicts, planned, set(done.captions))
        return with_captions(dataset, done.captions)

    dataset = bind(dataset, {"silver hair": "bind", "blue eyes": "bind", "hat": "keep"})
    assert [path.read_text() for path in sorted(tmp_path.glob("*.txt"))] == [
        "mira, smile, hat",
        "mira",
        "mira, hat",
        "other, silver hair",
    ]
    again = traits(dataset, "mira")
    assert [(row.tag, row.count, row.verdict) for row in again.traits][:3] == [
        ("silver hair", 3, "bind"),
        ("blue eyes", 2, "bind"),
        ("hat", 2, "keep"),
    ]
    dataset = bind(dataset, {"blue eyes": "bind"})
    dataset = bind(dataset, {})
    assert [image.caption for image in dataset.images] == texts
