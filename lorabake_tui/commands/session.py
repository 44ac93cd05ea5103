"""One conversation of a command with the engine: start the host, run the work, end the host, tell failures."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from lorabake_tui.commands.exits import OK, report

if TYPE_CHECKING:
    from engine.protocol.messages import Push
    from lorabake_tui.client import EngineClient


def converse(
    work: Callable[[EngineClient], Awaitable[int]],
    *,
    as_json: bool,
    on_push: Callable[[Push], None] | None = None,
    on_lost: Callable[[], None] | None = None,
) -> int:
    """Run `work` with a connected client; returns its exit code, or that of the engine error it raised."""

    # Imported here: help pages and lists that ask nothing of the engine need no event loop.
    import asyncio

    from lorabake_tui.client import ClientError, EngineClient

    async def whole() -> int:
        lost = (lambda state: on_lost() if state == "lost" else None) if on_lost else None
        async with EngineClient(on_push=on_push, on_state=lost) as client:
            return await work(client)

    try:
        return asyncio.run(whole())
    except ClientError as failure:
        return report(failure.info, as_json=as_json)


def fetch(method: str, params: msgspec.Struct | None, show: Callable[[Any], int], *, as_json: bool) -> int:
    """Ask one thing and show it: as one JSON document, or through `show`, whose exit code it returns."""

    async def work(client: EngineClient) -> int:
        result = await client.call(method, params)
        if as_json:
            print_json(result)
        return OK if as_json else show(result)

    return converse(work, as_json=as_json)


def print_json(value: Any) -> None:
    """One indented JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
