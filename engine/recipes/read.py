"""Reads a recipe file into flat keys: TOML of sd-scripts or lora-scripts, JSON of kohya_ss, or a command line.

What the keys mean is `convert`'s business. Files are data of unknown origin: nothing in them is run.
"""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from engine.dataset.names import printable
from engine.protocol.errors import EngineError
from engine.protocol.fields import fields
from engine.protocol.recipes import Format

_MOST_BYTES = 1 << 20
_TELLTALES = frozenset(
    {"network_module", "pretrained_model_name_or_path", "network_args", "train_data_dir", "datasets"}
)
_ABOUT = ("base", "preset", "dataset", "reg", "name")
_LORA_SCRIPTS = frozenset({"model_train_type", "lr_restart_cycles", "enable_preview", "positive_prompts", "log_prefix"})


class Written(NamedTuple):
    """The keys of a file, flat and in its order, and whose file it is; `about` is what one of ours says of itself."""

    format: Format
    keys: list[tuple[str, Any]]
    about: dict[str, str] = {}


def read(path: Path) -> Written:
    """What stands in a file; raises EngineError `recipe_unreadable` for one that is none of the known kinds."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise EngineError("recipe_unreadable", path=printable(str(path)), reason="larger than 1 MiB")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise EngineError("recipe_unreadable", path=printable(str(path)), reason=error.strerror or error) from None
    except UnicodeDecodeError:
        raise EngineError("recipe_unreadable", path=printable(str(path)), reason="not UTF-8") from None
    try:
        return _parsed(text)
    except (ValueError, RecursionError) as error:
        raise EngineError("recipe_unreadable", path=printable(str(path)), reason=printable(str(error))[:200]) from None


def _parsed(text: str) -> Written:
    if text.lstrip().startswith("{"):
        table = json.loads(text)
        return Written("kohya_ss", [(str(key), value) for key, value in table.items()])
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        if "--" not in text:
            raise
        return Written("sd-scripts command line", command_line(text))
    if isinstance(table.get("params"), dict) and set(table["params"]) <= set(fields()):
        about = table["recipe"] if isinstance(table.get("recipe"), dict) else table
        told = {key: value for key in _ABOUT if isinstance(value := about.get(key), str)}
        return Written("lorabake", list(table["params"].items()), told)
    keys = _flat(table)
    names = {key for key, _ in keys}
    if _LORA_SCRIPTS & names or ("data" in table and "metadata" in table):
        return Written("lora-scripts", keys)
    if names <= set(fields()) and not _TELLTALES & names:
        return Written("lorabake", keys)
    return Written("sd-scripts", keys)


def _flat(table: dict[str, Any]) -> list[tuple[str, Any]]:
    """Tables only order a configuration; a dataset's lists are kept whole."""
    rows: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            # A template of lora-scripts speaks of itself in `metadata`.
            rows += [("description" if key == "metadata" else name, one) for name, one in _flat(value)]
        else:
            rows.append((key, value))
    return rows


def command_line(text: str) -> list[tuple[str, Any]]:
    """The options of a command: values as text, switches as True, repeated words as a list. Raises ValueError."""
    words = shlex.split(text.replace("\\\r\n", " ").replace("\\\n", " ").replace("`\n", " "), comments=True)
    rows: list[tuple[str, Any]] = []
    key, values = "", []

    def close() -> None:
        if key:
            rows.append((key, True if not values else values[0] if len(values) == 1 else list(values)))

    for word in words:
        if word.startswith("--") and len(word) > 2:
            close()
            name, equals, value = word[2:].partition("=")
            key, values = name.replace("-", "_"), [value] if equals else []
        elif key:
            values.append(word)
    close()
    return rows
