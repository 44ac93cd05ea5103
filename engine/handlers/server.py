"""The loop of a host: reads requests, lets a few threads carry them out, answers each exactly once.

What the methods do is the other modules of `handlers`; who opens the wire is `engine.host`.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec

from engine.handlers import Context, Then, handler
from engine.home import home
from engine.host import EXIT_CANNOT_START, Wire
from engine.protocol import PROTOCOL
from engine.protocol.drawing import Drawn
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.messages import METHODS, Reply, Request
from engine.protocol.records import Job, ManifestEntry
from engine.protocol.wire import MAX_LINE_BYTES, decode
from engine.runs.queue import QueueFile, Ticket

_THREADS = 6
_LAST_SECONDS = 1.0
"""How long requests at work may go on after the viewer has gone, so that no half-written file stays behind."""


def settle_types() -> None:
    """Let msgspec work out the structs that several threads read, while there is one thread.

    It does so at the first use of a struct, and two threads in there at once bring the process down.
    """
    shared = [Request, Job, ManifestEntry, Ticket, QueueFile, Drawn, *(method.params for method in METHODS.values())]
    for kind in shared:
        msgspec.json.Decoder(kind)


class Server:
    """Reads requests, lets a few threads carry them out, and answers each exactly once."""

    def __init__(self, wire: Wire) -> None:
        settle_types()
        # A reply about a key must not wait behind a scan or a check: threads hand over after a millisecond, not five.
        sys.setswitchinterval(0.001)
        self.wire = wire
        self.context = Context(wire.send)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="request")
        self._open: set[Future[None]] = set()

    def read(self, fd: int) -> int:
        """Take lines until the end of the input (0) or a viewer of another protocol (3)."""
        pending = b""
        skipping = False
        while not self.wire.broken:
            chunk = os.read(fd, 65536)
            if not chunk:
                return 0
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if not skipping and line.strip() and not self._take(line):
                    return EXIT_CANNOT_START
                skipping = False
            if len(pending) > MAX_LINE_BYTES:
                pending, skipping = b"", True
        return 0

    def _take(self, line: bytes) -> bool:
        """Handle one line; False when the viewer cannot be talked to. Noise is told on stderr and skipped."""
        message = decode(line)
        kind = message.get("type") if message else None
        if message is not None and kind == "hello":
            return self._greeted(message)
        if message is None or kind != "request":
            print(f"a line that is no request was skipped ({len(line)} bytes)", file=sys.stderr)
            return True
        try:
            request = msgspec.convert(message, Request)
        except msgspec.ValidationError as error:
            number = message.get("id")
            self.wire.send(
                Reply(
                    id=number if isinstance(number, int) else 0,
                    error=describe("request_invalid", method=str(message.get("method"))[:80], reason=error),
                )
            )
            return True
        future = self._pool.submit(self._answer, request)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return True

    def _greeted(self, message: dict[str, Any]) -> bool:
        theirs = message.get("protocol")
        if theirs == PROTOCOL:
            return True
        info = describe("protocol_mismatch", theirs=PROTOCOL, ours=theirs)
        self.wire.send(Reply(id=0, error=info))
        print(info.message, info.hint, file=sys.stderr)
        return False

    def _answer(self, request: Request) -> None:
        after = None
        try:
            result = self.carry_out(request.method, request.params)
            if isinstance(result, Then):
                result, after = result.result, result.after
            reply = Reply(id=request.id, result=result)
        except EngineError as error:
            reply = Reply(id=request.id, error=error.info)
        except Exception as error:
            reply = Reply(id=request.id, error=_unexpected(error))
        try:
            self.wire.send(reply)
        except Exception as error:  # a result that JSON cannot hold still needs an answer
            self.wire.send(Reply(id=request.id, error=_unexpected(error)))
        if after is not None:
            after()

    def carry_out(self, method: str, params: dict[str, Any]) -> Any:
        """The result of one call; raises EngineError."""
        types = METHODS.get(method)
        if types is None:
            raise EngineError("method_unknown", method=method[:80])
        try:
            arguments = msgspec.convert(params, types.params)
        except msgspec.ValidationError as error:
            raise EngineError("request_invalid", method=method, reason=error) from None
        return handler(method)(self.context, arguments)

    def close(self) -> None:
        """Start nothing new and give what is at work a moment."""
        self.context.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + _LAST_SECONDS
        for future in list(self._open):
            try:
                future.result(timeout=max(0.0, deadline - time.monotonic()))
            except BaseException:
                continue


def _unexpected(error: Exception) -> ErrorInfo:
    traceback.print_exception(error, file=sys.stderr)
    return describe("internal", reason=f"{type(error).__name__}: {error}"[:300], log=home() / "host.log")
