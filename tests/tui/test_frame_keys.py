"""The table of actions holds together: every key has one meaning and a handler, every word a translation."""

from __future__ import annotations

import importlib
from collections import Counter

import pytest

from lorabake_tui import i18n, keys, palette
from lorabake_tui.app import _CLASSES, LoRABake
from lorabake_tui.dialogs.box import Box
from lorabake_tui.dialogs.confirm import Confirm
from lorabake_tui.dialogs.help import HelpBox, guide, key_help
from lorabake_tui.widgets.rows import RowList
from lorabake_tui.widgets.status import fitting

SECTIONS = [name for name, _title in keys.SECTIONS]
OWNERS = {"app": LoRABake, "list": RowList, "dialog": Box, "confirm": Confirm, "help": HelpBox}
ACTIONS = [action for actions in keys.TABLE.values() for action in actions]


def _owner(name: str) -> type:
    if name in OWNERS:
        return OWNERS[name]
    module = importlib.import_module(f"lorabake_tui.screens.{name}")
    found: type = getattr(module, _CLASSES[name])
    return found


@pytest.mark.parametrize("action", [a for a in ACTIONS if a.section in (*OWNERS, *SECTIONS)], ids=lambda a: a.id)
def test_action_has_handler(action: keys.Action) -> None:
    assert callable(getattr(_owner(action.section), f"action_{action.name}"))


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_unique_in_section(section: str) -> None:
    # A section without a list may give Enter a meaning of its own.
    actions = [a for owner in (section, "app", "list") for a in keys.TABLE[owner] if a.id != "list.select"]
    pressed = [(key, action.id) for action in actions for key in action.keys.split(",")]
    twice = [key for key, count in Counter(key for key, _owner in pressed).items() if count > 1]
    assert not twice, [pair for pair in pressed if pair[0] in twice]


def test_ids_unique_and_of_their_table() -> None:
    assert max(Counter(action.id for action in ACTIONS).values()) == 1
    for owner, actions in keys.TABLE.items():
        assert {action.section for action in actions} <= {owner}


def test_bindings_follow_the_table() -> None:
    for owner, actions in keys.TABLE.items():
        assert [(b.id, b.key, b.action) for b in keys.bindings(owner)] == [(a.id, a.keys, a.name) for a in actions]


@pytest.mark.parametrize("section", SECTIONS)
def test_palette_and_help_know_every_action(section: str) -> None:
    offered = {option.value.id for option in palette.options(section)}
    assert offered == {a.id for name in ("app", *SECTIONS) for a in keys.TABLE[name] if a.palette} - {"app.palette"}
    terms = {block.text for block in key_help(section) if hasattr(block, "term")}
    for action in (*keys.TABLE[section], *keys.LIST, *keys.APP):
        assert f"{action.verb}: {action.help}" in terms


@pytest.mark.parametrize("language", list(i18n.LANGUAGES))
@pytest.mark.parametrize("section", SECTIONS)
def test_guides_exist_in_both_languages(section: str, language: str) -> None:
    before = i18n.current()
    i18n.use(language)
    try:
        blocks = guide(section)
        assert len(blocks) >= 3
        assert not [block for block in blocks if "  " in block.text], "lines of a file end within a sentence"
    finally:
        i18n.use(before)


def test_words_are_translated() -> None:
    before = i18n.current()
    i18n.use("zh_CN")
    try:
        words = {text for action in ACTIONS for text in (action.verb, action.help)}
        words |= {title for _section, title in keys.SECTIONS}
        same = sorted(word for word in words if i18n._(word) == word)
    finally:
        i18n.use(before)
    assert not same


@pytest.mark.parametrize("width", range(20, 130))
def test_hints_never_exceed_the_width(width: int) -> None:
    hints = [("s", "Start"), ("Bksp", "Reset"), ("^q", "Leave"), ("空格", "标记并前进")]
    shown = fitting(hints, width)
    text = " " + "  ".join(f"{key} {verb}" for key, verb in shown)
    assert all(pair in hints for pair in shown)
    from rich.cells import cell_len

    assert cell_len(text) <= width or not shown


def test_key_labels_are_what_keyboards_say() -> None:
    labels = {keys.key_label(name) for action in ACTIONS for name in action.keys.split(",")}
    assert not [label for label in labels if "_" in label or "+" in label.replace("Shift+", "")[1:]]
