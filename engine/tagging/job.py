"""A job of kind `tag`: fetches and loads the taggers, scores every image that has no scores yet, writes the captions.

Scores are saved every few seconds, so that a job that was stopped or killed goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from engine.dataset import tag_edit
from engine.dataset.scan import Dataset, ImageFile, scan
from engine.protocol import events
from engine.protocol.control import ControlReader
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.errors import describe as describe_error
from engine.protocol.events import Plan
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.protocol.tagging import TaggingReport
from engine.runs.folder import RunFolder
from engine.runs.parking import Parked
from engine.tagging import apply, captioners
from engine.tagging.captioners import Captioner
from engine.tagging.contracts import Tagger, find
from engine.tagging.feed import Prepared, prepared
from engine.tagging.fetch import fetch
from engine.tagging.scores import Scores
from engine.tagging.session import Session
from engine.train.control import Control, Stopped

SAVE_SECONDS = 5.0
_TELL_SECONDS = 0.5
_NAMED = 20
"""Unreadable images that are named one by one; the others are only counted."""
_BUSY_TRIES = 6


def tag(run: RunFolder, job: Job, journal: JournalWriter, control: ControlReader) -> None:
    """Do the job; raises what is wrong with taggers or dataset as EngineError."""
    _Tagging(job, journal, Control(control, journal)).work()


class _Tagging:
    def __init__(self, job: Job, journal: JournalWriter, control: Control) -> None:
        self.job, self.journal, self.control = job, journal, control
        self.options = job.tagging
        self.began = time.monotonic()
        self.failed: set[str] = set()

    def work(self) -> None:
        """From the folder to the captions, or until somebody says stop."""
        apply.check(self.options)
        self.journal.emit(events.Phase, name="prepare")
        dataset = scan(Path(self.job.dataset))
        captioner = captioners.find(self.options.taggers[0]) if len(self.options.taggers) == 1 else None
        taggers = [] if captioner is not None else [find(name) for name in self.options.taggers]
        self.journal.emit(events.Phase, name="load")
        try:
            if captioner is not None:
                self._describe(captioner, dataset)
                self._finish("done")
                return
            scores = [self._score(tagger, dataset) for tagger in taggers]
            self._write(scores)
            self._finish("done")
        except Stopped:
            self.control.done("stop", "stop_now")
            self._finish("stopped")

    # -- sentences --------------------------------------------------------------------------------------------

    def _describe(self, captioner: Captioner, dataset: Dataset) -> None:
        from engine.tagging import describe, sentences

        model = describe.Model(captioner)
        kept = sentences.Kept(dataset.path, captioner)
        only = set(self.options.images)
        usable = [image for image in dataset.images if image.usable and (not only or image.name in only)]
        open_ones = [image for image in usable if self.options.again or kept.of(image) is None]
        device = "CPU" if model.device == "cpu" else "CUDA"
        plan = Plan(images=len(usable), base=captioner.name, device=device, precision=model.precision, batch=1)
        self.journal.emit(events.Phase, name="tag", plan=plan)
        start, done = time.monotonic(), len(usable) - len(open_ones)

        def tell(number: int) -> None:
            self._tell(done + number, len(usable), number / max(1e-6, time.monotonic() - start))

        def fail(image: ImageFile, info: ErrorInfo) -> None:
            self._fail(iter([describe_error(info.code, **{**info.args, "file": image.name})]))
            self.failed.add(image.name)

        self._tell(done, len(usable))
        describe.describe(model, kept, open_ones, check=self._stop_or_wait, tell=tell, fail=fail)
        self.journal.emit(events.Phase, name="save")
        dataset = scan(Path(self.job.dataset))
        planned = sentences.plan(dataset, captioner, kept, self.options.existing, only)
        changed = 0
        if self.options.write:
            changed = len(tag_edit.carry_out(dataset, planned).captions)
        self.journal.emit(
            events.Tagged, images=len(dataset.images), scored=len(usable), changed=changed, failed=len(self.failed)
        )

    # -- scoring ----------------------------------------------------------------------------------------------

    def _score(self, tagger: Tagger, dataset: Dataset) -> Scores:
        fetch(tagger)
        self.control.check()
        session = Session(tagger, self.options.batch)
        self._say(session.notices)
        kept = Scores(dataset.path, tagger.name)
        contract = tagger.contract
        kept.begin(session.mark, session.labels, contract.general, contract.character, again=self.options.again)
        only = set(self.options.images)
        images = [image for image in dataset.images if not only or image.name in only]
        open_ones = [image for image in images if image.usable and not kept.has(image)]
        broken = [image for image in images if not image.usable]
        self._fail(
            next((info for info in dataset.findings if info.args.get("file") == one.name), None) for one in broken
        )
        self.failed.update(one.name for one in broken)
        self.journal.emit(events.Phase, name="tag", plan=self._plan(session, len(images)))
        try:
            self._run(session, kept, open_ones, done=len(images) - len(open_ones), total=len(images))
        finally:
            if not only:
                kept.keep_only(image.name for image in dataset.images)
            kept.save()
        return kept

    def _plan(self, session: Session, images: int) -> Plan:
        return Plan(
            images=images,
            base=session.tagger.name,
            device=session.provider,
            precision="fp32",
            batch=session.batch,
        )

    def _run(self, session: Session, kept: Scores, images: list[ImageFile], *, done: int, total: int) -> None:
        start = saved = time.monotonic()
        told, first = 0.0, done
        self._tell(done, total)
        feed = prepared(images, session)
        try:
            for batch in _batches(feed, session):
                self._stop_or_wait(kept)
                self._fail(one.problem for one in batch)
                self.failed.update(one.image.name for one in batch if one.pixels is None)
                good = [one for one in batch if one.pixels is not None]
                squares = [one.pixels for one in good if one.pixels is not None]
                answers = list(session.scores(squares)) if squares else []
                self._say(session.notices)
                for one, row in zip(good, answers, strict=True):
                    assert one.file is not None
                    kept.put(one.image.name, one.file, row)
                done += len(batch)
                now = time.monotonic()
                if now - told >= _TELL_SECONDS or done == total:
                    told = now
                    self._tell(done, total, (done - first) / max(1e-6, now - start))
                if now - saved >= SAVE_SECONDS:
                    saved = now
                    kept.save()
        finally:
            feed.close()

    def _stop_or_wait(self, kept: Scores | None = None) -> None:
        self.control.check()
        if self.control.wants("pause"):
            if kept is not None:
                kept.save()
            self.journal.emit(events.Paused, step=0)
            if not self.options.again:
                # What is scored is kept: the next process finds the rest, and this one's memory is free meanwhile.
                self.control.done("pause")
                raise Parked
            self.control.hold()
            self.journal.emit(events.Resumed, step=0)

    def _tell(self, done: int, total: int, per_s: float | None = None) -> None:
        eta = (total - done) / per_s if per_s else None
        self.journal.emit(events.Progress, phase="tag", done=done, total=total, eta_s=eta, per_s=per_s)

    def _fail(self, problems: Iterator[ErrorInfo | None]) -> None:
        # The second tagger fails at the same images.
        new = [info for info in problems if info is not None and info.args.get("file") not in self.failed]
        self._say(new[: max(0, _NAMED - len(self.failed))])

    def _say(self, notices: list[ErrorInfo]) -> None:
        for info in notices:
            fields = {"code": info.code, "message": info.message, "hint": info.hint, "args": info.args}
            self.journal.emit(events.Warning, **fields)
        notices.clear()

    # -- writing ----------------------------------------------------------------------------------------------

    def _write(self, scores: list[Scores]) -> None:
        self.journal.emit(events.Phase, name="save")
        # Read again: captions may have been edited while the model was at work.
        dataset = scan(Path(self.job.dataset))
        planned = apply.plan(dataset, self.options, scores)
        report = planned.report
        if self.options.write:
            report, _ = self._patiently(dataset, planned)
        self.journal.emit(
            events.Tagged,
            images=report.images,
            scored=report.scored,
            changed=report.changed if self.options.write else 0,
            added=report.added if self.options.write else 0,
            removed=report.removed if self.options.write else 0,
            kept=report.kept,
            failed=len(self.failed),
        )

    def _patiently(self, dataset: Dataset, planned: apply.Planned) -> tuple[TaggingReport, dict[str, str | None]]:
        for _ in range(_BUSY_TRIES):
            try:
                return apply.carry_out(dataset, planned)
            except EngineError as error:
                if error.info.code != "dataset_busy":
                    raise
                self.control.check()
        raise EngineError("tags_dataset_busy", path=self.job.dataset)

    def _finish(self, reason: str) -> None:
        self.journal.emit(events.Finished, reason=reason, seconds=time.monotonic() - self.began)
        self.journal.sync()


def _batches(feed: Iterator[Prepared], session: Session) -> Iterator[list[Prepared]]:
    while batch := list(islice(feed, session.batch)):
        yield batch
