"""TraitsBox: the binding assistant. Which traits leave the captions of a trigger word's images, with three captions as
they will be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Static

from engine.protocol.tags import BindParams, TagReport, Traits, TraitsParams, Verdict
from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.screens.tags_text import bar
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.plain import clip, plain, wrap
from lorabake_tui.widgets.rows import Cell, Column, RowList

_WORDS: dict[str, str] = {"bind": N_("■ bind"), "keep": N_("○ keep"), "": "—"}
_NEXT: dict[Verdict, Verdict] = {"": "bind", "bind": "keep", "keep": ""}


class TraitsBox(Box[TagReport]):
    """Returns what applying the verdicts changed, or None."""

    BINDINGS = keys.bindings("traits")
    HINTS = ("traits.verdict", "traits.propose", "traits.apply", "traits.close")
    DEFAULT_CSS = """
    TraitsBox {
        & > Frame { width: 96%; max-width: 100; height: 92%; max-height: 40; }
        & RowList { height: 1fr; }
        & #trait-samples { height: 30%; min-height: 7; margin-top: 1; color: $text-muted; }
    }
    """

    def __init__(self, path: str, trigger: str, call: Callable[[str, Any], Awaitable[Any]]) -> None:
        super().__init__(_("Bind traits to {trigger}").format(trigger=plain(trigger) or "…"))
        self._path, self._trigger, self._call = path, trigger, call
        self._traits: Traits | None = None
        self._verdicts: dict[str, Verdict] = {}
        self._samples: list[str] = []

    def body(self) -> ComposeResult:
        columns = [
            Column(_("Trait")),
            Column(_("Images"), 7, right=True),
            Column("", 12),
            Column(_("Verdict"), 10),
            Column(_("Proposal"), 10),
        ]
        yield RowList(columns, empty=_("No other tag stands beside it."))
        yield Static(id="trait-samples", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(RowList).focus()
        self._load()

    @work(exit_on_error=False)
    async def _load(self) -> None:
        self._traits = await self._call("tags.traits", TraitsParams(path=self._path, trigger=self._trigger))
        if self._traits is None:
            self.dismiss(None)
            return
        self._verdicts = {trait.tag: trait.verdict for trait in self._traits.traits if trait.verdict}
        images = ngettext("{count} image", "{count} images", self._traits.images).format(count=self._traits.images)
        self.query_one(Frame).set_title(self._title, images)
        self.query_one(RowList).show(range(len(self._traits.traits)), self._cells)
        self._preview()

    def _cells(self, number: int) -> Sequence[Cell]:
        assert self._traits is not None
        trait = self._traits.traits[number]
        verdict = self._verdicts.get(trait.tag, "")
        look = "row--strong" if verdict == "bind" else "row--dim"
        share = trait.count / max(1, self._traits.images)
        proposal = _(_WORDS[trait.proposed]) if trait.proposed and not verdict else ""
        return (
            trait.tag,
            str(trait.count),
            (bar(share, 12), "row--bar"),
            (_(_WORDS[verdict]) if verdict else "—", look),
            (proposal, "row--dim"),
        )

    @work(exclusive=True, exit_on_error=False, group="preview")
    async def _preview(self) -> None:
        """Three captions as they will be."""
        wanted = BindParams(path=self._path, trigger=self._trigger, verdicts=self._verdicts, dry_run=True)
        report = await self._call("tags.bind", wanted)
        if report is None or self._traits is None:
            return
        after = {diff.file: diff.after for diff in report.diffs}
        samples = [(sample.file, after.get(sample.file, sample.before) or "") for sample in self._traits.samples]
        count = ngettext("changes {count} caption", "changes {count} captions", report.changed)
        self._samples = [
            count.format(count=report.changed),
            *(f"{plain(name)}: {plain(text)}" for name, text in samples),
        ]
        self._show_samples()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_samples)

    def _show_samples(self) -> None:
        """The samples, each with an equal part of the room."""
        place = self.query_one("#trait-samples", Static)
        room, width = (place.content_size.height - 1) // 3, place.content_size.width
        if not self._samples or width <= 0:
            return
        lines = self._samples[:1]
        for sample in self._samples[1:]:
            whole = wrap(sample, width)
            cut = clip(" ".join(whole[room - 1 :]), width) if room > 0 else ""
            lines += whole if len(whole) <= room else [*whole[: room - 1], cut]
        place.update("\n".join(lines))

    def action_verdict(self) -> None:
        rows = self.query_one(RowList)
        if rows.current is not None and self._traits is not None:
            tag = self._traits.traits[rows.current].tag
            self._verdicts[tag] = _NEXT[self._verdicts.get(tag, "")]
            rows.restyle()
            self._preview()

    def action_propose(self) -> None:
        if self._traits is not None:
            for trait in self._traits.traits:
                if trait.proposed and not self._verdicts.get(trait.tag):
                    self._verdicts[trait.tag] = trait.proposed
            self.query_one(RowList).restyle()
            self._preview()

    @on(RowList.Selected)
    def action_apply(self) -> None:
        self._apply()

    @work(exit_on_error=False)
    async def _apply(self) -> None:
        verdicts: dict[str, Verdict] = {tag: verdict for tag, verdict in self._verdicts.items() if verdict}
        report = await self._call("tags.bind", BindParams(path=self._path, trigger=self._trigger, verdicts=verdicts))
        self.dismiss(report)

    def action_close(self) -> None:
        self.dismiss(None)
