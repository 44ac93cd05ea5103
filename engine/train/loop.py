"""The bake: one loop from the frozen job to the finished epochs, to be read from top to bottom.

Mathematics is in `noise`, `weighting`, `schedule`, `step`; chance in `order`; what happens between epochs in
`closing`; files in `cache`, `checkpoint` and `engine.lora.kohya`. The process around it is `engine.worker`.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from engine.protocol import events
from engine.protocol.control import ControlReader
from engine.protocol.errors import EngineError
from engine.protocol.events import decode_event
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.runs import tuning
from engine.runs.best import best_epoch
from engine.runs.folder import RunFolder
from engine.runs.history import History
from engine.runs.parking import Parked
from engine.train import faults, order
from engine.train.cache import frame_of
from engine.train.closing import Closing
from engine.train.control import Control, Stopped
from engine.train.optim import set_rates
from engine.train.report import Clock, Reporter
from engine.train.schedule import factor
from engine.train.setup import Setup, prepare
from engine.train.space import Space
from engine.train.step import draw
from engine.train.views import shown

SAVE_SECONDS = 60.0
"""A crash costs at most about this much training."""


def bake(run: RunFolder, job: Job, journal: JournalWriter, control: ControlReader) -> None:
    """Bake `job` in `run`, or go on where an earlier boot left it; journals everything, `finished` included.

    Raises EngineError for a failure, after its `error` event.
    """
    requests, stage = Control(control, journal), faults.Stage(journal)
    with faults.journaled(run, job, journal, stage), Space(run, journal, requests) as space:
        try:
            setup = prepare(run, job, journal, requests, stage, space)
        except Stopped:
            requests.done("stop", "stop_now")
            journal.emit(events.Finished, reason="stopped")
            return
        clock = Clock(setup.elapsed)
        report = Reporter(journal, clock, scaled=setup.scaler is not None)
        if setup.closed >= 0:
            report.pace.recall(_phases(run))
        space.attend(lambda: setup.step, clock, report)
        closing = Closing(setup, journal, requests, stage, report, clock, space)
        try:
            _train(setup, journal, requests, stage, report, closing)
            reason = "done"
        except Stopped:
            setup.optimizer.zero_grad()
            with space.last_words():
                if setup.step:
                    closing.save_state()
            reason = "stopped"
        requests.done("stop", "stop_now")
        files = closing.files()
        best = best_epoch(setup.measured, files)
        journal.emit(
            events.Finished,
            reason=reason,
            epoch=max(0, setup.closed),
            step=setup.step,
            seconds=clock.seconds,
            files=list(files.values()),
            out=setup.delivery.folder,
            best=best.epoch if best else 0,
            hint=best.hint if best else None,
        )
        journal.sync()


def _train(
    setup: Setup,
    journal: JournalWriter,
    requests: Control,
    stage: faults.Stage,
    report: Reporter,
    closing: Closing,
) -> None:
    """From wherever `setup` stands to the last epoch; raises Stopped between steps when asked to."""
    setup.train_mode(True)
    if setup.closed < 0:
        closing.baseline()
    saved = time.monotonic()
    while setup.closed < setup.params.epochs:
        stage.enter("train")
        epoch, plan = setup.closed + 1, setup.plan
        steps = order.epoch_steps(plan, setup.params, epoch)
        for batches in steps[setup.step - (epoch - 1) * plan.steps_per_epoch :]:
            _obey(setup, journal, requests, closing, epoch)
            params, plan = setup.params, setup.plan
            rates = set_rates(setup.optimizer, factor(params, setup.step + 1, plan.optimizer_steps))
            numbers = take_step(setup, epoch, batches, requests)
            setup.step += 1
            files = [plan.items[view.item].image.name for batch in batches for view in batch]
            report.step(setup.step, epoch, numbers, rates, files, params=params, steps=plan.optimizer_steps)
            if (now := time.monotonic()) - saved > SAVE_SECONDS:
                closing.save_state()
                saved = time.monotonic()
                report.saved(saved - now)
        closing.epoch(epoch)
        saved = time.monotonic()
        _tune(setup, requests, closing, epoch)


def _phases(run: RunFolder) -> list[events.Phase]:
    told = (decode_event(line) for line in History(run).refresh().events())
    return [event for event in told if isinstance(event, events.Phase)]


def take_step(setup: Setup, epoch: int, batches: list[order.Batch], requests: Control) -> Tensor:
    """One optimizer step over micro-batches, each image counting the same; returns [loss, gradient norm], unread.

    With a weight-norm limit also: layers scaled back, mean and largest norm after that.
    """
    samples = sum(map(len, batches))
    total = torch.zeros((), device=setup.compute.device)
    for number, batch in enumerate(batches):
        requests.check_now()
        setup.network.begin(order.seed_for(setup.params.seed, "dropout", setup.step, number))
        # kohya lets every batch count the same, however full it is and however many there are.
        share = 1 / setup.params.gradient_accumulation if setup.params.kohya_compat else len(batch) / samples
        loss = _loss(setup, epoch, batch) * share
        if loss.requires_grad:
            (setup.scaler.scale(loss) if setup.scaler else loss).backward()
        total += loss.detach()
    setup.network.end()
    # Module dropout may have left every layer out of every batch; then there is nothing to move by.
    moved = any(p.grad is not None for p in setup.trainable)
    numbers = [total, _update(setup) if moved else torch.zeros_like(total)]
    if setup.params.scale_weight_norms:
        numbers += setup.network.limit_norms(setup.params.scale_weight_norms)
    return torch.stack([number.float() for number in numbers])


def _update(setup: Setup) -> Tensor:
    """Move the weights by their gradients, clipped; returns the gradients' norm before that, unread."""
    if setup.scaler:
        setup.scaler.unscale_(setup.optimizer)
    limit = setup.params.max_grad_norm or float("inf")
    norm = torch.nn.utils.clip_grad_norm_(setup.trainable, limit)
    if setup.scaler:
        setup.scaler.step(setup.optimizer)
        setup.scaler.update()
    else:
        setup.optimizer.step()
    setup.optimizer.zero_grad()
    return norm


