"""Following a run's journal for a section: replay what the store lacks, let go of what nobody looks at."""

from __future__ import annotations

from engine.protocol.messages import RunParams, WatchParams
from lorabake_tui.screens.section import Section


class Watching:
    """The one run a section follows. A host that was restarted is asked anew."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._asked: tuple[str, int] | None = None

    def follow(self, run: str) -> None:
        """Begin to follow `run`, unless that is so already; costs nothing to repeat."""
        bench = self._section.bench
        hello = bench.engine.hello
        if hello is None or self._asked == (run, hello.pid):
            return
        self._asked = run, hello.pid
        self._section.run_worker(self._watch(run), exit_on_error=False, group="watch")

    async def _watch(self, run: str) -> None:
        store = self._section.bench.store
        seq = store.fold(run).seq
        await self._section.call("runs.watch", WatchParams(run=run, seq=seq, brief=True))
        for gone in store.take_dropped():
            await self._section.call("runs.unwatch", RunParams(run=gone))
