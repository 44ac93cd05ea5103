"""Draws regularisation images with a base model into a folder: prompts in turn, seeds counted up, resumable by file.

A picture that is there already is not drawn again, so a job that died goes on where it was. Sampling is `preview`'s.
"""

from __future__ import annotations

import time
from pathlib import Path

from engine.models.catalogue import locate
from engine.models.load import load_model
from engine.protocol import events
from engine.protocol.control import ControlReader
from engine.protocol.files import atomic_write
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.runs.folder import RunFolder
from engine.runs.parking import Parked
from engine.train import faults
from engine.train.cache import Captions
from engine.train.control import Control, Stopped
from engine.train.device import choose, make_repeatable, usable_threads
from engine.train.preview import Picture, draw

BATCH = 4
"""Pictures that are drawn together, as previews are."""


def regularise(run: RunFolder, job: Job, journal: JournalWriter, control: ControlReader) -> None:
    """Draw what is missing of `job.count` pictures into `job.out`; journals everything, `finished` included.

    Raises EngineError for a failure, after its `error` event.
    """
    requests, stage = Control(control, journal), faults.Stage(journal)
    began = time.monotonic()
    out = Path(job.out)
    with faults.journaled(run, job, journal, stage):
        reason = "done"
        try:
            _draw_all(job, out, journal, requests, stage)
        except Stopped:
            reason = "stopped"
        requests.done("stop", "stop_now")
        journal.emit(
            events.Finished,
            reason=reason,
            step=job.count - len(missing(job, out)),
            seconds=time.monotonic() - began,
            out=str(out),
        )
        journal.sync()


def missing(job: Job, out: Path) -> list[int]:
    """The places, from 0, of the pictures that are still to be drawn."""
    return [place for place in range(job.count) if not _file(out, place).exists()]


def _file(out: Path, place: int) -> Path:
    return out / f"reg-{place + 1:05d}.png"


def _draw_all(job: Job, out: Path, journal: JournalWriter, requests: Control, stage: faults.Stage) -> None:
    stage.enter("prepare")
    params = job.params
    places = missing(job, out)
    compute = choose(params)
    stage.device = compute.name
    requests.check()
    stage.enter("load")
    model = load_model(locate(job.base).path, device=compute.device, dtype=compute.dtype)
    make_repeatable(usable_threads(model.unet))
    words = Captions(model, params).plain
    stage.enter("draw")
    began, total = time.monotonic(), len(places)

    def tick() -> None:
        requests.check()
        if requests.wants("pause"):
            journal.emit(events.Paused, step=job.count - len(missing(job, out)))
            requests.done("pause")
            raise Parked

    for start in range(0, total, BATCH):
        some = places[start : start + BATCH]
        pictures = [Picture(job.prompts[place % len(job.prompts)], params.seed + place + 1) for place in some]
        drawn = draw(model, pictures, words, params, compute, tick)
        for place, picture, data in zip(some, pictures, drawn, strict=True):
            file = _file(out, place)
            # The caption first: a picture that is there has its words.
            atomic_write(file.with_suffix(".txt"), picture.prompt.encode() + b"\n", mode=0o644)
            atomic_write(file, data, mode=0o644)
        done = start + len(some)
        left = (time.monotonic() - began) / done * (total - done)
        journal.emit(events.Progress, phase="draw", done=job.count - total + done, total=job.count, eta_s=left)
