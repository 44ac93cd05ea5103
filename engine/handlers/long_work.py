"""Long requests on datasets: what tells a viewer how far they are, and ends them when it says so."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.protocol.errors import EngineError
from engine.protocol.messages import Progress

if TYPE_CHECKING:
    from engine.dataset.tell import Tell

_TELL_SECONDS = 0.2


class LongWork:
    """The long requests at work, by folder and method."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._at_work: dict[tuple[Path, str], list[threading.Event]] = {}

    @contextlib.contextmanager
    def telling(self, root: Path, task: str) -> Iterator[Tell]:
        """What pushes `Progress` of `task` a few times a second, and raises EngineError `cancelled` once `cancel` was
        called for it."""
        from engine.dataset.names import printable

        path, last, ended = printable(str(root)), [time.monotonic()], threading.Event()

        def tell(done: int, total: int) -> None:
            if ended.is_set() and done < total:
                raise EngineError("cancelled", done=done, total=total)
            now = time.monotonic()
            if now - last[0] >= _TELL_SECONDS:
                last[0] = now
                self._send(Progress(path=path, task=task, done=done, total=total))

        with self._lock:
            self._at_work.setdefault((root, task), []).append(ended)
        try:
            yield tell
        finally:
            with self._lock:
                self._at_work[root, task].remove(ended)

    def cancel(self, root: Path, task: str = "") -> None:
        """End the work on a folder, all of it or that of one method; none is no mistake: it was done already."""
        with self._lock:
            for (where, what), events in self._at_work.items():
                if where == root and task in ("", what):
                    for event in events:
                        event.set()
