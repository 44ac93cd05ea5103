"""Ahead: opens the Params section in idle time, so that its key finds it ready.

Its modules come in a thread of their own; its widgets are mounted unseen, once nothing was typed for a moment.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabake_tui.app import LoRABake

SECTION = "params"
QUIET_SECONDS = 0.3
_LOOK_SECONDS = 0.05


class Ahead:
    """Does it once for an app; whoever opens the section meanwhile waits with `there`."""

    def __init__(self, app: LoRABake) -> None:
        self._app = app
        self._mounting: asyncio.Event | None = None

    async def open(self) -> None:
        """Import, then mount, unless somebody was faster; to be called once the first paint is over."""
        # In a thread the interpreter passes to the keys every few milliseconds.
        await asyncio.to_thread(_imported)
        while time.monotonic() - self._app.typed_at < QUIET_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)
        if self._app.is_open(SECTION):
            return
        self._mounting = asyncio.Event()
        try:
            await self._app.mount_section(SECTION)
        finally:
            self._mounting.set()

    async def there(self, section: str) -> None:
        """Wait until a section that is being mounted unseen is whole."""
        if section == SECTION and self._mounting is not None:
            await self._mounting.wait()


def _imported() -> None:
    importlib.import_module(f"lorabake_tui.screens.{SECTION}")
    fields = importlib.import_module("engine.protocol.fields")
    fields.fields()
