"""The Params section: every parameter can be found, changed, refused, reset; the figures are the engine's."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from engine.protocol.errors import EngineError, describe
from engine.protocol.estimates import Estimate
from engine.protocol.fields import build as fields_build
from engine.protocol.fields import fields
from engine.protocol.notices import Setting, notices_of
from engine.protocol.params import BakeParams
from lorabake_tui.client import ClientError
from lorabake_tui.draft import Draft
from lorabake_tui.screens.params_find import find
from lorabake_tui.screens.params_text import TOP, concerns_of, entries, figures, help_of, written
from lorabake_tui.widgets.form import Form
from lorabake_tui.widgets.page import Text as Words

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
    assert find(name)[0] == name
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


async def test_a_first_bake_takes_fewer_than_twelve_keys(
    app: App, sample_dataset: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an opened dataset: the section, another theme and base by their lists, more epochs, the start."""
    async with app(section="dataset", dataset=sample_dataset) as pilot:
        asked: list[Any] = []
        call = pilot.app.engine.call

        async def watched(method: str, params: Any = None) -> Any:
            if method != "runs.submit":
                return await call(method, params)
            asked.append(params)
            raise ClientError(describe("dataset_missing", path="x"))  # nothing is baked here

        monkeypatch.setattr(pilot.app.engine, "call", watched)
        keys = 0

        async def press(*names: str) -> None:
            nonlocal keys
            keys += len(names)
            await pilot.press(*names)

        await press("3")
        await until(pilot, lambda: pilot.app.current_mode == "params" and pilot.app.screen.query(Form))
        assert _form(pilot).current == "dataset"
        await press("j", "j", "j", "l")  # the theme after the first
        await until(pilot, lambda: pilot.app.draft.preset == "anime.sd15")
        await _settled(pilot, until)
        await press("j", "j", "j", "l")  # past the name and the repeat: one epoch more
        before = pilot.app.draft.reference.epochs
        assert pilot.app.draft.edits == {"epochs": before + 1}
        await press("s")
        await until(pilot, lambda: asked)
        assert keys < 12
        assert (asked[0].preset, asked[0].params["epochs"]) == ("anime.sd15", before + 1)


async def _settled(pilot: Any, until: Until) -> None:
    """The preset's repeat for these images has come."""
    await until(pilot, lambda: pilot.app.draft.values().get("repeat"))


