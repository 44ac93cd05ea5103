"""Starting taggers from the Tags section: the sheet, the job, and reading the captions again when it is done."""

from __future__ import annotations

from textual import work

from engine.protocol.errors import ErrorInfo
from engine.protocol.records import RunRow
from engine.protocol.tag_options import TagOptions
from engine.protocol.tagging import TaggingReport, TagSubmit, ThresholdParams
from lorabake_tui.client import ClientError
from lorabake_tui.dialogs.tagging import TaggingSheet, options_of
from lorabake_tui.i18n import _, told
from lorabake_tui.screens.section import Section
from lorabake_tui.widgets.states import summary

_OVER = frozenset({"done", "stopped", "failed"})


class Tagging(Section, inherit_bindings=False):
    """A section from which taggers are started."""

    def __init__(self) -> None:
        super().__init__()
        self._last_values: dict[str, str] = {}
        self._ended: tuple[str, frozenset[str]] = ("", frozenset())

    def follow_taggings(self) -> None:
        """Read the captions again when a tagging of the open dataset has come to its end."""
        path = self.bench.opened.path
        ended = frozenset(
            row.id for row in self.bench.store.runs if row.kind == "tag" and row.dataset == path and row.state in _OVER
        )
        before_path, before = self._ended
        self._ended = path, ended
        if path and path == before_path and ended - before:
            self.bench.reload_dataset()

    @work(exit_on_error=False, group="tagger")
    async def action_tagger(self) -> None:
        path = self.bench.opened.path
        if not path:
            self.bench.tell(_("Open a dataset first (1, then o)."))
            return
        models = await self.call("models.list")
        if models is None:
            return

        async def look(options: TagOptions) -> str:
            asked = ThresholdParams(path=path, options=options, dry_run=True)
            try:
                report: TaggingReport = await self.bench.engine.call("tags.thresholds", asked)
            except ClientError as failure:
                return _in_words(failure.info)
            return " · ".join(summary(report, dry_run=True))

        values = await self.app.push_screen_wait(TaggingSheet(models, look, self._last_values))
        if values is None:
            return
        self._last_values = values
        options = options_of(values)
        if options is None:
            return
        if values["work"] == "stored":
            report = await self.call("tags.thresholds", ThresholdParams(path=path, options=options))
            if report is not None:
                self.bench.tell(" · ".join(summary(report, dry_run=False)))
                self.bench.reload_dataset()
            return
        row: RunRow | None = await self.call("tags.submit", TagSubmit(path=path, options=options))
        if row is not None:
            self.bench.watch_run(row.id)


def _in_words(info: ErrorInfo) -> str:
    return " ".join(part for part in told(info) if part)
