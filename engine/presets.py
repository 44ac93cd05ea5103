"""Presets and the known base models, both commented TOML: lists them, fits a preset to a base and a dataset.

Torch-free. What a parameter means is `protocol.params`' business, where a base lies on disk `models.catalogue`'s.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from engine.dataset.names import printable
from engine.home import home
from engine.protocol import fields
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.records import ModelRow, PresetRow

MAX_REPEAT = 50
"""A derived repeat is never larger: few images many times over are learned by heart."""

DEFAULT_PRESET = "standard"

THEMES = ("anime", "real", "2.5d", "style", "outfit", "concept", "standard", "demo")
"""The themes of the shipped presets, in the order they are offered."""


class Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A base model of `presets/bases.toml`, where the fields are explained; `name` is its key there."""

    name: str
    title: str
    family: str
    theme: str
    prediction: str
    clip_skip: int
    licence: str
    commercial: bool
    bytes: int
    resolution: int
    hub: str = ""
    file: str = ""
    diffusers: str = ""
    note: str = ""
    line: str = ""


# Worked out here, under the import lock: two threads doing that at once bring the process down (msgspec).
msgspec.json.Decoder(Base)


class _Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A preset file as written."""

    theme: str = ""
    family: str = ""
    line: str = ""
    title: str = ""
    bases: list[str] = []
    views: int = 0
    params: dict[str, Any] = {}


# Worked out here, under the import lock: two threads doing that at once bring the process down (msgspec).
msgspec.json.Decoder(_Preset)


def shipped_dir() -> Path:
    """The presets that come with LoRABake: beside the code in a wheel, at the top of a checkout."""
    installed = Path(__file__).parent / "_presets"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "presets"


def user_dir() -> Path:
    """Where a person's own presets lie; may not exist."""
    return home() / "presets"


@functools.cache
def bases() -> dict[str, Base]:
    """The known base models by name, in the order of the file."""
    table = tomllib.loads((shipped_dir() / "bases.toml").read_text("utf-8"))["bases"]
    return {name: msgspec.convert({"name": name, **row}, Base) for name, row in table.items()}


def list_presets() -> list[PresetRow]:
    """All presets by name, the shipped ones first; a user's file of the same name takes the shipped one's place.

    Files that cannot be read are left out; `broken_presets` tells of them.
    """
    return [row for row, _ in _load_all() if row is not None]


def broken_presets() -> list[ErrorInfo]:
    """What is wrong with the preset files that `list_presets` leaves out."""
    return [error for _, error in _load_all() if error is not None]


def resolve(name: str, base: ModelRow | None = None, images: int = 0) -> PresetRow:
    """The preset `name` ("anime" or "anime.sdxl") with everything that follows from base and dataset filled in.

    A bare theme takes what is made for the base's line of models, else for its family (SD 1.5 without a base). Clip
    skip and resolution are the base's own, the repeat is views / (images × epochs), 1 to `MAX_REPEAT`; with
    `images` = 0 it is left to the default.
    Raises EngineError `preset_unknown`, `preset_family`, `params_unreadable` or a parameter's error.
    """
    family = (base.family if base else "") or "sd15"
    known = bases().get(base.name) if base else None
    row = _by_name(name, [part for part in (known.line if known else "", family) if part])
    if base is not None and base.family and row.family and row.family != base.family:
        raise EngineError("preset_family", name=row.name, family=row.family, base=base.name, other=base.family)
    values = {**row.params, **_of_base(base)}
    params = fields.build(values)
    if images > 0 and row.views > 0 and "repeat" not in row.params:
        values["repeat"] = derived_repeat(row.views, images, params.epochs)
    return msgspec.structs.replace(row, params=values)


def by_name(name: str) -> PresetRow:
    """The preset `name` as it is written; raises EngineError `preset_unknown`, or what is wrong with its file."""
    return _by_name(name, ["sd15", "sdxl"])


def read_file(path: Path) -> PresetRow:
    """A preset file anywhere; raises EngineError `params_unreadable`, or what is wrong with a parameter."""
    return _load(path)


def derived_repeat(views: int, images: int, epochs: int) -> int:
    """The repeat that brings `images` over `epochs` nearest to `views`."""
    return min(MAX_REPEAT, max(1, round(views / (images * epochs))))


def translatable() -> list[str]:
    """The English words of presets and bases that a person sees, for the catalogue of translations."""
    titles = [row.title for row in _shipped()]
    notes = [base.note for base in bases().values() if base.note]
    return list(dict.fromkeys([*titles, *notes]))


def _of_base(base: ModelRow | None) -> dict[str, Any]:
    if base is None:
        return {}
    values: dict[str, Any] = {}
    if base.resolution:
        values["resolution"] = base.resolution
    known = bases().get(base.name)
    if known is not None and known.clip_skip:
        values["clip_skip"] = known.clip_skip
    return values


def _by_name(name: str, kinds: list[str]) -> PresetRow:
    wanted = [name, *(f"{name}.{kind}" for kind in kinds)]
    rows = {row.name: row for row in list_presets()}
    for one in wanted:
        if one in rows:
            return rows[one]
    for path in _files(user_dir()):
        if path.stem in wanted:
            _load(path)  # known but broken: say why
    known = ", ".join(row.name for row in list_presets())
    raise EngineError("preset_unknown", name=name, known=known)


@functools.cache
def _shipped() -> tuple[PresetRow, ...]:
    order = {theme: i for i, theme in enumerate(THEMES)}
    # Catalogues lie beside the presets, whose names are a theme and what it is for.
    rows = [_load(path) for path in _files(shipped_dir()) if "." in path.stem]
    return tuple(sorted(rows, key=lambda row: (order.get(row.theme, len(order)), row.family, row.line)))


def _load_all() -> list[tuple[PresetRow | None, ErrorInfo | None]]:
    own: dict[str, PresetRow] = {}
    broken: list[ErrorInfo] = []
    for path in _files(user_dir()):
        try:
            own[printable(path.stem)] = msgspec.structs.replace(_load(path), own=True)
        except EngineError as error:
            broken.append(error.info)
    rows = [own.pop(row.name, row) for row in _shipped()] + list(own.values())
    return [*((row, None) for row in rows), *((None, error) for error in broken)]


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError:
        return []


def _load(path: Path) -> PresetRow:
    """A preset file; raises EngineError `params_unreadable`, or what is wrong with a parameter."""
    try:
        written = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Preset)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise EngineError("params_unreadable", path=printable(str(path)), reason=printable(str(error))) from None
    params = {name: fields.check(name, value) for name, value in written.params.items()}
    name = printable(path.stem)
    return PresetRow(
        name=name,
        theme=written.theme,
        family=written.family,
        line=written.line,
        title=written.title or name,
        bases=written.bases,
        views=written.views,
        params=params,
    )
