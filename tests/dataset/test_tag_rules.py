"""Rules over tags: what each takes out or writes otherwise, and that nothing goes which no rule concerns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.dataset.scan import ImageFile
from engine.dataset.tag_edit import plan
from engine.dataset.tag_rules import Ruler, implied_by, keep_rules, own_rules, rows_of, shortened, spelt_out
from engine.protocol.errors import EngineError
from engine.protocol.tags import TagOp, TagRule


def ruled(tags: str, *rules: TagRule, counts: Mapping[str, int] | None = None) -> str:
    return ", ".join(Ruler(rules, counts or {})("a.png", tags.split(", ")))


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (
            TagRule(kind="exclude", tags=["*background", "Signature"]),
            "solo, blue background, signature, ;)",
            "solo, ;)",
        ),
        (TagRule(kind="replace", tags=["grey hair"], new="silver hair"), "grey_hair, silver hair, x", "silver hair, x"),
        (TagRule(kind="replace", tags=["bad"], new="one, two"), "a, bad, two", "a, one, two"),
        (TagRule(kind="implied"), "long hair, very long hair, bow, elbow gloves", "very long hair, bow, elbow gloves"),
        (TagRule(kind="implied"), "hat, ring, earrings, no shirt, shirt", "hat, ring, earrings, no shirt, shirt"),
        (TagRule(kind="implied"), "headwear, hat, straw hat", "straw hat"),
        (TagRule(kind="implied", tags=["dress"], new="blue dress"), "dress, blue dress", "blue dress"),
        (TagRule(kind="implied", tags=["dress"], new="blue dress"), "dress, red dress", "dress, red dress"),
        (TagRule(kind="exclusive"), "1girl, blue eyes, red eyes, smile", "1girl, blue eyes, smile"),
        (TagRule(kind="exclusive"), "2girls, blue eyes, red eyes", "2girls, blue eyes, red eyes"),
        (TagRule(kind="exclusive"), "heterochromia, blue eyes, red eyes", "heterochromia, blue eyes, red eyes"),
        (TagRule(kind="exclusive", tags=["cat", "dog"]), "cat, dog, x", "cat, x"),
        (TagRule(kind="rare", below=3), "often, seldom, (o)_(o)", "often"),
    ],
)
def test_what_a_rule_does(rule: TagRule, before: str, after: str) -> None:
    counts = {"often": 5, "seldom": 2, "(o)_(o)": 1}
    assert ruled(before, rule, counts=counts) == after
    assert ruled(after, rule, counts=counts) == after


def test_the_surest_of_a_group_stays() -> None:
    said = {"red eyes": {"a.png": 0.9}, "blue eyes": {"a.png": 0.4, "b.png": 0.6}}
    ruler = Ruler([TagRule(kind="exclusive")], {}, lambda tag: said.get(tag, {}))
    assert ruler("a.png", ["blue eyes", "red eyes"]) == ["red eyes"]
    assert ruler("b.png", ["blue eyes", "red eyes"]) == ["blue eyes"]


def test_the_table_and_the_words_before_a_tag() -> None:
    assert implied_by("straw hat") == {"hat", "headwear"}
    assert implied_by("elbow gloves") == {"gloves"}
    assert shortened("very long hair") == {"long hair", "hair"}
    ruler = Ruler([TagRule(kind="suffix")], {})
    assert ruler("", ["blue dress", "dress", "sword", "holding sword"]) == ["blue dress", "sword", "holding sword"]
    assert shortened("holding sword") == set()
    assert shortened("no shirt") == set()
    assert shortened("blue") == set()


def test_rows_and_the_datasets_own(tmp_path: Path) -> None:
    captions = ["hat, straw hat, blue dress, dress", "hat, straw hat, once", "1girl, open mouth, closed mouth"]
    images = [
        ImageFile(name=f"{n}.png", path=tmp_path / f"{n}.png", caption=caption) for n, caption in enumerate(captions)
    ]
    own = [TagRule(kind="exclude", tags=["hat"]), TagRule(kind="rare", below=2)]
    keep_rules(tmp_path, own)
    assert own_rules(tmp_path) == own
    counts = {"hat": 2, "straw hat": 2, "once": 1, "dress": 1, "blue dress": 1}
    rows = rows_of(images, own_rules(tmp_path), counts, 2, None)
    told = [(row.rule.kind, row.rule.tags, row.rule.new, row.count, row.own, row.sure) for row in rows]
    assert told[:5] == [
        ("exclude", ["hat"], "", 2, True, True),
        ("rare", [], "", 2, True, True),
        ("implied", ["hat"], "straw hat", 2, False, True),
        ("implied", ["dress"], "blue dress", 1, False, False),
        ("exclusive", ["closed mouth", "open mouth"], "", 1, False, False),
    ]
    op = spelt_out(tmp_path, TagOp(verb="rules", rules=[TagRule(kind="own")]))
    assert op.rules == own
    changed = {image.name: caption for image, caption in plan(images, op, counts).changes}
    assert changed == {"0.png": "straw hat", "1.png": "straw hat"}


def test_rules_that_say_nothing_are_refused(tmp_path: Path) -> None:
    for rule, code in (
        (TagRule(kind="exclude"), "tags_missing"),
        (TagRule(kind="replace", new="x"), "tags_missing"),
        (TagRule(kind="rare"), "param_invalid"),
        (TagRule(kind="exclude", tags=["/(/"]), "filter_regex"),
    ):
        with pytest.raises(EngineError) as caught:
            Ruler([rule], {})
        assert caught.value.info.code == code
