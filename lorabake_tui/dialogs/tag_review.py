"""TagReview: one tag over many pictures, the doubtful ones first; every answer is an edit, and the review goes on where
it stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from textual import work
from textual.app import ComposeResult
from textual.widgets import Static

from engine.protocol.tags import EditParams, JudgeParams, Review, ReviewParams, StepParams, TagOp, TagReport
from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.picture import Item, PictureSource, PictureView
from lorabake_tui.widgets.plain import plain


class TagReview(Box[None]):
    """Shows a picture, asks whether it shows the tag, and writes the answer into its caption."""

    BINDINGS = keys.bindings("tag_review")
    HINTS = ("tag_review.yes", "tag_review.no", "tag_review.skip", "tag_review.back", "tag_review.close")
    DEFAULT_CSS = """
    TagReview {
        & > Frame { width: 96%; height: 94%; max-height: 94%; }
        & PictureView { height: 1fr; }
        & #review-what { height: 2; margin-top: 1; }
    }
    """

    def __init__(
        self,
        path: str,
        tag: str,
        pictures: PictureSource,
        call: Callable[[str, Any], Awaitable[Any]],
        take: Callable[[TagReport], None],
    ) -> None:
        super().__init__(_("Review of {tag}").format(tag=plain(tag)))
        self._path, self._tag, self._pictures, self._call, self._take = path, tag, pictures, call, take
        self._review: Review | None = None
        self._place = 0
        self._answers: list[tuple[int, bool]] = []
        self._written: dict[int, bool] = {}

    def body(self) -> ComposeResult:
        yield PictureView(self._pictures)
        yield Static(id="review-what", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self._load()

    @work(exit_on_error=False)
    async def _load(self) -> None:
        self._review = await self._call("tags.review", ReviewParams(path=self._path, tag=self._tag))
        if self._review is None:
            self.dismiss(None)
            return
        self._place = next((n for n, row in enumerate(self._review.rows) if not row.judged), len(self._review.rows))
        self._show()

    def _show(self) -> None:
        assert self._review is not None
        rows, what = self._review.rows, self.query_one("#review-what", Static)
        judged = sum(row.judged for row in rows[self._place :]) + self._place
        self.query_one(Frame).set_title(
            _("Review of {tag}").format(tag=self._tag), f"{min(judged, len(rows))} / {len(rows)}"
        )
        if self._place >= len(rows):
            self.query_one(PictureView).show(None)
            what.update(_("All images were looked at."))
            return
        row = rows[self._place]
        self.query_one(PictureView).show(Item(self._path, row.file))
        score = _("score {score}").format(score=f"{row.score:.2f}") if row.score is not None else _("no score")
        has = self._written.get(self._place, row.written)
        state = _("■ in the caption") if has else _("□ not in the caption")
        what.update(f"{plain(row.file)}\n{state} · {score}")

    def action_yes(self) -> None:
        self._answer(True)

    def action_no(self) -> None:
        self._answer(False)

    def action_skip(self) -> None:
        if self._review is not None and self._place < len(self._review.rows):
            self._place += 1
            self._show()

    @work(exit_on_error=False, group="answers")
    async def _answer(self, has: bool) -> None:
        review, place = self._review, self._place
        if review is None or place >= len(review.rows):
            return
        row = review.rows[place]
        changed = has != self._written.get(place, row.written)
        self._place += 1
        self._written[place] = has
        self._answers.append((place, changed))
        self._show()
        if changed:
            op = TagOp(verb="add" if has else "remove", tags=[self._tag], names=[row.file])
            report = await self._call("tags.edit", EditParams(path=self._path, op=op, diffs=0))
            if report is not None:
                self._take(report)
        await self._call("tags.judge", JudgeParams(path=self._path, tag=self._tag, image=row.file))

    @work(exit_on_error=False, group="answers")
    async def action_back(self) -> None:
        if self._review is None or not self._answers:
            return
        place, changed = self._answers.pop()
        row = self._review.rows[place]
        self._place = place
        self._written[place] = not self._written[place] if changed else self._written[place]
        self._show()
        if changed:
            report = await self._call("tags.undo", StepParams(path=self._path))
            if report is not None:
                self._take(report)
        await self._call("tags.judge", JudgeParams(path=self._path, tag=self._tag, image=row.file, again=True))

    async def action_close(self) -> None:
        # What was answered last is still on its way; closing would drop it.
        answers = [worker for worker in self.workers if worker.node is self and worker.group == "answers"]
        if answers:  # none would mean all of the app's
            await self.workers.wait_for_complete(answers)
        self.dismiss(None)
