"""Presets of one's own, and recipes of other trainers, for the viewer."""

from __future__ import annotations

from pathlib import Path

from engine import own_presets
from engine.handlers import Context
from engine.protocol.messages import (
    Empty,
    ImportedPreset,
    ImportPreset,
    PathParams,
    PresetParams,
    PresetText,
    SavePreset,
)
from engine.protocol.recipes import Recipe, RecipeText, WriteRecipe
from engine.protocol.records import PresetRow


def presets_text(_: Context, params: PresetParams) -> PresetText:
    """The file of a preset."""
    return own_presets.text(params.name)


def presets_save(_: Context, params: SavePreset) -> PresetRow:
    """Keep a preset of one's own."""
    return own_presets.save(params)


def presets_import(_: Context, params: ImportPreset) -> ImportedPreset:
    """Keep a file as a preset of one's own."""
    return own_presets.take(params)


def presets_remove(_: Context, params: PresetParams) -> Empty:
    """Forget a preset of one's own."""
    own_presets.remove(params.name)
    return Empty()


def recipes_read(_: Context, params: PathParams) -> Recipe:
    """What a recipe of another trainer comes to."""
    from engine.recipes.convert import load

    return load(Path(params.path))


def recipes_write(_: Context, params: WriteRecipe) -> RecipeText:
    """Write parameters for sd-scripts."""
    from engine.recipes.write import write

    return write(params)
