"""A job of kind `test`: keeps a base model in memory and draws what is asked of it, until nobody asks any more.

It leaves when it was idle for ten minutes, and at once when another job waits for the device it holds; one that draws
`beside` a bake, when the device is free.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

import msgspec

from engine.drawing import beside, history
from engine.drawing.apply import Dressed
from engine.drawing.picture import draw
from engine.drawing.submit import close, requests
from engine.models.catalogue import locate
from engine.models.load import load_model
from engine.protocol import events
from engine.protocol.control import ControlReader
from engine.protocol.drawing import Drawn, Shot
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.files import atomic_path, atomic_write
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.runs import queue
from engine.runs.folder import RunFolder
from engine.train import faults
from engine.train.control import Control, Stopped
from engine.train.device import Compute, choose, make_repeatable, usable_threads

IDLE_SECONDS = 600.0
"""LORABAKE_TEST_IDLE overrides it."""
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 1.0


def serve(run: RunFolder, job: Job, journal: JournalWriter, control: ControlReader) -> None:
    """Draw until the end; journals everything, `finished` included. Raises EngineError for what ends the worker."""
    session = _Session(run, job, journal, Control(control, journal))
    began = time.monotonic()
    reason = "done"
    try:
        with faults.journaled(run, job, journal, session.stage):
            try:
                session.load()
                session.work()
            except Stopped:
                reason = "stopped"
    finally:
        session.end()
    session.control.done("stop", "stop_now")
    journal.emit(events.Finished, reason=reason, step=session.pictures, seconds=time.monotonic() - began)
    journal.sync()


class _Session:
    def __init__(self, run: RunFolder, job: Job, journal: JournalWriter, control: Control) -> None:
        self.run, self.job, self.journal, self.control = run, job, journal, control
        self.stage = faults.Stage(journal)
        self.pictures = 0
        self._done = 0
        self._looked = time.monotonic()
        self._idle = _idle_seconds()
        self._compute: Compute
        self._dressed: Dressed

    def load(self) -> None:
        """The base model, once."""
        self.stage.enter("prepare")
        params = self.job.params
        if beside.on_processor():
            # Half precision was asked for the GPU; a processor is slow with it, or has none.
            params = msgspec.structs.replace(params, precision="auto")
        self._compute = choose(params)
        self.stage.device = self._compute.name
        self.stage.enter("load")
        located = locate(self.job.base)
        model = load_model(
            located.path,
            device=self._compute.device,
            dtype=self._compute.dtype,
            prediction_type=located.prediction_type,
            zero_terminal_snr=located.zero_terminal_snr or None,
        )
        make_repeatable(usable_threads(model.unet))
        self._dressed = Dressed(model)

    def work(self) -> None:
        """Take requests in their order; return when it is time to leave."""
        plan = events.Plan(base=self.job.base, device=self._compute.name, precision=self._compute.precision)
        self.stage.enter("draw", plan)
        last = time.monotonic()
        while True:
            self.control.check()
            waiting = requests(self.run)
            if len(waiting) > self._done:
                self._carry_out(waiting[self._done])
                self._done += 1
                last = time.monotonic()
                continue
            leave = time.monotonic() - last > self._idle or (self._looks_up() and self._is_wanted_away())
            if leave and close(self.run, self._done):
                return
            time.sleep(_POLL_SECONDS)

    def _looks_up(self) -> bool:
        """Now and then: what lies on the disk is not read between any two steps."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        return True

    def _is_wanted_away(self) -> bool:
        """Whether another job waits for what this worker holds."""
        return beside.over() if beside.is_guest() else _somebody_waits(self.run)

    def _tick(self) -> None:
        """Between two steps of a picture; raises Stopped, or EngineError `test_gave_way` where a bake goes on."""
        self.control.check()
        if self._looks_up() and beside.bake_goes_on():
            raise EngineError("test_gave_way")

    def end(self) -> None:
        """Whatever was asked and not drawn is told so."""
        with contextlib.suppress(OSError):
            while not close(self.run, self._done):
                for ident in requests(self.run)[self._done :]:
                    self._done += 1
                    with contextlib.suppress(EngineError):
                        self._fail(history.load(ident), EngineError("test_lost", test=ident).info, 0)

    def _carry_out(self, ident: str) -> None:
        began = time.monotonic()
        try:
            drawn = history.load(ident)
        except EngineError as error:
            self._tell(ident, "failed", error=error.info)
            return
        if drawn.state != "waiting":  # it was taken back
            self._tell(ident, "failed", error=drawn.error)
            return
        drawn = msgspec.structs.replace(drawn, state="drawing")
        history.write(drawn)
        done, total = 0, len(drawn.shots)
        self._tell(ident, "drawing", 0, total)
        try:
            for done, shot in enumerate(drawn.shots):
                self._picture(drawn, done, shot)
                self._tell(ident, "drawing", done + 1, total)
            sheet = self._sheet(drawn)
            if drawn.out:
                _deliver(drawn, sheet)
        except Stopped:
            self._done += 1
            self._fail(drawn, EngineError("test_stopped", test=ident).info, done)
            raise
        except EngineError as error:
            self._fail(drawn, error.info, done)
            return
        except Exception as error:
            known = faults.known(error, self.run, self.job, self.stage)
            if known is None:
                raise
            self._fail(drawn, known.info, done)
            return
        seconds = time.monotonic() - began
        history.write(msgspec.structs.replace(drawn, state="done", done=total, seconds=seconds, sheet=sheet))
        self._tell(ident, "done", total, total)

    def _picture(self, drawn: Drawn, place: int, shot: Shot) -> None:
        self._tick()
        factor = self._dressed.model.vae_factor
        if shot.width % factor or shot.height % factor:
            size = f"{shot.width}x{shot.height}"
            raise EngineError("param_invalid", name="size", value=size, allowed=f"{factor}, {2 * factor} …")
        self._dressed.wear(shot.loras)
        data = draw(self._dressed.model, drawn.base, shot, self._compute, self._tick)
        atomic_write(history.picture_file(drawn, place), data)
        self.pictures += 1

    def _sheet(self, drawn: Drawn) -> str:
        if not drawn.cells:
            return ""
        from engine.drawing.sheet import sheet

        path = Path(drawn.dir) / "grid.png"
        atomic_write(path, sheet(drawn))
        return path.name

    def _fail(self, drawn: Drawn, info: ErrorInfo, done: int) -> None:
        history.write(msgspec.structs.replace(drawn, state="failed", done=done, error=info))
        self._tell(drawn.id, "failed", done, len(drawn.shots), info)

    def _tell(self, ident: str, state: str, done: int = 0, total: int = 0, error: ErrorInfo | None = None) -> None:
        self.journal.emit(events.Tested, test=ident, state=state, done=done, total=total, error=error)


def _idle_seconds() -> float:
    with contextlib.suppress(ValueError):
        return max(0.0, float(os.environ.get("LORABAKE_TEST_IDLE", "")))
    return IDLE_SECONDS


def _somebody_waits(run: RunFolder) -> bool:
    return any(item.state == "queued" and item.run.id != run.id for item in queue.waiting())


def _deliver(drawn: Drawn, sheet: str) -> None:
    """Copies into the folder that was named; raises EngineError `out_unwritable`."""
    out = Path(drawn.out)
    names = [
        (history.picture_file(drawn, place), f"{drawn.id}-{place + 1:02d}.png") for place in range(len(drawn.shots))
    ]
    names += [(Path(drawn.dir) / sheet, f"{drawn.id}-grid.png")] if sheet else []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for source, name in names:
            with atomic_path(out / name, mode=0o644) as temporary:
                shutil.copyfile(source, temporary)
    except OSError as error:
        raise EngineError("out_unwritable", path=out, reason=error.strerror or error) from None
