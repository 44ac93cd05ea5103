"""The taggers that are known by name and how they want their pictures, as data; any other by its folder.

The table is presets/taggers.toml, explained there. Downloading is `fetch`, reading lists of tags `labels`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine import home, presets
from engine.dataset.names import printable
from engine.demo import paths
from engine.protocol.errors import EngineError
from engine.protocol.records import ModelRow

DEMO = "demo"
SETTINGS = "tagger.toml"
_MODEL = "model.onnx"
_LABELS = {"csv": "selected_tags.csv", "mapping": "tag_mapping.json"}


class Contract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done to a picture before the model sees it, and what comes out; the fields are explained in the table."""

    layout: Literal["NHWC", "NCHW"]
    order: Literal["RGB", "BGR"]
    divide: float
    mean: float
    std: float
    pad: Literal["white", "none"]
    resize: Literal["bicubic", "bilinear"]
    activation: Literal["probabilities", "logits"]
    output: str
    side: int
    tags: Literal["csv", "mapping"]
    general: float
    character: float


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    contract: str
    title: str
    licence: str
    bytes: int
    hub: str = ""
    model: str = _MODEL
    labels: str = ""
    general: float = 0.0
    note: str = ""


class Tagger(msgspec.Struct, frozen=True, kw_only=True):
    """A tagger: its name (unique among those of a dataset), its two files, its contract with its own thresholds.

    With `hub` the files, called `wanted` there, can be downloaded.
    """

    name: str
    folder: Path
    model: Path
    labels: Path
    contract: Contract
    hub: str = ""
    wanted: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether it is called by its name in the catalogue."""
        return bool(self.wanted)

    @property
    def present(self) -> bool:
        """Whether both files are there."""
        return self.model.is_file() and self.labels.is_file()


# Worked out here, under the import lock: two threads doing that at once bring the process down (msgspec).
msgspec.json.Decoder(Contract)
msgspec.json.Decoder(_Line)


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads((presets.shipped_dir() / "taggers.toml").read_text("utf-8"))


def contract(name: str) -> Contract:
    """A contract of the table by name; KeyError."""
    return msgspec.convert(_table()["contracts"][name], Contract)


def known() -> list[str]:
    """The names of the catalogue."""
    return list(_table()["taggers"])


def rows() -> list[ModelRow]:
    """The taggers of the catalogue, and whether they are here."""
    from engine.tagging import captioners

    return [*(_row(name) for name in known()), *captioners.rows()]


def notes() -> list[str]:
    """The English words of the table that a person sees, for the catalogue of translations."""
    return [line["note"] for line in _table()["taggers"].values() if line.get("note")]


def find(name_or_path: str) -> Tagger:
    """The tagger a person means: a name of the catalogue, present or not, or the path of a folder.

    Raises EngineError `tagger_unknown`, `tagger_files`, `tagger_contract` for a folder whose contract cannot be told,
    or `tagger_setting` for a wrong word in its tagger.toml.
    """
    if name_or_path in _table()["taggers"]:
        return _known(name_or_path)
    path = Path(os.path.expanduser(name_or_path)).absolute()
    if not name_or_path or (not path.exists() and "/" not in name_or_path):
        raise EngineError("tagger_unknown", name=printable(name_or_path) or "“”")
    return _local(path.parent if path.suffix == ".onnx" else path, path.name if path.suffix == ".onnx" else "")


def _known(name: str) -> Tagger:
    line = msgspec.convert(_table()["taggers"][name], _Line)
    base = contract(line.contract)
    if line.general:
        base = msgspec.structs.replace(base, general=line.general)
    folder = paths.TAGGER if name == DEMO else home.models_dir() / name
    wanted = (line.model, line.labels or _LABELS[base.tags])
    return Tagger(
        name=name,
        folder=folder,
        model=folder / wanted[0],
        labels=folder / wanted[1],
        contract=base,
        hub=line.hub,
        wanted=wanted,
    )


def _local(folder: Path, file: str) -> Tagger:
    settings = _settings(folder)
    model = folder / (file or settings.pop("model", _MODEL))
    settings.pop("model", None)
    base = _contract_of(folder, settings)
    labels = folder / _LABELS[base.tags]
    for path in (model, labels):
        if not path.is_file():
            raise EngineError("tagger_files", path=printable(str(folder)), missing=printable(path.name))
    # Two folders of one name are two taggers.
    mark = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return Tagger(name=f"{printable(folder.name)}-{mark}", folder=folder, model=model, labels=labels, contract=base)


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise EngineError("params_unreadable", path=path, reason=error.strerror or error) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EngineError("params_unreadable", path=path, reason=error) from None


def _contract_of(folder: Path, settings: dict[str, Any]) -> Contract:
    """The contract a tagger.toml names, with what it says otherwise; else the one its list of tags tells."""
    named = settings.pop("contract", "")
    contracts: dict[str, Any] = _table()["contracts"]
    if not named:
        if (folder / _LABELS["mapping"]).is_file() and not (folder / _LABELS["csv"]).is_file():
            named = "cl"
        else:
            named = "wd"
    path = printable(str(folder / SETTINGS))
    if named not in contracts:
        raise EngineError("tagger_setting", path=path, name="contract", value=named, allowed=", ".join(contracts))
    table = dict(contracts[named])
    for name, value in settings.items():
        if name not in table:
            raise EngineError("tagger_setting", path=path, name=name, value=value, allowed=", ".join(table))
        try:
            msgspec.convert({**table, name: value}, Contract)
        except msgspec.ValidationError as error:
            raise EngineError("tagger_setting", path=path, name=name, value=value, allowed=str(error)) from None
        table[name] = value
    for name in ("divide", "std"):
        if table[name] == 0:
            raise EngineError("tagger_setting", path=path, name=name, value=0, allowed="≠ 0")
    return msgspec.convert(table, Contract)


def _row(name: str) -> ModelRow:
    tagger = _known(name)
    line = msgspec.convert(_table()["taggers"][name], _Line)
    size = sum(path.stat().st_size for path in (tagger.model, tagger.labels)) if tagger.present else line.bytes
    return ModelRow(
        name=name,
        kind="tagger",
        title=line.title,
        path=str(tagger.folder),
        present=tagger.present,
        bytes=size,
        licence=line.licence,
        resolution=tagger.contract.side,
        source=line.hub,
        note=line.note,
    )
