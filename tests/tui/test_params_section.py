"""The Params section: every parameter can be found, changed, refused, reset; the figures are the engine's."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from engine.protocol.errors import EngineError
from engine.protocol.fields import fields
from engine.protocol.params import BakeParams
from lorabake_tui.draft import Draft
from lorabake_tui.screens.params import find
from lorabake_tui.screens.params_text import TOP, entries, help_of, written
from lorabake_tui.widgets.form import Form

App = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[..., Awaitable[Any]]
Text = Callable[[Any], str]


def _form(pilot: Any) -> Form:
    found: Form = pilot.app.screen.query_one(Form)
    return found


async def _on(pilot: Any, name: str) -> None:
    _form(pilot).go_to(name)
    await pilot.pause()
    assert _form(pilot).current == name


async def _write(pilot: Any, text: str) -> None:
    _form(pilot).query_one(Input).value = text
    await pilot.pause()


async def test_basic_shows_the_basic_ones_and_pro_all(app: App, sample_dataset: Path) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        shown = {entry.key for entry in _form(pilot)._entries if entry.key}
        assert shown == {*TOP, *(f.name for f in fields().values() if f.level == "basic")}
        await pilot.press("p")
        assert {entry.key for entry in _form(pilot)._entries if entry.key} == {*TOP, *fields()}


async def test_switching_modes_keeps_values_and_says_so(app: App, sample_dataset: Path, screen_text: Text) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        await pilot.press("p")
        await _on(pilot, "network_dim")
        await pilot.press("enter")
        await _write(pilot, "24")
        await pilot.press("enter", "p")
        assert "1 pro value set" in screen_text(pilot.app)
        await pilot.press("p")
        assert pilot.app.draft.value("network_dim") == 24


async def test_wrong_values_are_told_while_typing_and_not_taken(
    app: App, sample_dataset: Path, screen_text: Text
) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        await _on(pilot, "epochs")
        before = pilot.app.draft.value("epochs")
        for text in ("0", "ten", "1.5", "", "99999999"):
            await pilot.press("enter")
            await _write(pilot, text)
            assert "✗" in screen_text(pilot.app)
            await pilot.press("enter")
            assert _form(pilot).editing
            await pilot.press("escape")
            assert not _form(pilot).editing
            assert "✗" not in screen_text(pilot.app)
        assert pilot.app.draft.value("epochs") == before


async def test_choices_switches_and_whole_numbers_step(app: App, sample_dataset: Path) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        draft = pilot.app.draft
        await pilot.press("p")
        await _on(pilot, "shuffle_caption")
        before = draft.value("shuffle_caption")
        await pilot.press("space")
        assert draft.value("shuffle_caption") is not before
        await _on(pilot, "lr_scheduler")
        start = draft.value("lr_scheduler")
        await pilot.press("l")
        assert draft.value("lr_scheduler") != start
        await pilot.press("h")
        assert draft.value("lr_scheduler") == start
        await _on(pilot, "resolution")
        size = draft.value("resolution")
        await pilot.press("right")
        assert draft.value("resolution") == size + 8
        await _on(pilot, "optimizer")
        seen = [draft.value("optimizer")]
        for _ in range(4):
            await pilot.press("l")
            seen.append(draft.value("optimizer"))
        assert seen == ["AdamW", "AdamW8bit", "Lion", "Prodigy", "Adafactor"]


async def test_choice_popup(app: App, sample_dataset: Path, until: Until) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        await pilot.press("p")
        await _on(pilot, "preview_sampler")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        await pilot.press("G", "enter")
        await until(pilot, lambda: not pilot.app.screen.is_modal)
        assert pilot.app.draft.value("preview_sampler") == fields()["preview_sampler"].choices[-1]


async def test_changed_is_marked_and_reset(app: App, sample_dataset: Path, screen_text: Text) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        await _on(pilot, "repeat")
        before = pilot.app.draft.value("repeat")
        await pilot.press("l")
        assert pilot.app.draft.edits == {"repeat": before + 1}
        assert "1 changed" in screen_text(pilot.app)
        assert f"The preset says {before}." in screen_text(pilot.app)
        await pilot.press("backspace")
        assert not pilot.app.draft.edits
        assert "changed" not in screen_text(pilot.app)


async def test_find_by_any_name(app: App, sample_dataset: Path) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        await pilot.press("slash", *"num_repeats", "enter")
        assert _form(pilot).current == "repeat"
        assert not pilot.app.draft.pro
        await pilot.press("slash", *"mixed_precision", "enter")
        assert _form(pilot).current == "precision"
        assert pilot.app.draft.pro


async def test_figures_follow_the_form(app: App, sample_dataset: Path, screen_text: Text, until: Until) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        draft = pilot.app.draft
        draft.set("repeat", 3)
        draft.set("epochs", 2)
        draft.set("batch_size", 1)
        pilot.app.screen._show()
        # 14 readable images × 3 × 2
        await until(pilot, lambda: re.search(r"Image views +84 ", screen_text(pilot.app)))
        await _on(pilot, "epochs")
        await pilot.press("l")
        await until(pilot, lambda: "126" in screen_text(pilot.app))


async def test_an_unusable_base_is_told_beside_the_form(
    app: App, sample_dataset: Path, screen_text: Text, until: Until, tmp_path: Path
) -> None:
    async with app(section="params", size=(120, 36), dataset=sample_dataset) as pilot:
        pilot.app.draft.base = str(tmp_path / "nothing")
        pilot.app.stand()
        await pilot.press("s")
        await until(pilot, lambda: "is not a base model" in screen_text(pilot.app) or "✗" in screen_text(pilot.app))
        assert pilot.app.current_mode == "params"
        assert not pilot.app.runs


async def test_preset_change_keeps_edits(app: App, sample_dataset: Path, until: Until) -> None:
    async with app(section="params", dataset=sample_dataset) as pilot:
        draft = pilot.app.draft
        draft.set("network_dim", 77)
        first = draft.preset
        await _on(pilot, "preset")
        await pilot.press("l")
        await until(pilot, lambda: draft.preset != first and draft.reference != BakeParams())
        assert draft.value("network_dim") == 77


@pytest.mark.parametrize("name", list(fields()))
def test_every_parameter_has_row_help_and_names(name: str) -> None:
    draft = Draft()
    draft.pro = True
    assert name in {entry.key for entry in entries(draft, "x", None, None)}
    assert len(help_of(name, draft)) >= 2
    field = fields()[name]
    assert name in find(name)
    assert name in find(field.title)
    assert name in find(field.kohya)


@pytest.mark.parametrize("name", list(fields()))
def test_what_the_form_writes_is_read_back(name: str) -> None:
    draft = Draft()
    draft.write(name, written(draft.value(name)))
    assert draft.values() == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "1e-4"),
        (5e-5, "5e-5"),
        (1.5e-3, "0.0015"),
        (7.5e-4, "7.5e-4"),
        (0.0, "0"),
        (8.0, "8"),
        (0.05, "0.05"),
        (-2e-4, "-2e-4"),
    ],
)
def test_numbers_as_people_write_them(value: float, text: str) -> None:
    assert written(value) == text


def test_a_value_that_is_the_presets_is_no_edit() -> None:
    draft = Draft()
    draft.use_preset("p", {"network_dim": 32})
    draft.set("network_dim", 16)
    draft.set("epochs", 3)
    assert draft.values() == {"network_dim": 16, "epochs": 3}
    draft.use_preset("q", {"network_dim": 16})
    assert draft.edits == {"epochs": 3}
    with pytest.raises(EngineError):
        draft.set("network_dim", -1)
    assert draft.submit("/d").params == {"network_dim": 16, "epochs": 3}
