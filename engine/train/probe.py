"""A probe: a few real steps of a bake in its heaviest bucket, timed, so that the estimate of the whole one is measured.

Everything is the bake's own (loading, injection, step, previews, saving); what was learned goes to `calibration`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import torch

from engine import calibration
from engine.dataset.manifest import thaw
from engine.dataset.plan import BakePlan, Item
from engine.estimate import base_kind, fixed_share
from engine.lora import kohya
from engine.lora.metadata import Moment, Origin, metadata
from engine.measure import peak_memory, process_start
from engine.protocol import events
from engine.protocol.control import ControlReader
from engine.protocol.events import Plan
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job, ManifestEntry
from engine.runs.folder import RunFolder
from engine.train import faults, preview, validation
from engine.train.control import Control, Stopped
from engine.train.loop import take_step
from engine.train.order import Batch, View
from engine.train.setup import Setup, prepare
from engine.train.space import Space

WARM_UP = 2
"""Steps that are not timed: memory is taken and kernels are chosen in them."""
LEAST_STEPS, MOST_STEPS = 5, 40
LEAST_SECONDS, MOST_SECONDS = 3.0, 40.0
"""A measurement ends after enough of both, or too much of either."""
_HELD = 2
"""So many held-out images are measured."""


@dataclass
class _Timed:
    """What the clock said, in seconds: a full step in the heaviest bucket, a step of a single picture (0: none was
    taken), a round of previews, saving, measuring a held-out image."""

    full: float
    single: float
    previews: float
    closing: float
    held: float


class _Stage(faults.Stage):
    """Remembers when the images began to be encoded."""

    cache_from = 0.0

    def enter(self, name: str, plan: Plan | None = None) -> None:
        if name == "cache":
            self.cache_from = time.time()
        super().enter(name, plan)


def probe(run: RunFolder, job: Job, journal: JournalWriter, control: ControlReader) -> None:
    """Measure what `job` would take as a bake; journals everything, `finished` included.

    Raises EngineError for a failure, after its `error` event.
    """
    requests, stage = Control(control, journal), _Stage(journal)
    manifest = run.read_manifest()
    plan = thaw(manifest, job.params)
    # The setup of a bake finds its images in its folder; this one has a folder of few within the run's own.
    inner = RunFolder(run.path / "probe")
    began = time.monotonic()
    with faults.journaled(run, job, journal, stage), Space(run, journal, requests) as space:
        shutil.rmtree(inner.path, ignore_errors=True)
        inner.path.mkdir()
        few = _few(manifest, plan, job)
        inner.write_manifest(few)
        reason = "done"
        try:
            setup = prepare(inner, job, journal, requests, stage, space)
            loaded = time.time()
            stage.enter("train")
            timed = _measure(setup, journal, requests)
            _learn(setup, plan, timed, load=stage.cache_from - process_start(), cache=loaded - stage.cache_from)
        except Stopped:
            reason = "stopped"
        finally:
            shutil.rmtree(inner.path, ignore_errors=True)
        requests.done("stop", "stop_now")
        journal.emit(events.Finished, reason=reason, seconds=time.monotonic() - began)
        journal.sync()


def _few(manifest: Sequence[ManifestEntry], plan: BakePlan, job: Job) -> list[ManifestEntry]:
    """The images of the largest bucket, as many as a step takes, and a few of those held out."""
    heaviest = max(plan.buckets, key=lambda row: (row.width * row.height, row.views))
    size = (heaviest.width, heaviest.height)
    wanted = job.params.batch_size * job.params.gradient_accumulation
    # The manifest has the items in the plan's order, those held out last.
    trained: list[tuple[ManifestEntry, Item]] = list(zip(manifest, plan.items, strict=False))
    chosen = [entry for entry, item in trained if item.fit.bucket == size][:wanted]
    return [*chosen, *[entry for entry in manifest if entry.validation][:_HELD]]


def _measure(setup: Setup, journal: JournalWriter, requests: Control) -> _Timed:
    params = setup.params
    turn = 0

    def batches(count: int, views: int) -> list[Batch]:
        nonlocal turn
        turn += 1
        views_of = [View(index % len(setup.plan.items), turn) for index in range(count * views)]
        return [views_of[i : i + views] for i in range(0, len(views_of), views)]

    def step(count: int, views: int) -> None:
        requests.check()
        take_step(setup, 1, batches(count, views), requests)
        setup.step += 1

    setup.train_mode(True)
    accumulated, size = params.gradient_accumulation, params.batch_size
    full = _mean(setup, lambda: step(accumulated, size), journal)
    single = _mean(setup, lambda: step(1, 1), journal) if accumulated * size > 1 else 0.0
    setup.train_mode(False)
    drawn = _previews(setup, requests) if params.preview_every_epochs else 0.0
    held = 0.0
    if setup.held_out:
        began = time.monotonic()
        validation.measure(setup, requests.check)
        held = (time.monotonic() - began) / len(setup.held_out)
    return _Timed(full, single, drawn, _closing(setup), held)


def _mean(setup: Setup, action: Callable[[], None], journal: JournalWriter) -> float:
    """Mean seconds of `action`, after a warm-up."""
    for _ in range(WARM_UP):
        action()
    _wait(setup)
    began, count = time.monotonic(), 0
    while True:
        action()
        count += 1
        _wait(setup)
        seconds = time.monotonic() - began
        journal.emit(events.Progress, phase="train", done=count, total=MOST_STEPS)
        if (count >= LEAST_STEPS and seconds >= LEAST_SECONDS) or count >= MOST_STEPS or seconds >= MOST_SECONDS:
            return seconds / count


def _wait(setup: Setup) -> None:
    if setup.compute.device.type == "cuda":
        torch.cuda.synchronize()


def _previews(setup: Setup, requests: Control) -> float:
    """Seconds of a round of previews: two and four denoising steps are timed, what each takes is multiplied."""

    def seconds(steps: int) -> float:
        began = time.monotonic()
        few = msgspec.structs.replace(setup.params, preview_steps=steps)
        preview.draw(setup.model, setup.pictures, setup.captions.plain, few, setup.compute, requests.check)
        return time.monotonic() - began

    seconds(2)
    short, long = seconds(2), seconds(4)
    each = max(0.0, long - short) / 2
    return max(0.0, short - 2 * each) + each * setup.params.preview_steps


def _closing(setup: Setup) -> float:
    """Seconds of what closes an epoch: the LoRA file, and the state before and after it."""
    origin = Origin(base=setup.base_hashes.get(), start=setup.start)
    began = time.monotonic()
    moment = Moment(epoch=1, step=setup.step, started=time.time(), finished=time.time())
    texts = metadata(setup.job, setup.plan, setup.model, setup.network, setup.compute.precision, moment, origin)
    kohya.save(setup.run.path / "probe.safetensors", setup.network, texts, setup.params.save_precision)
    setup.save_state(0.0)
    setup.save_state(0.0)
    return time.monotonic() - began


def _learn(setup: Setup, plan: BakePlan, timed: _Timed, *, load: float, cache: float) -> None:
    """Turn what was timed into what a mean step of the whole bake takes, and keep it."""
    compute, params = setup.compute, setup.params
    facts = calibration.facts(
        plan, params, device=compute.name, model=base_kind(setup.job.base).model, precision=compute.precision
    )
    width, height = setup.plan.items[0].fit.bucket
    area = width * height
    work = area * params.batch_size * params.gradient_accumulation
    if timed.single:
        slope = max(0.0, timed.full - timed.single) / (work - area)
        fixed = max(0.0, timed.single - slope * area)
    else:
        fixed = timed.full * fixed_share(compute.name)
        slope = (timed.full - fixed) / work
    calibration.learn(
        calibration.Measured(
            facts=facts,
            seconds_per_step=fixed + slope * facts.work,
            fixed_seconds=fixed,
            load_seconds=max(0.0, load),
            image_seconds=max(0.0, cache) / (len(setup.plan.items) + len(setup.plan.validation)),
            preview_seconds=timed.previews,
            closing_seconds=timed.closing,
            held_seconds=timed.held,
            memory_bytes=peak_memory(),
            probe=True,
        )
    )
