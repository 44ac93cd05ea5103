"""The engine as the terminal sees it: starts `engine host`, turns calls into replies, hands pushes on.

Knows asyncio and the protocol, no widget; the app owns one for its whole life, a command owns one for its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

import engine.protocol
from engine.protocol import PROTOCOL
from engine.protocol.errors import ErrorInfo, describe
from engine.protocol.files import make_private_dir
from engine.protocol.messages import (
    METHODS,
    Batch,
    DevicePush,
    Empty,
    Hello,
    Past,
    Progress,
    Push,
    Request,
    RunsChanged,
)
from engine.protocol.wire import MAX_LINE_BYTES, encode

State = Literal["off", "starting", "ready", "lost"]
"""`lost`: the host ended by itself and is not being restarted."""

_SETTLED_SECONDS = 30.0
"""A host that lived this long has earned another automatic restart."""

_PUSHES: dict[str, msgspec.json.Decoder[Any]] = {
    str(kind.__struct_config__.tag): msgspec.json.Decoder(kind)
    for kind in (Batch, Past, RunsChanged, DevicePush, Progress)
}
_RESULTS: dict[str, msgspec.json.Decoder[Any]] = {}


class ClientError(Exception):
    """A call that failed; `info` is what to tell the person."""

    def __init__(self, info: ErrorInfo) -> None:
        self.info = info
        super().__init__(info.message)


class _Line(msgspec.Struct):
    type: str = ""
    id: int = 0
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorInfo | None = None


_line = msgspec.json.Decoder(_Line)
_hello = msgspec.json.Decoder(Hello)


def default_log() -> Path | None:
    """Where the host's stderr goes: `host.log` in LoRABake's home; None when that cannot be written."""
    home = os.environ.get("LORABAKE_HOME")
    if home:
        folder = Path(os.path.expanduser(home)).absolute()
    else:
        import platformdirs

        try:
            folder = Path(platformdirs.user_data_dir("lorabake", appauthor=False))
        except RuntimeError:  # nobody's home is known
            return None
    try:
        make_private_dir(folder)
        (folder / "host.log").touch(mode=0o600)
    except OSError:
        return None
    return folder / "host.log"


class EngineClient:
    """One connection to one host process.

    `on_push` gets every push in order; `on_state` is told each change of `state`, so that an owner can say
    `engine_lost` and, on `ready`, subscribe again. Both are called on the event loop.
    """

    def __init__(
        self,
        *,
        on_push: Callable[[Push], None] | None = None,
        on_state: Callable[[State], None] | None = None,
        restart: bool = False,
        log: Path | None = None,
    ) -> None:
        self.hello: Hello | None = None
        self.state: State = "off"
        self.error: ErrorInfo | None = None
        self._on_push = on_push
        self._on_state = on_state
        self._restart = restart
        self._restarts_left = 1
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Event = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._last_id = 0
        self._closing = False

    async def start(self) -> Hello:
        """Start the host and wait for its greeting.

        Raises ClientError `protocol_mismatch` when it speaks another protocol, `engine_lost` when it ends first.
        """
        self._closing = False
        self._set_state("starting")
        started = time.monotonic()
        try:
            await self._spawn()
            self.hello = await self._greeting()
        except ClientError as failure:
            await self._end_process()
            self._fail(failure.info)
            raise
        self.error = None
        self._reader = asyncio.create_task(self._read(started))
        self._set_state("ready")
        self._ready.set()
        return self.hello

    async def call(self, method: str, params: msgspec.Struct | None = None) -> Any:
        """The typed result of a method of `METHODS`; raises ClientError with the engine's own words.

        While the host is starting the call waits for it. A cancelled call leaves nothing behind; the host
        answers all the same and the answer is dropped.
        """
        if self.state == "starting":
            await self._ready.wait()
        process = self._process
        if self.state != "ready" or process is None or process.stdin is None:
            raise ClientError(self.error or describe("engine_lost"))
        self._last_id += 1
        call_id = self._last_id
        request = Request(id=call_id, method=method, params=msgspec.to_builtins(params or Empty()))
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = future
        try:
            process.stdin.write(encode(request))
            await process.stdin.drain()
            raw = await future
        except (BrokenPipeError, ConnectionResetError):
            raise ClientError(describe("engine_lost")) from None
        finally:
            self._waiting.pop(call_id, None)
        return self._decode(method, raw)

    async def close(self) -> None:
        """End the host; running bakes are no children of it and go on."""
        self._closing = True
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None
        await self._end_process()
        self._drop_waiting(describe("engine_lost"))
        self._set_state("off")

    async def __aenter__(self) -> EngineClient:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- the process ------------------------------------------------------------------------------------------

    async def _spawn(self) -> None:
        log = self._log or default_log()
        sink = open(log, "ab") if log else open(os.devnull, "wb")  # noqa: SIM115
        try:
            # Its own session: a ctrl+c meant for the viewer must not reach it before the viewer has closed it.
            # -P: a folder that happens to be called `engine` where the viewer was started must not be taken for ours.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "engine",
                "host",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                limit=MAX_LINE_BYTES,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_search_path())},
            )
        except OSError:
            raise ClientError(describe("engine_lost")) from None
        finally:
            sink.close()

    async def _greeting(self) -> Hello:
        while True:
            line = await self._next_line()
            if line is None:
                raise ClientError(self.error or describe("engine_lost"))
            peek = _peek(line)
            if peek.error is not None and not peek.id:
                raise ClientError(peek.error)
            if peek.type != "hello":
                continue
            theirs = msgspec.json.decode(line).get("protocol")
            if theirs != PROTOCOL:
                raise ClientError(describe("protocol_mismatch", theirs=theirs, ours=PROTOCOL))
            try:
                return _hello.decode(line)
            except msgspec.DecodeError:
                raise ClientError(describe("protocol_mismatch", theirs="?", ours=PROTOCOL)) from None

    async def _next_line(self) -> bytes | None:
        """The next line of the host, None at its end; a line above the limit is skipped."""
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:
                continue
            return line or None

    async def _read(self, started: float) -> None:
        while (line := await self._next_line()) is not None:
            try:
                self._take(line)
            except msgspec.DecodeError:
                continue
        await self._end_process()
        if self._closing:
            return
        info = describe("engine_lost")
        self.hello = None
        self._ready.clear()
        self._drop_waiting(info)
        if time.monotonic() - started > _SETTLED_SECONDS:
            self._restarts_left = 1
        if not self._restart or not self._restarts_left:
            self._fail(info)
            return
        self._restarts_left -= 1
        with contextlib.suppress(ClientError):
            await self.start()

    def _take(self, line: bytes) -> None:
        peek = _peek(line)
        if peek.type == "reply":
            future = self._waiting.get(peek.id)
            if future is None or future.done():
                return
            if peek.error is not None:
                future.set_exception(ClientError(peek.error))
            else:
                future.set_result(bytes(peek.result))
        elif peek.type in _PUSHES and self._on_push is not None:
            self._on_push(_PUSHES[peek.type].decode(line))

    def _decode(self, method: str, raw: bytes) -> Any:
        decoder = _RESULTS.get(method)
        if decoder is None:
            decoder = _RESULTS[method] = msgspec.json.Decoder(METHODS[method].result)
        try:
            return decoder.decode(raw)
        except msgspec.DecodeError as error:
            raise ClientError(describe("request_invalid", method=method, reason=error)) from None

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 2)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _drop_waiting(self, info: ErrorInfo) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ClientError(info))

    def _fail(self, info: ErrorInfo) -> None:
        self.error = info
        self._set_state("lost")
        self._ready.set()

    def _set_state(self, state: State) -> None:
        if state == self.state:
            return
        self.state = state
        if state == "starting":
            self._ready.clear()
        if self._on_state is not None:
            self._on_state(state)


def _search_path() -> list[str]:
    """Where the host finds the same `engine` as this process, installed or not."""
    ours = str(Path(engine.protocol.__file__).parents[2])
    return [ours, *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != ours)]


def _peek(line: bytes) -> _Line:
    try:
        return _line.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Line()
