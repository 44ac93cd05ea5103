"""Outcomes: what finished bakes took beside their estimates, as Monitor and Results tell it; the engine knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.protocol.estimates import Outcome
from engine.protocol.messages import RunParams
from engine.protocol.records import RunRow
from lorabake_tui.client import ClientError
from lorabake_tui.commands.estimate import took
from lorabake_tui.commands.text import duration, size
from lorabake_tui.i18n import _
from lorabake_tui.screens.section import Section

_LOOKS = 10
_BETWEEN_SECONDS = 0.2


class Outcomes:
    """Asks once for each bake that is done; `came` is called when there is an answer."""

    def __init__(self, section: Section, came: Callable[[], object]) -> None:
        self._section, self._came = section, came
        self._known: dict[str, Outcome | None] = {}

    def sentence(self, row: RunRow | None) -> str:
        """Estimate and truth in a sentence, "" while nothing is known."""
        return "".join(took(self._of(row)))

    def words(self, row: RunRow | None) -> str:
        """The same in as few words as can be."""
        found = self._of(row)
        if found is None or not found.estimated_seconds:
            return ""
        pairs = [(duration(found.seconds), duration(found.estimated_seconds))]
        if found.memory_bytes and found.estimated_memory:
            pairs.append((size(found.memory_bytes), size(found.estimated_memory)))
        return " · ".join(_("{truth} (est. {estimate})").format(truth=one, estimate=other) for one, other in pairs)

    def _of(self, row: RunRow | None) -> Outcome | None:
        if row is None or row.kind != "bake" or row.state != "done":
            return None
        if row.id not in self._known:
            self._known[row.id] = None
            self._section.run_worker(self._ask(row.id), exit_on_error=False, group="outcome")
        return self._known[row.id]

    async def _ask(self, run: str) -> None:
        # The worker writes it just after its last event, which the journal's reader may have seen already.
        for _look in range(_LOOKS):
            try:
                found: list[Outcome] = await self._section.bench.engine.call("runs.outcome", RunParams(run=run))
            except ClientError:
                self._known.pop(run, None)  # asked again of the next engine
                return
            if found:
                self._known[run] = found[0]
                self._came()
                return
            await asyncio.sleep(_BETWEEN_SECONDS)
