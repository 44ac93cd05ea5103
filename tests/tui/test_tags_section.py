"""The Tags section: counts are the captions', and every key edits what it says, to be taken back by one other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from engine.protocol.records import ImageRow
from lorabake_tui.screens.tags_text import bar
from lorabake_tui.store.tagbox import ops_of
from lorabake_tui.widgets.rows import RowList

App = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[..., Awaitable[Any]]
Text = Callable[[Any], str]


def _captions(folder: Path) -> dict[str, list[str]]:
    return {
        path.stem: [tag.strip() for tag in path.read_text(encoding="utf-8").split(",")]
        for path in sorted(folder.glob("*.txt"))
    }


def _counts(folder: Path) -> Counter[str]:
    return Counter(tag for tags in _captions(folder).values() for tag in set(tags))


async def _opened(pilot: Any, until: Until) -> RowList:
    await pilot.press("2")
    await until(pilot, lambda: pilot.app.current_mode == "tags" and pilot.app.screen.query("#tag-list"))
    rows: RowList = pilot.app.screen.query_one("#tag-list", RowList)
    await until(pilot, lambda: len(rows.shown))
    return rows


async def test_the_sheet(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    counts = _counts(sample_dataset)
    async with app(dataset=sample_dataset) as pilot:
        rows = await _opened(pilot, until)
        section = pilot.app.screen
        assert {row.tag: row.count for row in section._table.tags} == counts
        assert screen_text(pilot.app).splitlines()[3].split()[1:3] == ["▌mira", str(counts["mira"])]

        await pilot.press("slash", *"hair", "enter")
        assert len(rows.shown) == sum("hair" in tag for tag in counts)
        assert "fit “hair”" in screen_text(pilot.app)
        await pilot.press("escape", "s")
        names = [section._table.tags[n].tag for n in rows.shown]
        assert names == sorted(names, key=str.lower)
        await pilot.press("s")
        assert section._table.tags[rows.shown[0]].tag == "mira"

        await pilot.press("f", *"tag:smi")
        await until(pilot, lambda: "⇥ smile" in screen_text(pilot.app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(section.shown) == counts["smile"])
        await until(pilot, lambda: section._table.images == counts["smile"])
        await pilot.press("f", *" (")
        await until(pilot, lambda: "does not belong" in screen_text(pilot.app))
        assert len(section.shown) == counts["smile"]
        assert section._where.strip() == "tag:smile"  # edits act on what is shown
        await pilot.press("escape")
        await until(pilot, lambda: section._table.images == len(pilot.app.opened.rows))

        await pilot.press("j", "i")
        tag = section._table.tags[rows.current]
        await until(pilot, lambda: pilot.app.current_mode == "dataset")
        images = pilot.app.screen.query_one("#image-list", RowList)
        await until(pilot, lambda: len(images.shown) == tag.count)
        assert all(tag.tag in (pilot.app.opened.rows[n].caption or "") for n in images.shown)


async def test_captions_changed_behind_it(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    """An edit on what another program has just written is done to that; what is read again is shown."""
    async with app(dataset=sample_dataset) as pilot:
        rows = await _opened(pilot, until)
        section = pilot.app.screen
        for path in sample_dataset.glob("*.txt"):
            path.write_text("brought, by another", encoding="utf-8")
        await pilot.press("t", *"first", "enter")
        await until(pilot, lambda: {row.tag for row in section._table.tags} == {"first", "brought", "by another"})
        assert set(map(tuple, _captions(sample_dataset).values())) == {("first", "brought", "by another"), ("first",)}
        for path in sample_dataset.glob("*.txt"):
            path.write_text("again", encoding="utf-8")
        pilot.app.reload_dataset()
        await until(pilot, lambda: [row.tag for row in section._table.tags] == ["again"])
        assert len(rows.shown) == 1


async def test_the_tag_box_from_image_to_image(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    before = _captions(sample_dataset)
    async with app(dataset=sample_dataset) as pilot:
        await _opened(pilot, until)

        def tags(name: str) -> list[str]:
            return _captions(sample_dataset)[name]

        await pilot.press("tab", "a", *"freckles")
        await until(pilot, lambda: "adds to 1" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: tags("00") == [*before["00"], "freckles"])
        await pilot.press(*"frecc")
        await pilot.press("backspace")
        await until(pilot, lambda: pilot.app.screen._offers is not None)
        await pilot.press("tab")
        assert pilot.app.screen._box.text == "freckles"
        await until(pilot, lambda: "takes off 1" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: tags("00") == before["00"])
        await pilot.press("pagedown", *"mira>Mira, ;)@1", "enter")
        await until(pilot, lambda: tags("01") == [";)", "Mira", *before["01"][1:]])
        await pilot.press(*"-;)", "enter")
        await until(pilot, lambda: tags("01") == ["Mira", *before["01"][1:]])
        await pilot.press("enter")
        assert not pilot.app.screen._box.asking
        await pilot.press("j", "full_stop")
        assert tags("02") == before["02"]
        await pilot.press("u", "u", "u")
        await until(pilot, lambda: tags("01") == before["01"])
        await pilot.press("U")
        await until(pilot, lambda: "Mira" in tags("01"))


async def test_marks_table_order_trigger(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    before = _captions(sample_dataset)
    async with app(dataset=sample_dataset, section="tags") as pilot:
        rows = await _opened(pilot, until)
        section = pilot.app.screen

        def tags() -> dict[str, list[str]]:
            return _captions(sample_dataset)

        await pilot.press("tab", "space", "space", "shift+tab")
        assert "2 marked" in screen_text(pilot.app)
        await pilot.press("slash", *"straw", "enter")
        some = sum("straw hat" in before[name] for name in ("00", "01"))
        assert f"{some}/2" in screen_text(pilot.app)
        await pilot.press("space")
        await until(pilot, lambda: ("straw hat" in tags()["00"]) == (some < 2) == ("straw hat" in tags()["01"]))
        await pilot.press("u", "d")
        await until(pilot, lambda: "straw hat" not in _counts(sample_dataset))
        await pilot.press("u")
        await until(pilot, lambda: tags() == before)
        await pilot.press("escape", "g", "r")
        assert section._renaming[0] == "mira"
        await pilot.press("end", *" new", "enter")
        await until(pilot, lambda: all(found[0] == "mira new" for found in tags().values()))
        await pilot.press("u", "escape", "tab", "tab")
        await until(pilot, lambda: section._own[0] == "mira")
        await pilot.press("J")
        await until(pilot, lambda: tags()["02"][:2] == [before["02"][1], "mira"])
        await until(pilot, lambda: section._own[:2] == [before["02"][1], "mira"])
        await pilot.press("t", *"trigger", "enter")
        await until(pilot, lambda: all(found[0] == "trigger" for found in tags().values()))
        assert len(tags()) == len(pilot.app.opened.rows)
        await until(pilot, lambda: "trigger" in [section._table.tags[n].tag for n in rows.shown])


async def test_review_and_binding(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    before = _captions(sample_dataset)
    async with app(dataset=sample_dataset, section="tags") as pilot:
        await _opened(pilot, until)

        def tags() -> dict[str, list[str]]:
            return _captions(sample_dataset)

        await pilot.press("slash", *"smile", "enter", "v")
        await until(pilot, lambda: "in the caption" in screen_text(pilot.app))
        review = pilot.app.screen
        first = Path(review._review.rows[0].file).stem
        await pilot.press("n")
        await until(pilot, lambda: "smile" not in tags()[first])
        await pilot.press("y", "u", "u")
        await until(pilot, lambda: tags() == before and review._place == 0)
        await pilot.press("y", "n")
        await until(pilot, lambda: "2 / " in screen_text(pilot.app))
        await pilot.press("escape", "v")
        await until(pilot, lambda: getattr(pilot.app.screen, "_review", None) and "2 / " in screen_text(pilot.app))
        assert sum(row.judged for row in pilot.app.screen._review.rows) == 2
        await pilot.press("escape", "u", "escape")
        await until(pilot, lambda: tags() == before)

        await pilot.press("g", "b")
        await until(pilot, lambda: "changes 0 captions" in screen_text(pilot.app))
        box = pilot.app.screen
        bound = box._traits.traits[0].tag
        await pilot.press("space")
        await until(pilot, lambda: "changes 0 captions" not in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: bound not in _counts(sample_dataset))
        await pilot.press("u")
        await until(pilot, lambda: tags() == before)


async def test_pins_macros_bookmarks(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    before = _captions(sample_dataset)
    async with app(dataset=sample_dataset, section="tags") as pilot:
        await _opened(pilot, until)
        section = pilot.app.screen

        def tags(name: str) -> list[str]:
            return _captions(sample_dataset)[name]

        names = [Path(row.name).stem for row in pilot.app.opened.rows]
        await pilot.press("slash", *"smile", "enter", "P", "tab")
        await until(pilot, lambda: "1 ■ smile" in screen_text(pilot.app) or "1 □ smile" in screen_text(pilot.app))
        had = "smile" in before[names[0]]
        await pilot.press("1")
        await until(pilot, lambda: ("smile" in tags(names[0])) != had)
        assert pilot.app.current_mode == "tags"

        await pilot.press("q", "w", "a", *"first, second@1", "enter", "escape", "q", "M", "x")
        await until(pilot, lambda: tags(names[0])[0] == "second" and section._desk.macros.get("w"))
        await pilot.press("j", "at", "w")
        await until(pilot, lambda: tags(names[1])[0] == "second" and tags(names[1])[-1] == "first")
        await pilot.press("apostrophe", "x")
        await until(pilot, lambda: section.image.name == pilot.app.opened.rows[0].name)
        await pilot.press("apostrophe", "y")
        await until(pilot, lambda: "No image shown has the bookmark y" in screen_text(pilot.app))
        await pilot.press("f3")
        assert pilot.app.current_mode == "tags"
        await pilot.press("4")
        await until(pilot, lambda: pilot.app.current_mode == "queue")
    async with app(dataset=sample_dataset, section="tags") as pilot:
        await _opened(pilot, until)
        await until(pilot, lambda: "smile" in pilot.app.screen._desk.pins)
        assert set(pilot.app.screen._desk.macros) == {"w"}


async def test_reviews_of_images(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    import shutil

    shutil.copy(sample_dataset / "00.png", sample_dataset / "zz.png")
    before = len(list(sample_dataset.glob("*.png")))
    async with app(dataset=sample_dataset, section="tags") as pilot:
        await _opened(pilot, until)
        await pilot.press("D")
        await until(pilot, lambda: "00.png" in screen_text(pilot.app) and "zz.png" in screen_text(pilot.app))
        assert "zz.png" in screen_text(pilot.app).split("  |  ")[0]
        await pilot.press("s", "s", "n")
        await until(pilot, lambda: "1 rejected" in screen_text(pilot.app))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen.query("#tag-list"))
        await pilot.press("D")
        await until(pilot, lambda: "1 rejected" in screen_text(pilot.app))
        assert (sample_dataset / "zz.png").exists()
        await pilot.press("enter")
        await until(pilot, lambda: not (sample_dataset / "zz.png").exists())
        await until(pilot, lambda: len(pilot.app.opened.rows) == before - 1)
        await pilot.press("V")
        await until(pilot, lambda: f"0 / {before - 1}" in screen_text(pilot.app))
        await pilot.press("y", "n", "u", "y", "enter")
        await until(pilot, lambda: pilot.app.screen.query("#tag-list"))
        await pilot.press("V")
        await until(pilot, lambda: f"2 / {before - 1}" in screen_text(pilot.app))
    assert len(list(sample_dataset.glob("*.png"))) == before - 1


async def test_the_tags_of_a_selection(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    """On all, some or none: what is chosen is one edit. A tagger's tag is kept as one's own."""
    from engine.dataset.tag_sources import read_sources

    before = _captions(sample_dataset)
    first, second = sorted(before)[:2]
    here = {tag for name in (first, second) for tag in before[name]}
    some = next(tag for tag in sorted(here) if (tag in before[first]) != (tag in before[second]))
    async with app(dataset=sample_dataset) as pilot:
        await _opened(pilot, until)
        await pilot.press("tab", "space", "space", "S")
        await until(pilot, lambda: "2 marked" in screen_text(pilot.app))
        box = pilot.app.screen
        for number, tag in enumerate(box._tags):
            place = number if tag in ("mira", some) else None
            if place is not None:
                box.query_one(RowList).go_to(place)
                await pilot.press("space")
        await pilot.press("n", *"brand new", "enter")
        await until(pilot, lambda: "2 tags come to all · 1 tag leaves all" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: "mira" not in _captions(sample_dataset)[first])
        now = _captions(sample_dataset)
        assert all({"brand new", some} <= set(now[name]) and "mira" not in now[name] for name in (first, second))
        assert {name: tags for name, tags in now.items() if name not in (first, second)} == {
            name: tags for name, tags in before.items() if name not in (first, second)
        }
        await pilot.press("u")
        await until(pilot, lambda: _captions(sample_dataset) == before)
        section = pilot.app.screen
        await pilot.press("tab")
        await until(pilot, lambda: section.tag_under_cursor() in before[section.image.name.removesuffix(".png")])
        tag, image = section.tag_under_cursor(), section.image.name
        await pilot.press("o")
        await until(pilot, lambda: "yours on 1 image" in screen_text(pilot.app))
        assert read_sources(sample_dataset).images.get(image, {}).get(tag, "manual") == "manual"


async def test_rules(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    (sample_dataset / "00.txt").write_text("mira, hat, straw hat, blue dress, dress, seldom", encoding="utf-8")
    before = _captions(sample_dataset)
    async with app(dataset=sample_dataset, section="tags") as pilot:
        await _opened(pilot, until)
        await pilot.press("R")
        await until(pilot, lambda: "hat  beside straw hat" in screen_text(pilot.app))
        await pilot.press("n", *"seldom>often", "enter")
        await until(pilot, lambda: "seldom → often" in screen_text(pilot.app))
        await until(pilot, lambda: "+ mira, straw hat, blue dress, dress, often" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(
            pilot, lambda: _captions(sample_dataset)["00"] == ["mira", "straw hat", "blue dress", "dress", "often"]
        )
        await pilot.press("u")
        await until(pilot, lambda: _captions(sample_dataset) == before)
        await pilot.press("R")
        await until(pilot, lambda: "seldom → often" in screen_text(pilot.app))
        await pilot.press("d", "escape")


async def test_empty_states(app: App, tmp_path: Path, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    async with app(section="tags") as pilot:
        assert "No dataset is open." in screen_text(pilot.app)
        await pilot.press("i", "s", "slash", "escape", "enter", "a", "d", "full_stop", "v")
        await pilot.pause()
        assert "No dataset is open." in screen_text(pilot.app)
        section = pilot.app.screen
        await pilot.press("1")
        pilot.app.open_dataset(str(sample_dataset))
        await until(pilot, lambda: pilot.app.opened.complete)
        await pilot.press("2")
        await until(pilot, lambda: section.is_current and section._known)  # what came behind it is asked about
    from PIL import Image

    folder = tmp_path / "bare"
    folder.mkdir()
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    async with app(section="tags", dataset=folder) as pilot:
        await until(pilot, lambda: "No image of this dataset has a tag." in screen_text(pilot.app))
        await pilot.press("A", *"first", "enter")
        await until(pilot, lambda: (folder / "a.txt").exists())
        assert (folder / "a.txt").read_text() == "first"


def test_what_is_typed_is_understood() -> None:
    rows = [ImageRow(name="a", caption="long hair, -_-, x"), ImageRow(name="b", caption="long_hair, mira (x)\nx")]

    def told(typed: str) -> list[tuple[str, list[str], str, int]]:
        return [(op.verb, op.tags, op.new, op.at) for op in ops_of(typed, rows)]

    assert told("smile") == [("add", ["smile"], "", 0)]
    assert told("Long Hair") == [("remove", ["Long Hair"], "", 0)]
    assert told("x") == [("add", ["x"], "", 0)]
    assert told("-x, , a>b c, y@2, y@-1") == [
        ("remove", ["x"], "", 0),
        ("replace", ["a"], "b c", 0),
        ("add", ["y"], "", 2),
        ("add", ["y"], "", -1),
    ]
    assert told("-_-, >_<, @_@, >:(, mira (x)") == [
        ("add", ["-_-"], "", 0),
        ("add", [">_<"], "", 0),
        ("add", ["@_@"], "", 0),
        ("add", [">:("], "", 0),
        ("add", ["mira (x)"], "", 0),
    ]


def test_bar_is_as_long_as_the_share() -> None:
    assert bar(0, 8) == ""
    assert bar(1, 8) == "█" * 8
    assert bar(0.5, 8) == "████"
    assert bar(0.51, 8) == "████▏"
    assert bar(7, 4) == "████"
