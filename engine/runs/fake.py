"""A scripted bake without a model: the same events, files and manners as a real one, for tests and screenshots.

Everything is a function of seed and step, so that a stopped and resumed fake equals an uninterrupted one.
LORABAKE_FAKE_RATE sets its speed in steps per second.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import struct
import time
from pathlib import Path

import msgspec

from engine.protocol import events
from engine.protocol.control import Action, Command, ControlReader
from engine.protocol.errors import EngineError
from engine.protocol.events import Plan
from engine.protocol.files import atomic_path, atomic_write, make_private_dir
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.runs import tuning
from engine.runs.best import best_epoch
from engine.runs.folder import RunFolder
from engine.runs.parking import Parked

IMAGES = 10
PREVIEWS = 4
DEFAULT_RATE = 200.0
_SIDE = 96
_PREPARE_ITEMS = 5


class _Stop(Exception):
    """Ends the work: `save` tells stop from stop now."""

    def __init__(self, save: bool) -> None:
        self.save = save


class _State(msgspec.Struct):
    step: int = 0
    elapsed: float = 0.0
    files: list[str] = []
    measured: dict[int, float] = {}
    values: dict[str, float] = {}
    chain: str = ""


def bake(run: RunFolder, job: Job, journal: JournalWriter, control: ControlReader) -> None:
    """Play a bake of `job.params` epochs and repeats over ten imaginary images (or those of the manifest)."""
    _Fake(run, job, journal, control).play()


class _Fake:
    def __init__(self, run: RunFolder, job: Job, journal: JournalWriter, control: ControlReader) -> None:
        self.run, self.job, self.journal, self.control = run, job, journal, control
        self.images = len(run.read_manifest()) or IMAGES
        self.state = self._load()
        self._plan()
        self.period = 1.0 / max(0.01, float(os.environ.get("LORABAKE_FAKE_RATE", "") or DEFAULT_RATE))
        self.began = time.monotonic() - self.state.elapsed
        self.epoch = self.state.step // self.plan.steps_per_epoch

    def _plan(self) -> None:
        """The job as it is now, with what was changed under way."""
        changed = tuning.applied(self.job.params, [tuning.Change(step=0, values=self.state.values)])
        self.job = msgspec.structs.replace(self.job, params=changed)
        self.plan = plan(self.job, self.images)

    def play(self) -> None:
        """From the first unfinished step to the end, or until somebody says stop."""
        emit, steps = self.journal.emit, self.plan.steps_per_epoch
        emit(events.Phase, name="prepare", plan=self.plan)
        try:
            if self.state.step:
                emit(events.Resumed, step=self.state.step, epoch=self.epoch)
            else:
                self._opening()
            emit(events.Phase, name="train")
            while self.state.step < self.plan.steps:
                self._step()
                if self.state.step % steps == 0:
                    self._end_of_epoch()
                    if self.state.step < self.plan.steps:
                        emit(events.Phase, name="train")
            self._finish("done")
        except _Stop as stop:
            if stop.save:
                self._save_state()
            self._finish("stopped")

    def _opening(self) -> None:
        for phase in ("load", "cache"):
            self.journal.emit(events.Phase, name=phase)
            for done in range(1, _PREPARE_ITEMS + 1):
                self._obey()
                self.journal.emit(events.Progress, phase=phase, done=done, total=_PREPARE_ITEMS)
                time.sleep(min(self.period, 0.2))
        self.journal.emit(events.Phase, name="baseline")
        self._previews(0)

    def _step(self) -> None:
        time.sleep(self.period)
        self.state.step += 1
        self.state.elapsed = time.monotonic() - self.began
        step, total = self.state.step, self.plan.steps
        # What is saved hangs on every step before it, so that one left out or taken twice would show.
        words = f"{self.state.chain}:{self.job.params.seed}:{step}:{self.job.params.unet_lr!r}"
        self.state.chain = hashlib.sha256(words.encode()).hexdigest()
        speed = 1.0 / self.period
        self.journal.emit(
            events.Step,
            step=step,
            epoch=self.epoch + 1,
            loss=loss(self.job.params.seed, step, total),
            lr={"unet": self.job.params.unet_lr * 0.5 * (1 + math.cos(math.pi * step / total))},
            grad_norm=_noise(self.job.params.seed, -step) * 0.1 + 0.2,
            images=self.job.params.batch_size * self.job.params.gradient_accumulation,
            it_s=speed,
            eta_s=(total - step) / speed,
            elapsed_s=self.state.elapsed,
        )
        self._obey()

    def _end_of_epoch(self) -> None:
        self.epoch += 1
        params, last = self.job.params, self.epoch == self.plan.epochs
        if params.validation_split:
            self.journal.emit(events.Phase, name="validate")
            value = loss(params.seed, -self.epoch, -self.plan.epochs) + 0.01
            self.state.measured[self.epoch] = value
            self.journal.emit(events.Validation, epoch=self.epoch, step=self.state.step, loss=value)
        self.journal.emit(events.Phase, name="save")
        if last or self.epoch % params.save_every_epochs == 0:
            self._save_epoch()
        self._save_state()
        if params.preview_every_epochs and self.epoch % params.preview_every_epochs == 0:
            self.journal.emit(events.Phase, name="preview")
            self._previews(self.epoch)

    def _save_epoch(self) -> None:
        path = self.run.lora_file(self.epoch, self.job.name)
        make_private_dir(path.parent)
        data = _safetensors(self.state.chain)
        atomic_write(path, data)
        if self.run.relative(path) not in self.state.files:
            self.state.files.append(self.run.relative(path))
        self._checkpoint("epoch", path, data)
        self._deliver(path, path.name)

    def _previews(self, epoch: int) -> None:
        for index in range(1, self.plan.previews_per_epoch + 1):
            self._obey()
            path = self.run.preview_file(epoch, index)
            make_private_dir(path.parent)
            draw(path, self.job.params.seed + index, epoch / self.plan.epochs)
            self._deliver(path, f"{self.job.name}-e{epoch:02d}-{path.name}")
            self.journal.emit(
                events.Preview,
                epoch=epoch,
                step=self.state.step,
                index=index,
                path=self.run.relative(path),
                seed=self.job.params.seed + index - 1,
                prompt=self.job.params.preview_prompt or "1girl, solo, looking at viewer",
            )

    def _obey(self) -> None:
        for command in self.control.poll():
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        self._ack(command, "accepted")
        match command.action:
            case "stop" | "stop_now":
                self._ack(command, "done")
                raise _Stop(save=command.action == "stop")
            case "pause":
                self._save_state()
                self.journal.emit(events.Paused, step=self.state.step)
                self._ack(command, "done")
                raise Parked
            case "resume":
                self._ack(command, "ignored")
            case "set":
                self._set(command)
            case "save_now":
                self._save_state()
                self._ack(command, "done")
            case "preview_now":
                self._previews(max(1, self.epoch))
                self._ack(command, "done")

    def _set(self, command: Command) -> None:
        try:
            values = tuning.check(self.job.params, command.values, epoch=self.epoch + 1)
        except EngineError:
            self._ack(command, "ignored")
            return
        self.state.values |= values
        self._plan()
        self.journal.emit(events.Changed, step=self.state.step, epoch=self.epoch, values=values)
        self.journal.emit(events.Phase, name="train", plan=self.plan)
        self._save_state()
        self._ack(command, "done")

    def _ack(self, command: Command, state: str) -> None:
        action: Action = command.action
        self.journal.emit(events.Ack, re=command.id, action=action, state=state)

    def _checkpoint(self, kind: str, path: Path, data: bytes) -> None:
        self.journal.emit(
            events.Checkpoint,
            kind=kind,
            epoch=self.epoch,
            step=self.state.step,
            path=self.run.relative(path),
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        self.journal.sync()

    def _deliver(self, path: Path, name: str) -> None:
        if self.job.out:
            with atomic_path(make_private_dir(Path(self.job.out)) / name, mode=0o644) as temporary:
                shutil.copyfile(path, temporary)

    def _save_state(self) -> None:
        path = make_private_dir(self.run.state_dir) / "fake.json"
        data = msgspec.json.encode(self.state)
        atomic_write(path, data)
        self._checkpoint("state", path, data)

    def _load(self) -> _State:
        try:
            return msgspec.json.decode((self.run.state_dir / "fake.json").read_bytes(), type=_State)
        except (OSError, msgspec.DecodeError):
            return _State()

    def _finish(self, reason: str) -> None:
        best = best_epoch(self.state.measured, self.state.measured)
        self.journal.emit(
            events.Finished,
            reason=reason,
            epoch=self.epoch,
            step=self.state.step,
            seconds=self.state.elapsed,
            files=self.state.files,
            out=self.job.out,
            best=best.epoch if best else 0,
            hint=best.hint if best else None,
        )
        self.journal.sync()


def plan(job: Job, images: int) -> Plan:
    """The arithmetic of a bake whose images all have the global repeat and one bucket."""
    params = job.params
    micro = math.ceil(images * params.repeat / params.batch_size)
    steps = math.ceil(micro / params.gradient_accumulation)
    return Plan(
        images=images,
        image_views=images * params.repeat * params.epochs,
        epochs=params.epochs,
        steps=steps * params.epochs,
        steps_per_epoch=steps,
        previews_per_epoch=PREVIEWS if params.preview_every_epochs else 0,
        base=job.base or "demo",
        family="sd15",
        device="cpu",
        precision="fp32",
        network_modules=264,
        trainable_parameters=9_500_000,
    )


def loss(seed: int, step: int, total: int) -> float:
    """A falling, noisy curve like those of small LoRAs."""
    return round(0.075 + 0.08 * math.exp(-4.0 * step / total) + 0.035 * _noise(seed, step) ** 2, 6)


def _noise(seed: int, step: int) -> float:
    return random.Random(f"{seed}:{step}").gauss(0.0, 1.0) % 1.6


def _safetensors(seed: str) -> bytes:
    values = random.Random(seed)
    data = struct.pack("<16f", *(values.uniform(-1, 1) for _ in range(16)))
    header = {"lora_unet_fake.lora_down.weight": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def draw(path: Path, seed: int, sharpness: float) -> None:
    """A face-like arrangement of coloured shapes; blurred at `sharpness` 0, clear at 1."""
    from PIL import Image, ImageDraw, ImageFilter

    pick = random.Random(seed)
    image = Image.new("RGB", (_SIDE, _SIDE), _colour(pick, 150, 240))
    pen = ImageDraw.Draw(image)
    hair, skin, eyes = _colour(pick, 30, 200), _colour(pick, 200, 250), _colour(pick, 20, 140)
    left, top = pick.randint(18, 26), pick.randint(14, 22)
    pen.ellipse((left - 8, top - 8, left + 62, top + 66), fill=hair)
    pen.ellipse((left, top + 6, left + 54, top + 66), fill=skin)
    pen.polygon([(left, top + 20), (left + 27, top), (left + 54, top + 20)], fill=hair)
    for x in (left + 12, left + 34):
        pen.ellipse((x, top + 28, x + 9, top + 40), fill=eyes)
    pen.arc((left + 18, top + 42, left + 36, top + 56), 20, 160, fill=eyes, width=2)
    blurred = image.filter(ImageFilter.GaussianBlur(12.0 * (1.0 - sharpness) ** 2))
    with atomic_path(path) as temporary:
        blurred.save(temporary, format="PNG")


def _colour(pick: random.Random, low: int, high: int) -> tuple[int, int, int]:
    return pick.randint(low, high), pick.randint(low, high), pick.randint(low, high)
