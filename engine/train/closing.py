"""What is done between epochs: the LoRA file, the state, held-out loss, previews; also on demand within one."""

from __future__ import annotations

import math
import time
from functools import partial
from pathlib import Path

from engine.lora import kohya
from engine.lora.metadata import Moment, Origin, metadata
from engine.protocol import events
from engine.protocol.errors import EngineError, describe
from engine.protocol.files import atomic_write, make_private_dir
from engine.protocol.journal import JournalWriter
from engine.train import checkpoint, preview, validation
from engine.train.control import Control
from engine.train.faults import Stage
from engine.train.report import Clock, Reporter
from engine.train.resting import rest
from engine.train.setup import Setup
from engine.train.space import Space


class Closing:
    """Closes epochs of one bake."""

    def __init__(
        self,
        setup: Setup,
        journal: JournalWriter,
        control: Control,
        stage: Stage,
        report: Reporter,
        clock: Clock,
        space: Space,
    ) -> None:
        self._setup = setup
        self._journal = journal
        self._control = control
        self._stage = stage
        self._report = report
        self._clock = clock
        self._space = space
        self._started = setup.job.created
        self._told_tags = False

    def baseline(self) -> None:
        """Epoch 0: what the untouched base draws and how it does on the held-out images."""
        setup = self._setup
        drawing = 0.0
        with setup.network.disabled():
            if setup.params.preview_every_epochs:
                self._stage.enter("baseline")
                drawing = self._preview(0, setup.run.epoch_dir(0), "preview")
            began = time.monotonic()
            self._validate(0)
        setup.closed = 0
        self._report.began(time.monotonic() - began, drawing)

    def epoch(self, epoch: int) -> None:
        """Make everything an epoch leaves behind. Can be repeated: a resumed bake closes a half-closed epoch again."""
        began = time.monotonic()
        setup, params = self._setup, self._setup.params
        self._report.flush()
        last = epoch == params.epochs
        self._stage.enter("save")
        if last or epoch % params.save_every_epochs == 0:
            self._save_lora(epoch)
        self.save_state()
        self._validate(epoch)
        drawing = 0.0
        if params.preview_every_epochs and (last or epoch % params.preview_every_epochs == 0):
            self._stage.enter("preview")
            drawing = self._preview(epoch, setup.run.epoch_dir(epoch), "preview")
        setup.closed = epoch
        self.save_state()
        self._report.closed(time.monotonic() - began - drawing, drawing)

    def change(self, values: dict[str, float], epoch: int) -> None:
        """Go on with other parameters, as `tuning` allows them; in the state at once, so that a resume knows them."""
        self._report.flush()
        setup = self._setup
        setup.change(values)
        self._journal.emit(events.Changed, step=setup.step, epoch=epoch, values=values)
        self._journal.emit(events.Phase, name="train", plan=setup.told())
        self.save_state()

    def save_state(self) -> None:
        """Write the state to resume from. Raises EngineError `nonfinite_loss` before a bad one could be written."""
        self._report.flush()
        setup = self._setup
        size = self._space.write(
            setup.run.state_dir, setup.state_bytes(), lambda: setup.save_state(self._clock.seconds)
        )
        self._journal.emit(
            events.Checkpoint,
            kind="state",
            epoch=max(0, self._setup.closed),
            step=self._setup.step,
            path=self._setup.run.relative(self._setup.run.state_dir),
            bytes=size,
        )
        self._journal.sync()

    def preview_now(self, epoch: int) -> None:
        """Previews of the weights as they are in the middle of `epoch`."""
        self._report.flush()
        self._stage.enter("preview")
        try:
            self._preview(epoch, self._setup.run.epoch_dir(epoch), f"step-{self._setup.step}")
        except EngineError as error:
            # What a bake of hours laid aside and cannot read again, it does not need for its steps.
            info = error.info
            self._journal.emit(events.Warning, code=info.code, message=info.message, hint=info.hint, args=info.args)
        self._stage.enter("train")
        self._report.interrupted()

    def files(self) -> dict[int, str]:
        """The LoRA files of all epochs that exist, by epoch, relative to the run's folder."""
        run, name = self._setup.run, self._setup.name
        paths = {epoch: run.lora_file(epoch, name) for epoch in range(1, self._setup.params.epochs + 1)}
        return {epoch: run.relative(path) for epoch, path in paths.items() if path.exists()}

    def _save_lora(self, epoch: int) -> None:
        setup = self._setup
        path = setup.run.lora_file(epoch, setup.name)
        make_private_dir(path.parent)
        moment = Moment(epoch=epoch, step=setup.step, started=self._started, finished=time.time())
        origin = Origin(base=setup.base_hashes.get(), start=setup.start)
        texts = metadata(setup.job, setup.plan, setup.model, setup.network, setup.compute.precision, moment, origin)
        precision = setup.params.save_precision
        needed = checkpoint.size_of(setup.network.tensors()) // (1 if precision == "fp32" else 2)
        needed += sum(map(len, texts.values()))
        saved = self._space.write(path.parent, needed, lambda: kohya.save(path, setup.network, texts, precision))
        if saved.tags is not None and not self._told_tags:
            self._told_tags = True
            count, kept = saved.tags
            info = describe("notice_tags_cut", count=count, kept=kept)
            self._journal.emit(events.Warning, code=info.code, message=info.message, hint=info.hint, args=info.args)
        self._deliver(epoch, path, saved.bytes)
        self._journal.emit(
            events.Checkpoint,
            kind="epoch",
            epoch=epoch,
            step=setup.step,
            path=setup.run.relative(path),
            bytes=saved.bytes,
            sha256=saved.sha256,
        )
        self._journal.sync()

    def _deliver(self, epoch: int, path: Path, size: int) -> None:
        delivery = self._setup.delivery
        if delivery.folder:
            self._space.write(Path(delivery.folder), size, lambda: delivery.copy(epoch, path))

    def _preview(self, epoch: int, folder: Path, stem: str) -> float:
        """Draw and save a row of previews; returns the seconds it took."""
        began = time.monotonic()
        setup = self._setup
        setup.train_mode(False)
        try:
            drawn = preview.draw(
                setup.model,
                setup.pictures,
                setup.captions.plain,
                setup.params,
                setup.compute,
                self._tick(setup.params.preview_steps),
            )
        finally:
            setup.train_mode(True)
        rest(setup)
        make_private_dir(folder)
        for index, (picture, data) in enumerate(zip(setup.pictures, drawn, strict=True), 1):
            path = folder / f"{stem}-{index}.png"
            self._space.write(folder, len(data), partial(atomic_write, path, data))
            if stem == "preview":
                self._deliver(epoch, path, len(data))
            self._journal.emit(
                events.Preview,
                epoch=epoch,
                step=setup.step,
                index=index,
                path=setup.run.relative(path),
                seed=picture.seed,
                prompt=picture.prompt,
            )
        return time.monotonic() - began

    def _tick(self, total: int):  # type: ignore[no-untyped-def]
        done = 0
        told = time.monotonic()

        def tick() -> None:
            nonlocal done, told
            self._control.check()
            if time.monotonic() - told > 1.0:
                told = time.monotonic()
                self._journal.emit(events.Progress, phase=self._stage.name, done=done, total=total)
            done += 1

        return tick

    def _validate(self, epoch: int) -> None:
        setup = self._setup
        if not setup.held_out:
            return
        self._stage.enter("validate")
        setup.train_mode(False)
        loss = validation.measure(setup, self._control.check)
        setup.train_mode(True)
        finite = math.isfinite(loss)
        if finite:
            setup.measured[epoch] = loss
        self._journal.emit(events.Validation, epoch=epoch, step=setup.step, loss=loss if finite else None)
