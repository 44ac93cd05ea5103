"""Everything a bake works with, built once per boot: plan, model, network, optimizer, latents, and where it stands."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from engine import footprint, home, presets, relief
from engine.dataset.manifest import freeze, thaw
from engine.dataset.plan import BakePlan, make_plan
from engine.dataset.render import plain_caption
from engine.dataset.scan import scan
from engine.lora.inject import Network, inject
from engine.lora.start import Start, begin, load_start
from engine.models.catalogue import Located, locate
from engine.models.digest import FileHashes
from engine.models.hub import fetch
from engine.models.load import load_model
from engine.models.model import DiffusionModel, Posterior
from engine.optimizers import check_installed
from engine.protocol import events
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.journal import JournalWriter
from engine.protocol.notices import Setting, notices_of, refuse
from engine.protocol.params import BakeParams
from engine.protocol.records import Job, ManifestEntry
from engine.runs.folder import RunFolder, safe_name
from engine.runs.tuning import Change, applied
from engine.train import checkpoint
from engine.train.cache import Captions, Latents
from engine.train.checkpoint import Progress
from engine.train.control import Control
from engine.train.deliver import Delivery
from engine.train.device import Compute, choose, make_repeatable, usable_threads
from engine.train.faults import Stage
from engine.train.masks import digest, mask_files, masks
from engine.train.optim import load_state_tensors, make_optimizer, set_bases, state_tensors
from engine.train.preview import Picture, pictures
from engine.train.resting import rest, rest_text
from engine.train.space import Space
from engine.train.step import Loss
from engine.train.views import mirror_of

PREVIEWS = 4
_PROGRESS_SECONDS = 0.5
_ENTRY_BYTES = 1000
"""About the size of one image's entry in the manifest."""


