"""The base models a bake can start from: the known ones by name, those in the models folder, any other by path.

Torch-free: what a file is, `sniff` tells; loading is `load`. Facts about known models stand in presets/bases.toml.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine import home, presets
from engine.demo import paths
from engine.faces import catalogue as detectors
from engine.models.sniff import Sniffed, sniff
from engine.models.vocabulary import find_vocabulary, hub_cache
from engine.protocol.errors import EngineError
from engine.protocol.records import ModelRow
from engine.tagging import contracts as taggers

DEMO = "demo"
_FILE = ".safetensors"
_PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction"}


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """A base model on this machine; `row` is its line in the catalogue, None for one named by path.

    One that is `missing` can be downloaded to `path` by `hub.fetch`.
    """

    path: Path
    family: str
    row: ModelRow | None = None
    missing: bool = False
    prediction_type: str = ""
    zero_terminal_snr: bool = False


def list_models() -> list[ModelRow]:
    """The known base models in the order of bases.toml, whatever else lies in the models folder, taggers, detectors."""
    known = presets.bases()
    rows = [_known_row(base) for base in known.values()]
    folder = home.models_dir()
    for path in sorted(folder.iterdir()):
        if path.name.removesuffix(_FILE) not in known and not path.name.startswith("."):
            found = _sniffed(path)
            if found is not None:
                rows.append(
                    ModelRow(
                        name=path.name,
                        kind="base",
                        family=found.family,
                        title=path.name,
                        path=str(path),
                        present=True,
                        bytes=_size(path),
                    )
                )
    return [*rows, *taggers.rows(), *detectors.rows()]


def locate(name_or_path: str) -> Located:
    """The base model a person means: a name of the catalogue, or a path.

    Raises EngineError `model_unknown`, `model_absent`, `model_not_base`, `model_unsupported`, `model_broken`, or
    `vocabulary_missing` for a single file whose words are not on this machine.
    """
    row = next((row for row in list_models() if row.kind == "base" and row.name == name_or_path), None)
    if row is not None:
        if not row.present:
            if not row.source or importlib.util.find_spec("huggingface_hub") is None:
                raise EngineError("model_absent", name=row.name)
            prediction = _PREDICTIONS[presets.bases()[row.name].prediction]
            path = Path(row.path)
            return Located(path=path, family=row.family, row=row, missing=True, prediction_type=prediction)
        found = sniff(Path(row.path))
    else:
        path = Path(os.path.expanduser(name_or_path)).absolute()
        if not name_or_path or (not path.exists() and "/" not in name_or_path):
            raise EngineError("model_unknown", name=name_or_path or "“”")
        found = sniff(path)
    if found.layout == "file":
        find_vocabulary(found.path)
    known = presets.bases().get(row.name) if row else None
    prediction = found.prediction_type
    if known is not None and known.prediction == "v":
        # A single file need not say so, and the catalogue knows this one.
        prediction = "v_prediction"
    return Located(
        path=found.path,
        family=found.family,
        row=row,
        prediction_type=prediction,
        zero_terminal_snr=found.zero_terminal_snr,
    )


def is_present(base: presets.Base) -> bool:
    """Whether a known base model is on this machine."""
    return _known_row(base).present


def _known_row(base: presets.Base) -> ModelRow:
    path = paths.BASE if base.name == DEMO else home.models_dir() / base.name
    if not path.exists() and path.with_name(path.name + _FILE).is_file():
        path = path.with_name(path.name + _FILE)
    if not path.exists():
        path = next(_downloaded(base), path)
    present = _sniffed(path) is not None
    return ModelRow(
        name=base.name,
        kind="base",
        family=base.family,
        title=base.title,
        path=str(path),
        present=present,
        bytes=_size(path) if present else base.bytes,
        licence=base.licence,
        resolution=base.resolution,
        source=base.diffusers or base.hub,
        note=base.note,
        line=base.line,
        commercial=base.commercial,
    )


def _downloaded(base: presets.Base) -> Iterator[Path]:
    """Where the hub's own cache holds the model, the single file first."""
    for repository, file in ((base.hub, base.file), (base.diffusers, "")):
        if repository and (file or repository == base.diffusers):
            snapshots = hub_cache() / f"models--{repository.replace('/', '--')}" / "snapshots"
            for snapshot in sorted(snapshots.glob("*")):
                if _sniffed(snapshot / file) is not None:
                    yield snapshot / file


def _sniffed(path: Path) -> Sniffed | None:
    try:
        return sniff(path)
    except EngineError:
        return None


def _size(path: Path) -> int:
    return _folder_size(str(path), path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _folder_size(path: str, _changed: int) -> int:
    files = [Path(path), *Path(path).rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file())
