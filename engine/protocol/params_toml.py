"""Parameters as TOML that a person reads and edits: every one under its group, with its title and what is allowed.

Used for `$EDITOR`, for presets and for showing one; reading is strict, as everywhere.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from engine.protocol import fields
from engine.protocol.errors import EngineError

Say = Callable[[str], str]
"""Translates what a field says of itself."""


def written(values: Mapping[str, Any], *, say: Say = str, explained: bool = True) -> str:
    """TOML of the parameters in `values`, in the order of declaration; with `explained` each has a comment above it."""
    lines: list[str] = []
    group = ""
    for field in fields.fields().values():
        if field.name not in values:
            continue
        if explained and field.group != group:
            group = field.group
            lines += ["", f"# -- {say(group)} " + "-" * max(4, 76 - len(say(group)))]
        if explained:
            lines.append(f"# {say(field.title)} · {field.allowed}")
        lines.append(f"{field.name} = {scalar(values[field.name])}")
    return "\n".join(lines).lstrip("\n") + "\n"


def scalar(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def read(text: str, path: str = "") -> dict[str, Any]:
    """The parameters in a TOML text: those of its table `params`, else its top level; each checked.

    Raises EngineError `params_unreadable`, `param_unknown`, `param_invalid`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EngineError("params_unreadable", path=path or "TOML", reason=error) from None
    inner = table.get("params", table)
    rows = inner if isinstance(inner, dict) else table
    return {name: fields.check(name, value) for name, value in rows.items()}
