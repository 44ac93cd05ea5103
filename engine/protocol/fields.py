"""`BakeParams` as data: the list of fields with their facts, parsing one value from text, validating.

Every surface (form, `--set`, TOML, help pages) goes through here, so that all of them say the same.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import inspect as mi

from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams

_TRUE = frozenset({"true", "yes", "on", "1", "是", "开"})
_FALSE = frozenset({"false", "no", "off", "0", "否", "关"})


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter: its facts and its default. `kind` is int, float, bool, str or choice."""

    name: str
    kind: str
    default: Any
    title: str
    help: str
    group: str
    level: str
    unit: str
    families: tuple[str, ...]
    kohya: str
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    below: bool = False
    multiple_of: int | None = None
    max_length: int | None = None

    @property
    def allowed(self) -> str:
        """The legal values in words, for messages and the form."""
        if self.kind == "choice":
            return ", ".join(str(choice) for choice in self.choices)
        if self.kind == "bool":
            return "true, false"
        if self.kind == "str":
            return f"text of at most {self.max_length} characters"
        text = f"{_plain(self.minimum)} … {_plain(self.maximum)}"
        return f"{text}, multiples of {self.multiple_of}" if self.multiple_of else text


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:g}" if abs(number) < 1e6 else str(int(number))


@functools.cache
def fields() -> dict[str, Field]:
    """All parameters by name, in the order of declaration."""
    struct = mi.type_info(BakeParams)
    assert isinstance(struct, mi.StructType)
    return {field.name: _field(field) for field in struct.fields}


@functools.cache
def _hints() -> dict[str, Any]:
    return get_type_hints(BakeParams, include_extras=True)


def _field(field: mi.Field) -> Field:
    meta = field.type
    assert isinstance(meta, mi.Metadata)
    schema, extra, inner = meta.extra_json_schema or {}, meta.extra or {}, meta.type
    kinds = {mi.IntType: "int", mi.FloatType: "float", mi.BoolType: "bool", mi.StrType: "str"}
    bounds: dict[str, Any] = {}
    if isinstance(inner, mi.IntType | mi.FloatType):
        bounds = {
            "minimum": inner.gt if inner.ge is None else inner.ge,
            "maximum": inner.lt if inner.le is None else inner.le,
            "above": inner.gt is not None,
            "below": inner.lt is not None,
            "multiple_of": inner.multiple_of,
        }
    elif isinstance(inner, mi.StrType):
        bounds = {"max_length": inner.max_length}
    choices = tuple(inner.values) if isinstance(inner, mi.LiteralType) else ()
    return Field(
        name=field.name,
        kind=kinds.get(type(inner), "choice"),
        default=field.default,
        title=schema["title"],
        help=schema["description"],
        group=extra["group"],
        level=extra["level"],
        unit=extra["unit"],
        families=tuple(extra["families"]),
        kohya=extra["kohya"],
        choices=_ordered(field.name, choices),
        **bounds,
    )


def _ordered(name: str, choices: tuple[Any, ...]) -> tuple[Any, ...]:
    # msgspec sorts literals; the declaration's order is the one a person should see.
    return tuple(get_args(get_args(_hints()[name])[0])) if choices else ()


def nearest(name: str) -> str:
    """The parameter a misspelt or foreign (kohya) name most likely means, or ""."""
    by_kohya = {field.kohya: field.name for field in fields().values()}
    if name in by_kohya:
        return by_kohya[name]
    close = difflib.get_close_matches(name, [*fields(), *by_kohya], n=1, cutoff=0.5)
    return by_kohya.get(close[0], close[0]) if close else ""


def field(name: str) -> Field:
    """The field called `name`; raises EngineError `param_unknown` with the nearest name."""
    found = fields().get(name)
    if found is None:
        raise EngineError("param_unknown", name=name, nearest=nearest(name) or "`lorabake params`")
    return found


def parse(name: str, text: str) -> Any:
    """The value that a person wrote for a field; raises EngineError when it is not one."""
    spec = field(name)
    stripped = text.strip()
    value: Any = text
    if spec.kind == "bool":
        value = True if stripped.lower() in _TRUE else False if stripped.lower() in _FALSE else stripped
    elif spec.kind == "int" or (spec.kind == "choice" and isinstance(spec.choices[0], int)):
        value = _number(stripped, int)
    elif spec.kind == "float":
        value = _number(stripped, float)
    elif spec.kind == "choice":
        value = stripped
    return check(name, value)


def _number(text: str, kind: type[int] | type[float]) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    if kind is int:
        return int(number) if number == number and abs(number) < 1e18 and number == int(number) else text
    return number


def check(name: str, value: Any) -> Any:
    """`value` in the type of the field; raises EngineError `param_invalid`."""
    spec = field(name)
    try:
        return msgspec.convert(value, _hints()[name])
    except msgspec.ValidationError:
        raise EngineError("param_invalid", name=name, value=str(value)[:80], allowed=spec.allowed) from None


def build(*layers: Mapping[str, Any]) -> BakeParams:
    """Defaults overlaid by each mapping in turn (preset, file, edits); raises EngineError at the first bad entry."""
    values: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            values[name] = check(name, value)
    return BakeParams(**values)


def changed(params: BakeParams, reference: BakeParams | None = None) -> dict[str, Any]:
    """The fields whose value differs from `reference` (the defaults when None)."""
    reference = reference or BakeParams()
    return {n: getattr(params, n) for n in fields() if getattr(params, n) != getattr(reference, n)}
