"""Presets of one's own: saved from a form or a command, taken from a file somebody shared, shown, forgotten.

They lie beside each other in one folder, each a file like those that are shipped; which there are is `presets`'.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from engine import presets
from engine.dataset.names import printable
from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write, make_private_dir
from engine.protocol.messages import ImportedPreset, ImportPreset, PresetText, SavePreset
from engine.protocol.params_toml import scalar, written
from engine.protocol.records import PresetRow
from engine.recipes.convert import load

_NAME = re.compile(r"[\w][\w.-]{0,59}")


def text(name: str) -> PresetText:
    """The file of a preset; raises EngineError `preset_unknown`."""
    row = presets.by_name(name)
    path = _path(row.name) if row.own else presets.shipped_dir() / f"{row.name}.toml"
    try:
        return PresetText(path=printable(str(path)), text=path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError("params_unreadable", path=printable(str(path)), reason=error) from None


def save(asked: SavePreset) -> PresetRow:
    """Keep a preset; raises EngineError `preset_name`, `preset_exists`, `preset_unknown`, a parameter's error, or
    `preset_unwritable`."""
    _free(asked.name, asked.force)
    base = presets.by_name(asked.preset) if asked.preset else PresetRow(name="", theme="", family=asked.family)
    values: dict[str, Any] = {**base.params, **asked.params}
    values = {name: fields.check(name, value) for name, value in values.items()}
    fields.build(values)
    head = {
        "theme": base.theme or "own",
        "family": base.family,
        "line": base.line,
        "title": asked.title or asked.name,
        "views": base.views if "repeat" not in values else 0,
    }
    lines = [f"{key} = {scalar(value)}" for key, value in head.items() if value]
    _write(asked.name, "\n".join(lines) + "\n\n[params]\n" + written(values))
    return presets.by_name(asked.name)


def take(asked: ImportPreset) -> ImportedPreset:
    """Keep a file as a preset: one of ours byte for byte, any other as what its keys come to.

    Raises EngineError `recipe_unreadable`, `preset_name`, `preset_exists`, a parameter's error.
    """
    path = Path(asked.path).expanduser()
    found = load(path)
    name = asked.name or re.sub(r"[^\w.-]+", "-", path.stem).strip("-.")[:60]
    if found.format == "lorabake" and "[params]" in (shared := path.read_text("utf-8")):
        presets.read_file(path)
        _free(name, asked.force)
        _write(name, shared)
        return ImportedPreset(row=presets.by_name(name), recipe=found)
    row = save(SavePreset(name=name, params=found.params, title=found.name or name, force=asked.force))
    return ImportedPreset(row=row, recipe=found)


def remove(name: str) -> None:
    """Forget a preset; raises EngineError `preset_unknown`, `preset_shipped`, `preset_unwritable`."""
    row = presets.by_name(name)
    if not row.own:
        raise EngineError("preset_shipped", name=row.name)
    try:
        _path(row.name).unlink()
    except OSError as error:
        raise EngineError("preset_unwritable", path=presets.user_dir(), reason=error.strerror or error) from None


def _free(name: str, force: bool) -> None:
    if not _NAME.fullmatch(name) or name in ("bases", "taggers"):
        raise EngineError("preset_name", name=printable(name)[:80] or "“”")
    if _path(name).exists() and not force:
        raise EngineError("preset_exists", name=name)


def _path(name: str) -> Path:
    return presets.user_dir() / f"{name}.toml"


def _write(name: str, content: str) -> None:
    try:
        make_private_dir(presets.user_dir())
        atomic_write(_path(name), content.encode())
    except OSError as error:
        raise EngineError("preset_unwritable", path=presets.user_dir(), reason=error.strerror or error) from None
