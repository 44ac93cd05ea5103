"""Catalogue: the base models and presets there are, and the preset the draft stands on for its base and dataset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from engine.protocol.messages import PresetParams
from engine.protocol.records import ModelRow, PresetRow
from lorabake_tui.client import ClientError
from lorabake_tui.draft import Draft

Call = Callable[[str, msgspec.Struct | None], Awaitable[Any]]


class Catalogue:
    """Knows what can be chosen and keeps the draft's preset resolved; `call` asks the engine (ClientError)."""

    def __init__(self, call: Call, draft: Draft) -> None:
        self._call = call
        self._draft = draft
        self.models: list[ModelRow] = []
        self.presets: list[PresetRow] = []

    async def load(self) -> None:
        """Ask what there is; raises ClientError."""
        models: list[ModelRow] = await self._call("models.list", None)
        self.models = [row for row in models if row.kind == "base"]
        self.presets = await self._call("presets.list", None)

    @property
    def base(self) -> ModelRow | None:
        """The draft's base model; None for one named by a path."""
        return next((row for row in self.models if self._draft.base in (row.name, row.path)), None)

    @property
    def preset(self) -> PresetRow | None:
        """The draft's preset."""
        return next((row for row in self.presets if row.name == self._draft.preset), None)

    def fitting(self) -> list[PresetRow]:
        """The presets of the base's family and line of models, those made for the base itself first.

        A base named by a path may be of any line: all are offered.
        """
        base = self.base
        if base is None:
            return list(self.presets)
        rows = [row for row in self.presets if row.family in ("", base.family) and row.line in ("", base.line)]
        return sorted(rows, key=lambda row: (base.name not in row.bases, row.line != base.line))

    def suit(self) -> None:
        """A base was chosen: stand on the preset of the same theme that is made for it, else on its own first one."""
        theme, rows = self.preset.theme if self.preset is not None else "", self.fitting()
        same = [row for row in rows if theme and row.theme == theme]
        if self.base is not None and rows:
            self._draft.preset = (same or rows)[0].name

    async def stand(self, images: int) -> None:
        """Resolve the draft's preset for its base and a number of images; raises ClientError.

        A preset that does not fit the base gives way to one of the same theme that does.
        """
        draft, base = self._draft, self.base
        draft.family = base.family if base is not None else ""
        rows = self.fitting()
        if rows and draft.preset not in [row.name for row in rows]:
            theme = self.preset.theme if self.preset is not None else ""
            draft.preset = next((row.name for row in rows if theme and row.theme == theme), rows[0].name)
        if draft.preset:
            row = await self._resolve(draft.preset, draft.base, images)
            draft.use_preset(row.name, row.params)

    async def _resolve(self, name: str, base: str, images: int) -> PresetRow:
        """Without the base where that is the trouble (not on this machine): the estimate tells that in words."""
        try:
            row: PresetRow = await self._call("presets.resolve", PresetParams(name=name, base=base, images=images))
        except ClientError:
            row = await self._call("presets.resolve", PresetParams(name=name, images=images))
        return row
