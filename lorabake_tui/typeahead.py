"""Keys take effect in the order they were typed, however close they come: a link that stalls delivers them in bursts.

Textual hands a key to the focused widget at once, but carries out its binding only when it has bubbled up to the app;
a letter typed right behind a Backspace would overtake it. Here the next key waits until the one before is through.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Generic, TypeVar

from textual import events
from textual.app import App
from textual.message import Message
from textual.message_pump import MessagePump

Result = TypeVar("Result")

PATIENCE = 2.0
"""Seconds after which the next key no longer waits for a handler that takes its time."""


class KeyDone(Message):
    """Posted behind a key: it bubbles through the same queues, so at its arrival the key has been dealt with."""

    def __init__(self, arrived: asyncio.Event) -> None:
        super().__init__()
        self.arrived = arrived


class KeysInOrder(App[Result], Generic[Result], inherit_bindings=False):
    """An app whose keys are carried out one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Key] = deque()
        self._delivery: asyncio.Task[None] | None = None
        self.typed_at = 0.0
        """When the last key came, on the monotonic clock."""

    async def on_event(self, event: events.Event) -> None:
        """Queue keys from the terminal; everything else goes its usual way."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        self._typed.append(event)
        self.typed_at = time.monotonic()
        if self._delivery is None or self._delivery.done():
            # A task of its own: the app's queue must stay free for the keys that bubble up to it.
            self._delivery = asyncio.create_task(self._deliver())

    async def _deliver(self) -> None:
        while self._typed and not self._exit:
            await super().on_event(self._typed.popleft())
            # Once for the key itself, once for what it posted (a field was submitted), once for a screen it opened.
            await self._passed(self.focused or self.screen)
            await self._passed(self.focused or self.screen)
            await self._passed(self.screen)

    async def _passed(self, target: MessagePump) -> None:
        """Wait until everything in the queues from `target` up to the app has been handled."""
        arrived = asyncio.Event()
        if target.post_message(KeyDone(arrived)):
            try:
                await asyncio.wait_for(arrived.wait(), PATIENCE)
            except TimeoutError:
                return

    def on_key_done(self, message: KeyDone) -> None:
        """The marker has come all the way up."""
        message.arrived.set()
