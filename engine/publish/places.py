"""Where a LoRA goes: what `a1111:DIR` and its like mean on this disk, and how the files are called there."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import msgspec

from engine.protocol.errors import EngineError
from engine.protocol.publishing import KINDS, PlaceKind
from engine.runs.folder import safe_name

_REPOSITORY = re.compile(r"(?:[\w.-]+/)?[\w.-]{1,96}", re.ASCII)
_LORA_FOLDERS: dict[str, tuple[str, ...]] = {
    "a1111": ("models/Lora", "Lora", "webui/models/Lora"),
    "comfyui": ("models/loras", "loras", "ComfyUI/models/loras"),
}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A destination: `folder` for those on this disk, `repository` for the hub."""

    kind: PlaceKind
    folder: Path = Path()
    repository: str = ""

    @property
    def told(self) -> str:
        """The place in one word, as it is asked for."""
        return f"hf:{self.repository}" if self.kind == "hf" else f"{self.kind}:{self.folder}"


def place(text: str, name: str) -> Place:
    """The place that is meant. Raises EngineError `publish_place` for an unknown kind or a missing WebUI,
    `hub_repository` for what cannot be the name of a repository."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in KINDS:
        kind, rest = "folder", text
    if kind == "hf":
        repository = rest.strip().removeprefix("https://huggingface.co/").strip("/") or name
        if not _REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
            raise EngineError("hub_repository", name=repository)
        return Place(kind="hf", repository=repository)
    if not rest.strip():
        raise EngineError("publish_place", to=text)
    folder = Path(os.path.abspath(Path(rest.strip()).expanduser()))
    if kind in _LORA_FOLDERS:
        return Place(kind=kind, folder=_lora_folder(kind, folder))  # type: ignore[arg-type]
    if kind == "bundle":
        folder = folder / name
    return Place(kind=kind, folder=folder)  # type: ignore[arg-type]


def _lora_folder(kind: str, folder: Path) -> Path:
    """The folder of LoRAs of a WebUI, named by itself or by any folder above it."""
    if folder.is_dir() and folder.name.lower() in ("lora", "loras"):
        return folder
    for below in _LORA_FOLDERS[kind]:
        if (folder / below).is_dir():
            return folder / below
    raise EngineError("publish_no_ui", path=folder, kind={"a1111": "A1111", "comfyui": "ComfyUI"}[kind])


def check_name(name: str) -> str:
    """The name as a file gets it; raises EngineError `publish_name` where a system or a prompt could not hold it."""
    plain = unicodedata.normalize("NFC", name.strip()).removesuffix(".safetensors")
    # `<lora:NAME:1>` ends at a colon or a bracket; A1111 and ComfyUI split at commas here and there.
    if not plain or safe_name(plain) != plain or "," in plain:
        raise EngineError("publish_name", name=name, better=safe_name(plain.replace(",", "_")))
    return plain


def check_trigger(trigger: str) -> str:
    """The trigger words as one line; raises EngineError `publish_trigger`."""
    plain = " ".join(trigger.split())
    if len(plain) > 200 or any(unicodedata.category(letter).startswith("C") for letter in plain) or "<" in plain:
        raise EngineError("publish_trigger", trigger=plain[:60])
    return plain