async def test_own_presets_recipes_the_editor_and_rates(
    app: App, sample_dataset: Path, until: Until, screen_text: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One visit: each of them leaves the draft as it says."""
    file = tmp_path / "kohya.json"
    file.write_text('{"LoRA_type": "Standard", "network_dim": 24, "epoch": 7, "weighted_captions": true, "v2": false}')
    async with app(section="params", dataset=sample_dataset, size=(120, 36)) as pilot:
        draft, catalogue = pilot.app.draft, pilot.app.catalogue

        draft.set("network_dim", 48)
        await pilot.press("w")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        await pilot.press(*"mine", "enter")
        await until(pilot, lambda: draft.preset == "mine" and not draft.edits)
        assert draft.value("network_dim") == 48
        assert [row.name for row in catalogue.presets if row.own] == ["mine"]

        await pilot.press("i")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        pilot.app.screen.query_one(Input).value = str(file)
        await pilot.press("enter")
        await until(pilot, lambda: "Refused" in screen_text(pilot.app))
        assert "weighted_captions" in screen_text(pilot.app)
        await pilot.press("escape")
        assert (draft.value("network_dim"), draft.value("epochs")) == (24, 7)
        await pilot.press("d")
        await until(pilot, lambda: "You changed, from the preset" in screen_text(pilot.app))
        await pilot.press("escape")

        out = tmp_path / "out.toml"
        for _time in range(2):  # the second time it is there already, and asked about
            await pilot.press("W")
            await until(pilot, lambda: pilot.app.screen.query(Input))
            pilot.app.screen.query_one(Input).value = str(out)
            await pilot.press("enter")
            await until(
                pilot, lambda: "Written for" in screen_text(pilot.app) or "Write over it" in screen_text(pilot.app)
            )
            if "Write over it" in screen_text(pilot.app):
                await pilot.press("y")
                await until(pilot, lambda: "Written for" in screen_text(pilot.app))
            assert "network_dim = 24" in out.read_text()
            out.write_text("# an older one\n")
            await pilot.press("escape")
            await until(pilot, lambda: not pilot.app.screen.is_modal)

        def edited(_app: Any, text: str, *, suffix: str) -> str:
            assert "network_dim = 24" in text
            return text.replace("network_dim = 24", "network_dim = 20").replace("epochs = 7\n", "\n")

        monkeypatch.setattr("lorabake_tui.editor.edit_text", edited)
        await pilot.press("E")
        assert draft.value("network_dim") == 20
        assert "epochs" not in draft.edits, "a line that was taken out gives the preset's value back"
        monkeypatch.setattr("lorabake_tui.editor.edit_text", lambda *_, **__: "network_dim = 0")
        await pilot.press("E")
        assert draft.value("network_dim") == 20, "nothing of a text with a mistake is taken"

        await pilot.press("dollar_sign")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        await pilot.press(*"EUR", "down", *"3600", "enter")
        await until(pilot, lambda: re.search(r"Cost +[\d.]+ EUR", screen_text(pilot.app)))
        pilot.app.screen.estimate = Estimate(images=1, fits=False, relief={"batch_size": 2})
        await pilot.press("f")
        assert draft.value("batch_size") == 2

        draft.preset, draft.base = "style.sd15", "pony-v6"
        catalogue.suit()
        assert draft.preset == "style.pony"
        assert {row.line for row in catalogue.fitting()} == {"", "pony"}
        draft.base = "animagine-xl"
        catalogue.suit()
        assert draft.preset == "style.sdxl"
        assert any("faipl-1.0-sd" in str(block) for block in help_of("base", draft, "", catalogue.base))


async def test_mounted_ahead_it_is_the_same_section(
    app: App, sample_dataset: Path, until: Until, screen_text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app(section="dataset", dataset=sample_dataset) as pilot:
        asked: list[str] = []
        call = pilot.app.engine.call

        async def heard(method: str, params: Any = None) -> Any:
            asked.append(method)
            return await call(method, params)

        monkeypatch.setattr(pilot.app.engine, "call", heard)
        await pilot.app.ahead.open()
        assert pilot.app.is_open("params")
        assert pilot.app.current_mode == "dataset"
        pilot.app.changed.publish(None)
        await pilot.pause()
        assert "estimate" not in asked, "nobody looks at the figures yet"
        await pilot.press("3")
        await until(pilot, lambda: re.search(r"Image views +\d", screen_text(pilot.app)))
        assert _form(pilot).rows.has_focus
        await pilot.press("j")
        assert _form(pilot).current == "reg"


def test_a_sentence_stands_at_the_fields_it_is_about() -> None:
    draft = Draft()
    for name, value in {"min_timestep": 999, "max_timestep": 900, "noise_offset": 0.3}.items():
        draft.set(name, value)
    draft.pro = True
    notices = notices_of(fields_build(draft.values()), Setting(family="sd15"))
    concerns = concerns_of(notices)
    rows = {entry.key: entry for entry in entries(draft, "x", None, None, concerns)}
    assert {name for name, row in rows.items() if row.wrong} == {"min_timestep", "max_timestep"}
    assert {name for name, row in rows.items() if row.warned} == set(concerns) == {*draft.edits}
    assert any(
        "✗" in block.text for block in help_of("max_timestep", draft, concerns=concerns) if isinstance(block, Words)
    )
    told = [block.text for block in figures(Estimate(images=1, notices=notices)) if isinstance(block, Words)]
    assert next(text for text in told if text)[0] == "✗", "what refuses the bake comes first"


def test_what_does_not_fit_is_told_with_what_would() -> None:
    told = [
        block.text
        for block in figures(Estimate(images=1, fits=False, relief={"batch_size": 2}))
        if isinstance(block, Words)
    ]
    assert any("does not fit" in text for text in told)
    assert any("batch_size = 2" in text for text in told)
