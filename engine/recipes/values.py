"""Values of other trainers: what means "off" there, and how a value becomes one of ours."""

from __future__ import annotations

from typing import Any

from engine.protocol import fields
from engine.protocol.errors import EngineError

OFF = ("", None, False, 0, 0.0, "0", "0.0", "false", "False", "none", "None", "-1", -1)
"""What a switch, a number or a text is where nothing is set."""


def checked(name: str, value: Any) -> Any:
    """A foreign value as our parameter `name` has it; raises EngineError `param_invalid`."""
    if value is None:
        return fields.field(name).default
    if isinstance(value, str):
        return fields.parse(name, value)
    if isinstance(value, float) and fields.field(name).kind == "int" and value.is_integer():
        value = int(value)
    if isinstance(value, bool) and fields.field(name).kind != "bool":
        raise EngineError("param_invalid", name=name, value=value, allowed=fields.field(name).allowed)
    return fields.check(name, value)


def shown(value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)[:200]
