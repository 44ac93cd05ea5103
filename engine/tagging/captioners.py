"""The models that write sentences by name (BLIP, Florence-2) or by the folder of transformers' format; torch-free.

The table is presets/taggers.toml, what they say of pictures is `describe`'s.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

import msgspec

from engine import home, presets
from engine.dataset.names import printable
from engine.protocol.records import ModelRow


class Captioner(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the kind image-text-to-text: where it lies or would, its repository, what it is asked with."""

    name: str
    folder: Path
    hub: str = ""
    prompt: str = ""

    @property
    def present(self) -> bool:
        """Whether its files are there."""
        return (self.folder / "config.json").is_file() and any(self.folder.glob("*.safetensors"))


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    licence: str
    bytes: int
    hub: str
    prompt: str = ""
    note: str = ""


@functools.cache
def _lines() -> dict[str, _Line]:
    table = tomllib.loads((presets.shipped_dir() / "taggers.toml").read_text("utf-8"))
    return msgspec.convert(table["captioners"], dict[str, _Line])


def find(name_or_path: str) -> Captioner | None:
    """The captioner that a name of the table or a folder means; None for what is a tagger, or nothing."""
    line = _lines().get(name_or_path)
    if line is not None:
        folder = home.models_dir() / name_or_path
        return Captioner(name=name_or_path, folder=folder, hub=line.hub, prompt=line.prompt)
    folder = Path(name_or_path).expanduser().absolute()
    if not name_or_path or not (folder / "config.json").is_file() or (folder / "model.onnx").is_file():
        return None
    try:
        kind = msgspec.json.decode((folder / "config.json").read_bytes(), type=_Config).model_type
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        kind = ""
    prompt = next((line.prompt for name, line in _lines().items() if kind and name.startswith(kind[:4])), "")
    return Captioner(name=printable(folder.name), folder=folder, prompt=prompt)


class _Config(msgspec.Struct):
    model_type: str = ""


def rows() -> list[ModelRow]:
    """The captioners of the table, and whether they are here."""
    found = []
    for name, line in _lines().items():
        captioner = find(name)
        assert captioner is not None
        found.append(
            ModelRow(
                name=name,
                kind="tagger",
                title=line.title,
                path=str(captioner.folder),
                present=captioner.present,
                bytes=line.bytes,
                licence=line.licence,
                source=line.hub,
                note=line.note,
            )
        )
    return found
