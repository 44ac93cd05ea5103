"""A recipe of another trainer, read: what became of each of its keys, and the parameters that come out."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.protocol.errors import ErrorInfo

Format = Literal["sd-scripts", "sd-scripts command line", "kohya_ss", "lora-scripts", "lorabake"]
"""Whose file it is, by what stands in it."""


class RecipeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the file as written: `mapped` to a parameter (`to`, as "name = value"), `ignored` because it changes
    nothing that is learned here, or `refused` because it would and cannot be done; `why` says so for the last two."""

    key: str
    value: str
    outcome: Literal["mapped", "ignored", "refused"]
    to: str = ""
    why: ErrorInfo | None = None


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says. `params` are complete for the trainer's own defaults: `defaults` are those among them that the
    file is silent about. Paths are as written; `base`, `preset`, `dataset`, `reg`, `name` are "" where not told."""

    path: str
    format: Format
    params: dict[str, Any]
    defaults: list[str] = []
    rows: list[RecipeRow] = []
    base: str = ""
    dataset: str = ""
    reg: str = ""
    name: str = ""
    preset: str = ""


class WriteRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters to write as a configuration of sd-scripts into the new file `out`, with paths where they are known."""

    out: str
    params: dict[str, Any]
    base: str = ""
    dataset: str = ""
    reg: str = ""
    name: str = ""
    overwrite: bool = False


class RecipeText(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was written, and the parameters that have no word in it."""

    path: str
    left_out: list[str] = []