def _loss(setup: Setup, epoch: int, batch: order.Batch) -> Tensor:
    """The loss of a micro-batch; all chance comes from (seed, epoch, image, repeat)."""
    params = setup.params
    views = [shown(setup, epoch, view) for view in batch]
    draws = [
        draw(
            one.posterior,
            setup.model,
            params,
            setup.loss.timesteps,
            order.generator(params.seed, "sample", epoch, *view),
            mask=one.mask,
        )
        for one, view in zip(views, batch, strict=True)
    ]
    counts = [params.prior_loss_weight if one.item.reg else 1.0 for one in views]
    with setup.compute.autocast():
        words = setup.captions([one.caption for one in views])
        return setup.loss(draws, words, [frame_of(one.item, kohya=params.kohya_compat) for one in views], counts)


def _obey(setup: Setup, journal: JournalWriter, requests: Control, closing: Closing, epoch: int) -> None:
    """Do what was asked since the last step; raises Stopped, or Parked once a pause is saved."""
    requests.check()
    _tune(setup, requests, closing, epoch)
    if requests.wants("save_now"):
        closing.save_state()
        requests.done("save_now")
    if requests.wants("preview_now"):
        closing.preview_now(epoch)
        requests.done("preview_now")
    if requests.wants("pause"):
        closing.save_state()
        journal.emit(events.Paused, step=setup.step)
        requests.done("pause")
        raise Parked


def _tune(setup: Setup, requests: Control, closing: Closing, epoch: int) -> None:
    """Change what was asked to be changed; what makes no sense any more is refused."""
    for command in requests.take_changes():
        try:
            values = tuning.check(setup.params, command.values, epoch=epoch)
        except EngineError:
            requests.answer(command, done=False)
            continue
        closing.change(values, epoch)
        requests.answer(command, done=True)