@dataclass
class Setup:
    """A bake in memory; `mirrored` is empty unless `flip_aug`.

    Only `step`, `closed`, `elapsed` and `measured` change: steps taken, epochs closed (−1: the baseline is not drawn),
    seconds trained before this boot, and the held-out loss by epoch; and with `change` what `tuning` allows.
    """

    run: RunFolder
    job: Job
    name: str
    plan: BakePlan
    compute: Compute
    threads: int
    delivery: Delivery
    fingerprint: str
    model: DiffusionModel
    network: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None
    loss: Loss
    captions: Captions
    posteriors: list[Posterior]
    mirrored: list[Posterior]
    held_out: list[Posterior]
    masks: list[Tensor | None]
    held_out_masks: list[Tensor | None]
    start: Start | None
    base_hashes: FileHashes
    pictures: list[Picture]
    base: str = ""
    step: int = 0
    closed: int = -1
    elapsed: float = 0.0
    resumed: bool = False
    measured: dict[int, float] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    @property
    def params(self) -> BakeParams:
        """The job's parameters."""
        return self.job.params

    @property
    def trainable(self) -> list[Tensor]:
        """Every tensor the optimizer moves."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def train_mode(self, training: bool) -> None:
        """Dropout and gradient checkpointing act only while training."""
        self.model.unet.train(training)
        for _, encoder in self.model.text_encoders:
            encoder.train(training)

    def change(self, values: dict[str, float]) -> None:
        """Take the next steps with other parameters."""
        self.changes.append(Change(step=self.step, values=values))
        self.job = msgspec.structs.replace(self.job, params=applied(self.params, self.changes[-1:]))
        self.plan = _lasting(self.plan, self.params.epochs)
        set_bases(self.optimizer, self.params)

    def told(self) -> events.Plan:
        """The plan as the journal tells it."""
        return _told(self.plan, self.params, self.base, self.model.family, self.compute, self.network)

    def state_bytes(self) -> int:
        """About how large the state to resume from is."""
        return checkpoint.size_of(self.network.tensors(), state_tensors(self.optimizer, self.network))

    def save_state(self, elapsed: float) -> int:
        """Write the state to resume from; returns its bytes. Raises OSError when the disk is full."""
        scale = {} if self.scaler is None else {k: float(v) for k, v in self.scaler.state_dict().items()}
        progress = Progress(
            step=self.step,
            closed=self.closed,
            elapsed=elapsed,
            threads=self.threads,
            fingerprint=self.fingerprint,
            scaler=scale,
            measured=self.measured,
            changes=self.changes,
        )
        memory = state_tensors(self.optimizer, self.network)
        return checkpoint.save(self.run.state_dir, progress, self.network.tensors(), memory)


def prepare(run: RunFolder, job: Job, journal: JournalWriter, control: Control, stage: Stage, space: Space) -> Setup:
    """Build a `Setup` and bring it to where the last boot left the bake.

    Raises EngineError for everything that is wrong with job, dataset, base model or state; Stopped when asked to.
    """
    stage.enter("prepare")
    params = job.params
    base = locate(job.base)
    refuse(params, Setting(family=base.family))
    check_installed(params.optimizer)
    manifest = run.read_manifest() or _freeze(run, job, space)
    plan = thaw(manifest, params)
    name = safe_name(job.name)
    delivery = Delivery(run, job.out, name)
    delivery.prepare(params.epochs, PREVIEWS)
    state = _state(run, journal)
    files = mask_files([*plan.items, *plan.validation], params)
    fingerprint = _fingerprint(job, manifest, digest(files))
    if state is not None:
        checkpoint.check(run.id, state.progress, fingerprint, job.branched)
        # What was changed in the bake that this one was branched from is not asked of this one.
        own = state.progress.fingerprint == fingerprint
        params = applied(params, state.progress.changes if own else [])
        job = msgspec.structs.replace(job, params=params)
        plan = _lasting(plan, params.epochs)
        _check_place(run, plan, state.progress)
    compute = choose(params)
    stage.device = compute.name
    stage.advice = lambda: _reliefs(base, plan, params, compute, stage.name)
    control.check()

    stage.enter("load", _told(plan, params, base.path.name, base.family, compute, None))
    if base.missing:
        base = _download(job.base, journal, control)
    model = load_model(
        base.path,
        device=compute.device,
        dtype=compute.dtype,
        prediction_type=base.prediction_type if params.prediction_type == "auto" else params.prediction_type,
        zero_terminal_snr=None if params.zero_terminal_snr == "auto" else params.zero_terminal_snr == "on",
    )
    threads = state.progress.threads if state else usable_threads(model.unet)
    make_repeatable(threads)
    start = begin(run, model, params)
    network = inject(model, params, start.sizes if start else None)
    if params.gradient_checkpointing:
        _checkpoint_gradients(model, params)
    setup = Setup(
        run=run,
        job=job,
        name=name,
        plan=plan,
        compute=compute,
        threads=threads,
        delivery=delivery,
        fingerprint=fingerprint,
        model=model,
        network=network,
        optimizer=make_optimizer(network, params),
        scaler=compute.scaler(),
        loss=Loss(model, params),
        captions=Captions(model, params),
        posteriors=[],
        mirrored=[],
        held_out=[],
        masks=[],
        held_out_masks=[],
        start=start,
        base_hashes=FileHashes(base.path),
        pictures=_pictures(plan, params),
        base=base.path.name,
    )
    if state is None:
        _tell_notices(job, base, plan, files, journal)
        if start is not None:
            _tell(load_start(Path(params.network_weights), network), journal)
    else:
        _restore(setup, state)
        journal.emit(events.Resumed, step=setup.step, epoch=max(0, setup.closed))
    control.check()

    stage.enter("cache", _told(plan, params, base.path.name, base.family, compute, network))
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        control.check()
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            journal.emit(events.Progress, phase="cache", done=done, total=total)

    rest_text(setup, tell)  # first: encoding pictures takes the most memory before training
    _cache(setup, [entry.sha256 for entry in manifest], journal, control)
    found = masks([*plan.items, *plan.validation], files, params, model.vae_factor)
    setup.masks, setup.held_out_masks = found[: len(plan.items)], found[len(plan.items) :]
    rest(setup)
    return setup


def _pictures(plan: BakePlan, params: BakeParams) -> list[Picture]:
    captions = [plain_caption(item.image.caption or "", params) for item in plan.items if not item.reg]
    return pictures(params, [caption for caption in captions if caption], PREVIEWS)


def _download(name: str, journal: JournalWriter, control: Control) -> Located:
    """The base model of the catalogue, brought to this machine; raises Stopped when asked to."""
    base = presets.bases()[name]
    source, size = base.hub or base.diffusers, f"{base.bytes / 1e9:.1f}"
    _tell([describe("notice_download", name=name, gigabytes=size, source=source)], journal)

    def progress(done: int, total: int) -> None:
        control.check_now()
        control.check()
        journal.emit(events.Progress, phase="load", done=done, total=total)

    fetch(base, progress)
    return locate(name)


def _freeze(run: RunFolder, job: Job, space: Space) -> list[ManifestEntry]:
    reg = scan(Path(job.reg)) if job.reg else None
    measured = scan(Path(job.params.validation_dir)) if job.params.validation_dir else None
    manifest = freeze(make_plan(scan(Path(job.dataset)), reg, job.params, measured))
    space.write(run.path, len(manifest) * _ENTRY_BYTES, lambda: run.write_manifest(manifest))
    return manifest


def _reliefs(base: Located, plan: BakePlan, params: BakeParams, compute: Compute, phase: str) -> str:
    kind = footprint.model_at(base.path, base.family)
    weights = footprint.lora_parameters(params, kind, base.path)
    rows = relief.reliefs(plan, params, model=kind, weights=weights, device=compute.name, precision=compute.precision)
    return relief.told(relief.helping(rows, phase))


def _state(run: RunFolder, journal: JournalWriter) -> checkpoint.State | None:
    state, broken = checkpoint.latest(run.state_dir)
    for file in broken:
        info = EngineError("state_broken", file=file).info
        journal.emit(events.Warning, code=info.code, message=info.message, hint=info.hint, args=info.args)
    return state


def _restore(setup: Setup, state: checkpoint.State) -> None:
    try:
        setup.network.load_tensors(state.weights)
        load_state_tensors(setup.optimizer, setup.network, state.optimizer)
    except (KeyError, ValueError) as error:
        raise EngineError("state_mismatch", run=setup.run.id, reason=f"its tensors differ ({error})") from None
    if setup.scaler is not None and state.progress.scaler:
        kept = state.progress.scaler
        setup.scaler.load_state_dict(
            kept | {name: int(kept[name]) for name in kept if name.startswith(("_growth_t", "growth_i"))}
        )
    setup.step, setup.closed = state.progress.step, state.progress.closed
    setup.elapsed = state.progress.elapsed
    setup.measured = dict(state.progress.measured)
    setup.changes = list(state.progress.changes) if state.progress.fingerprint == setup.fingerprint else []


def _lasting(plan: BakePlan, epochs: int) -> BakePlan:
    """The plan of a bake of so many epochs."""
    if epochs == plan.epochs:
        return plan
    views = plan.image_views // plan.epochs
    steps = plan.steps_per_epoch * epochs
    return msgspec.structs.replace(plan, epochs=epochs, image_views=views * epochs, optimizer_steps=steps)


def _check_place(run: RunFolder, plan: BakePlan, progress: Progress) -> None:
    """A state that was branched from another bake must lie in the same epoch of this one."""
    closed, each = max(0, progress.closed), plan.steps_per_epoch
    if not closed * each <= progress.step <= (closed + 1) * each:
        raise EngineError("state_mismatch", run=run.id, reason="its epochs have another number of steps")


def _fingerprint(job: Job, manifest: list[ManifestEntry], masks: str) -> str:
    facts = [job.base, msgspec.to_builtins(job.params)]
    facts += [[e.sha256, e.caption, e.repeat, e.reg, e.validation] for e in manifest]
    facts += [masks] if masks else []
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()


def _checkpoint_gradients(model: DiffusionModel, params: BakeParams) -> None:
    model.unet.enable_gradient_checkpointing()  # type: ignore[operator]
    for (_, encoder), rate in zip(model.text_encoders, params.text_encoder_lrs, strict=False):
        if rate > 0:
            # The reentrant kind would see no input that needs a gradient and train nothing.
            encoder.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]


def _cache(setup: Setup, hashes: list[str], journal: JournalWriter, control: Control) -> None:
    trained, held = list(setup.plan.items), list(setup.plan.validation)
    parts = [(setup.posteriors, trained, hashes[: len(trained)]), (setup.held_out, held, hashes[len(trained) :])]
    if setup.params.flip_aug:
        turned = [mirror_of(item, setup.params) for item in trained]
        parts.append((setup.mirrored, turned, hashes[: len(trained)]))
    latents = Latents(setup.model, home.cache_dir() / "latents")
    total, done, told = sum(len(items) for _, items, _ in parts), 0, time.monotonic()
    for into, items, digests in parts:
        for posterior in latents.load(items, digests):
            into.append(posterior)
            done += 1
            if time.monotonic() - told > _PROGRESS_SECONDS or done == total:
                told = time.monotonic()
                journal.emit(events.Progress, phase="cache", done=done, total=total)
            control.check()


def _told(
    plan: BakePlan, params: BakeParams, base: str, family: str, compute: Compute, network: Network | None
) -> events.Plan:
    return events.Plan(
        images=sum(not item.reg for item in plan.items),
        reg_images=sum(item.reg for item in plan.items),
        image_views=plan.image_views,
        epochs=plan.epochs,
        steps=plan.optimizer_steps,
        steps_per_epoch=plan.steps_per_epoch,
        previews_per_epoch=PREVIEWS if params.preview_every_epochs else 0,
        base=base,
        family=family,
        device=compute.name,
        precision=compute.precision,
        network_modules=len(network.modules) if network else 0,
        trainable_parameters=network.parameter_count() if network else 0,
    )


def _tell_notices(job: Job, base: Located, plan: BakePlan, files: list[Path | None], journal: JournalWriter) -> None:
    rows = notices_of(job.params, Setting(family=base.family, reg=plan.reg.used > 0, prediction=base.prediction_type))
    unmasked = [item.image.name for item, file in zip(plan.items, files, strict=False) if file is None and not item.reg]
    if unmasked:
        rows.append(describe("notice_unmasked", count=len(unmasked), first=unmasked[0]))
    _tell(rows, journal)


def _tell(rows: list[ErrorInfo], journal: JournalWriter) -> None:
    for info in rows:
        journal.emit(events.Warning, code=info.code, message=info.message, hint=info.hint, args=info.args)
