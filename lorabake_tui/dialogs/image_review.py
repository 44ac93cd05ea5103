"""ImageReview: look through pictures and reject some, all of them for their quality, or pairs that are almost one.
Every answer is kept as it is given; only at the end, asked for, what was rejected goes to the dataset's trash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from engine.protocol.datasets import ImagesParams
from engine.protocol.errors import ErrorInfo
from engine.protocol.messages import CheckParams, FindingsParams
from engine.protocol.records import CheckReport, Finding, ImageRow
from engine.protocol.tags import JudgeParams, Review, ReviewParams
from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _, told
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.picture import Item, PictureSource, PictureView
from lorabake_tui.widgets.plain import plain

_TWINS = ("image_duplicate", "image_similar")
_LOOKED_AT = {False: ",quality", True: ",twins"}
"""Under which name it is kept what was looked at; no tag holds a comma."""
_REJECTED = ",no"
"""What that name ends with for what was rejected and not taken away yet."""


class _Row(NamedTuple):
    image: ImageRow
    beside: ImageRow | None
    why: str
    seen: bool


class ImageReview(Box[int]):
    """Returns how many images were moved to the trash, None when none was."""

    BINDINGS = keys.bindings("image_review")
    HINTS = (
        "image_review.keep",
        "image_review.reject",
        "image_review.swap",
        "image_review.back",
        "image_review.finish",
        "image_review.close",
    )
    DEFAULT_CSS = """
    ImageReview {
        & > Frame { width: 96%; height: 94%; max-height: 94%; }
        & Horizontal { height: 1fr; }
        & PictureView { width: 1fr; height: 1fr; }
        & #image-what { height: 2; margin-top: 1; }
    }
    """

    def __init__(
        self,
        path: str,
        images: Sequence[ImageRow],
        pictures: PictureSource,
        call: Callable[[str, Any], Awaitable[Any]],
        *,
        twins: bool,
    ) -> None:
        super().__init__(_("Almost the same") if twins else _("Quality"))
        self._path, self._images, self._pictures, self._call, self._twins = path, images, pictures, call, twins
        self._rows: list[_Row] = []
        self._place = 0
        self._answers: list[tuple[int, ImageRow, bool]] = []
        self._name = _LOOKED_AT[twins]

    def body(self) -> ComposeResult:
        with Horizontal():
            yield PictureView(self._pictures, id="image-left")
            if self._twins:
                yield PictureView(self._pictures, id="image-right")
        yield Static(id="image-what", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#image-what", Static).update(_("looking at images"))
        self._load()

    @work(exit_on_error=False)
    async def _load(self) -> None:
        report: CheckReport | None = await self._call("dataset.check", CheckParams(path=self._path))
        seen, rejected = await self._judged(self._name), await self._judged(self._name + _REJECTED)
        if report is None or seen is None or rejected is None:
            self.dismiss(None)
            return
        findings, following = list(report.findings), report.next
        while following is not None:
            page = await self._call("dataset.findings", FindingsParams(path=self._path, offset=following))
            if page is None:
                break
            findings, following = findings + page.findings, page.next
        rows = self._pairs(findings, seen, rejected) if self._twins else self._doubtful(findings, seen | rejected)
        self._rows = sorted(rows, key=lambda row: not row.seen)
        self._place = sum(row.seen for row in self._rows)
        # What was rejected before, and still is there, can be taken back like what is rejected now.
        self._answers = [
            (place, row.image, False) for place, row in enumerate(self._rows) if row.image.name in rejected
        ]
        self._show()

    async def _judged(self, name: str) -> set[str] | None:
        review: Review | None = await self._call("tags.review", ReviewParams(path=self._path, tag=name))
        return None if review is None else {row.file for row in review.rows if row.judged}

    async def _judge(self, name: str, image: ImageRow, *, again: bool = False) -> None:
        await self._call("tags.judge", JudgeParams(path=self._path, tag=name, image=image.name, again=again))

    def _pairs(self, findings: Sequence[Finding], seen: set[str], rejected: set[str]) -> list[_Row]:
        """Pairs, the smaller picture first, of equal ones the later name: it is the one to go."""
        known = {row.name: row for row in self._images}
        rows = []
        for finding in findings:
            one, other = known.get(finding.file), known.get(finding.args.get("other", ""))
            if finding.code in _TWINS and one is not None and other is not None:
                pair = sorted((one, other), key=lambda row: row.name, reverse=True)
                worse, better = sorted(pair, key=lambda row: row.width * row.height)
                if better.name in rejected and worse.name not in rejected:
                    worse, better = better, worse
                rows.append(_Row(worse, better, _why(finding), worse.name in seen | rejected))
        return rows

    def _doubtful(self, findings: Sequence[Finding], seen: set[str]) -> list[_Row]:
        """All images, those with the most findings and then the smallest first."""
        why: dict[str, list[str]] = {}
        for finding in findings:
            why.setdefault(finding.file, []).append(_why(finding))
        rows = [_Row(row, None, " ".join(why.get(row.name, [])), row.name in seen) for row in self._images]
        return sorted(rows, key=lambda row: (-len(why.get(row.image.name, [])), row.image.width * row.image.height))

    def _show(self) -> None:
        what = self.query_one("#image-what", Static)
        rejected = [image.name for _place, image, keep in self._answers if not keep]
        count = _("{count} rejected").format(count=len(rejected))
        self.query_one(Frame).set_title(self._title, f"{self._place} / {len(self._rows)} · {count}")
        left = self.query_one("#image-left", PictureView)
        if self._place >= len(self._rows):
            left.show(None)
            if self._twins:
                self.query_one("#image-right", PictureView).show(None)
            looked = _("All images were looked at.") if self._rows else _("No two images are almost the same.")
            what.update(looked + ("\n" + _("Enter moves what was rejected to the trash.") if rejected else ""))
            return
        row = self._rows[self._place]
        left.show(Item(self._path, row.image.name))
        names = _size(row.image)
        if row.beside is not None:
            self.query_one("#image-right", PictureView).show(Item(self._path, row.beside.name))
            names += "  |  " + _size(row.beside)
        what.update(f"{names}\n{plain(row.why)}")

    @work(exit_on_error=False, group="answers")
    async def _answer(self, *, keep: bool) -> None:
        if self._place < len(self._rows):
            image = self._rows[self._place].image
            self._answers.append((self._place, image, keep))
            self._place += 1
            self._show()
            await self._judge(self._name if keep else self._name + _REJECTED, image)

    def action_keep(self) -> None:
        self._answer(keep=True)

    def action_reject(self) -> None:
        self._answer(keep=False)

    def action_swap(self) -> None:
        if self._place < len(self._rows):
            row = self._rows[self._place]
            if row.beside is not None:
                self._rows[self._place] = row._replace(image=row.beside, beside=row.image)
                self._show()

    @work(exit_on_error=False, group="answers")
    async def action_back(self) -> None:
        if self._answers:
            self._place, image, keep = self._answers.pop()
            self._show()
            await self._judge(self._name if keep else self._name + _REJECTED, image, again=True)

    async def _settled(self) -> None:
        """What was answered last is still on its way; closing would drop it."""
        answers = [worker for worker in self.workers if worker.node is self and worker.group == "answers"]
        if answers:  # none would mean all of the app's
            await self.workers.wait_for_complete(answers)

    @work(exit_on_error=False, group="finish")
    async def action_finish(self) -> None:
        """Move what was rejected to the trash."""
        await self._settled()
        rejected = {image.name: image for _place, image, keep in self._answers if not keep}
        if not rejected:
            self.dismiss(None)
            return
        report = await self._call("dataset.remove", ImagesParams(path=self._path, images=list(rejected)))
        if report is not None:  # should they come back from the trash, they are looked at anew
            for image in rejected.values():
                await self._judge(self._name + _REJECTED, image, again=True)
        self.dismiss(report.count if report is not None else None)

    async def action_close(self) -> None:
        await self._settled()
        self.dismiss(None)


def _size(row: ImageRow) -> str:
    return f"{plain(row.name)} {row.width}×{row.height}"


def _why(finding: Finding) -> str:
    return told(ErrorInfo(code=finding.code, message=finding.message, hint=finding.hint, args=finding.args))[0]
