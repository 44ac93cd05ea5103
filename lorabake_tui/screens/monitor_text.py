"""What the Monitor says: facts, outcome, acknowledgements and log lines, as words in the current language."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from pathlib import PurePosixPath

from engine.protocol.errors import ErrorInfo
from engine.protocol.events import (
    Ack,
    Changed,
    Checkpoint,
    Error,
    Event,
    Finished,
    Paused,
    Phase,
    Resumed,
    Tagged,
    Tested,
    Warning,
)
from engine.protocol.records import DeviceSample, RunRow
from lorabake_tui import keys
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.store import LogLine, RunView
from lorabake_tui.widgets import states
from lorabake_tui.widgets.acks import ASKED, ack_text
from lorabake_tui.widgets.log import Entry
from lorabake_tui.widgets.meter import Fact
from lorabake_tui.widgets.picture import Item
from lorabake_tui.widgets.units import clock, duration, learning_rate, loss, memory, rate, size

_ACK_SECONDS = 8.0


def phase_word(phase: str) -> str:
    """A phase in words."""
    return _(states.PHASES.get(phase, phase))


def head_facts(state: str, view: RunView) -> list[Fact]:
    """State, phase, epoch, step."""
    look = states.look(state)
    facts = [Fact("", states.told(state), look.tone)]
    plan, progress = view.plan, view.progress
    if view.phase and state in ("running", "stopping") and view.phase != "train":
        done = f"{phase_word(view.phase)} {progress.done}/{progress.total}" if progress else phase_word(view.phase)
        facts.append(Fact("", done))
    if plan.epochs:
        facts.append(Fact(_("epoch"), f"{view.epoch:{len(str(plan.epochs))}d}/{plan.epochs}"))
    if plan.steps:
        facts.append(Fact(_("step"), f"{view.step:{len(str(plan.steps))}d}/{plan.steps}"))
    return facts


def speed_facts(view: RunView, now: float) -> list[Fact]:
    """Loss, time left and spent, learning rate, speed."""
    last = view.last
    if view.progress is not None and view.progress.phase == "tag":
        return _tagging_facts(view, now)
    if last is None:
        return [Fact(_("spent"), duration(view.seconds_spent(now)))] if view.started is not None else []
    left = view.seconds_left(now)
    facts = [Fact(_("loss"), loss(last.loss), "error" if last.nonfinite else "key")]
    if len(view.series) > 4:
        facts.append(Fact(_("smoothed"), loss(view.series.smoothed(0.9)[-1])))
    if left is not None:
        facts.append(Fact(_("left"), duration(left), "key"))
    facts.append(Fact(_("spent"), duration(view.seconds_spent(now))))
    if view.state in ("running", "stopping"):
        facts.append(Fact("", f"{rate(last.it_s)} it/s"))
    if last.lr:
        facts.append(Fact("lr", learning_rate(next(iter(last.lr.values())))))
    if view.state in ("running", "stopping"):
        facts.append(Fact("", _("{rate} images/s").format(rate=rate(view.images_s))))
    if last.grad_norm is not None:
        facts.append(Fact(_("gradient"), f"{last.grad_norm:.3f}"))
    if view.validation:
        facts.append(Fact(_("validation"), loss(view.validation[-1].loss)))
    return facts


def _tagging_facts(view: RunView, now: float) -> list[Fact]:
    progress = view.progress
    facts = [Fact(_("spent"), duration(view.seconds_spent(now)))]
    if progress is not None and progress.eta_s is not None:
        facts.insert(0, Fact(_("left"), duration(max(0.0, progress.eta_s - max(0.0, now - progress.t))), "key"))
    if progress is not None and progress.per_s is not None:
        facts.append(Fact("", _("{rate} images/s").format(rate=rate(progress.per_s))))
    return facts


def plan_facts(row: RunRow | None, view: RunView) -> list[Fact]:
    """What is being baked, on what, from how much."""
    plan = view.plan
    facts = []
    if row is not None and row.dataset:
        facts.append(Fact(_("dataset"), PurePosixPath(row.dataset).name))
    if plan.images:
        facts.append(Fact("", ngettext("{n} image", "{n} images", plan.images).format(n=plan.images)))
        if plan.image_views:
            facts.append(Fact("", _("{n} image views").format(n=plan.image_views)))
    if row is not None and row.kind == "tag":
        facts.append(Fact(_("tagger"), plan.base or row.base))
    elif plan.base or (row is not None and row.base):
        facts.append(Fact(_("base"), plan.base or (row.base if row is not None else "")))
    if plan.device:
        # A tagger on the processor takes many times as long as on a GPU, and libraries fall back to it in silence.
        tone = "warn" if row is not None and row.kind == "tag" and plan.device == "CPU" else ""
        facts.append(Fact(_("on"), " ".join(part for part in (plan.device, plan.precision) if part), tone))
    if plan.batch:
        facts.append(Fact(_("batch"), str(plan.batch)))
    if row is not None and row.parent:
        facts.append(Fact(_("branch of"), row.parent))
    if plan.trainable_parameters:
        facts.append(Fact("", _("{n} M parameters").format(n=f"{plan.trainable_parameters / 1e6:.1f}")))
    return facts


def device_facts(sample: DeviceSample | None) -> list[Fact]:
    """The machine in one line; a machine without a GPU says so."""
    if sample is None:
        return []
    facts = []
    for gpu in sample.gpus:
        facts.append(Fact(f"GPU {gpu.index}", f"{gpu.utilisation:3d} %"))
        facts.append(Fact("", memory(gpu.memory_used, gpu.memory_total)))
        facts.append(Fact("", f"{gpu.temperature} °C"))
        facts.append(Fact("", f"{gpu.power:.0f} W"))
        if gpu.others:
            told = ngettext("{n} other process", "{n} other processes", gpu.others).format(n=gpu.others)
            facts.append(Fact("", f"{told} ({size(gpu.others_memory)})", "warn"))
        facts.append(Fact("", gpu.name))
    if not sample.gpus:
        facts.append(Fact("", _("no GPU")))
    facts.append(Fact("CPU", f"{sample.cpu_percent:3.0f} %"))
    facts.append(Fact(_("memory"), memory(sample.memory_used, sample.memory_total)))
    facts.append(Fact(_("disk free"), size(sample.disk_free)))
    return facts


def failure(row: RunRow | None, view: RunView) -> ErrorInfo | None:
    """Why a run failed, from its journal or else from what the engine found."""
    if view.error is not None:
        return view.error.error
    return row.error if row is not None else None


def notice(state: str, row: RunRow | None, view: RunView, asked: str, now: float) -> tuple[str, str]:
    """One or two lines that stand out (text, tone): what was asked for, or how it ended and what to do next.

    `asked` is an action that was sent and not yet acknowledged.
    """
    if asked:
        if asked == "set" and state == "paused":
            return _("change noted: it counts when the bake goes on"), "warn"
        return _(ASKED[asked]), "warn"
    if state == "failed":
        info = failure(row, view)
        lines = told(info) if info is not None else (_("The bake failed."), "")
        return "\n".join(line for line in lines if line), "error"
    if state == "done":
        return _done(view), "good"
    if state == "stopped":
        text = _("Stopped after step {step}; {key} goes on from there.")
        return text.format(step=view.step, key=_key("monitor.resume")), "warn"
    if state == "cancelled":
        return _("Cancelled before it began; {key} queues it again.").format(key=_key("monitor.resume")), "dim"
    if state == "held":
        if row is not None and row.crash:
            text = _("Held since the machine or the engine went down; {start} lets it go.")
            return text.format(start=_key("monitor.resume")), "warn"
        return _("Held; {key} lets it go.").format(key=_key("monitor.resume")), "warn"
    if state == "scheduled" and row is not None:
        return _("Starts by itself: {when}.").format(when=row.when), "dim"
    if state == "queued" and row is not None:
        return _("Waiting in the queue, place {place}.").format(place=row.position), "dim"
    ack = view.ack
    if ack is not None and (ack.state == "accepted" or now - ack.t < _ACK_SECONDS):
        return ack_text(ack), "warn" if ack.state == "accepted" else "good"
    if row is not None and row.stalled:
        return _("No word from the worker for {time}.").format(time=duration(now - (view.updated or now))), "warn"
    return "", ""


def _done(view: RunView) -> str:
    if view.tagged is not None:
        return f"{states.tagged(view.tagged)} · " + _("{key} shows the tags").format(key=_key("app.tags"))
    files = ngettext("{n} finished epoch", "{n} finished epochs", len(view.epochs)).format(n=len(view.epochs))
    ending = files + " · " + _("{key} compares them").format(key=_key("app.results"))
    return f"{ending}\n{told(view.finished.hint)[0]}" if view.finished and view.finished.hint else ending


def _key(action: str) -> str:
    return keys.find(action).key


def answered(view: RunView, action: str, seq: int) -> bool:
    """Whether a request made after event `seq` was acknowledged, be it by a process that another has followed since."""
    newer = takewhile(lambda line: line.event.seq > seq, reversed(view.log))
    return any(isinstance(line.event, Ack) and line.event.action == action for line in newer)


def entries(lines: Iterable[LogLine]) -> list[Entry]:
    """The log in words. What every epoch repeats, and the bar above tells anyway, is left out."""
    return [Entry(clock(line.event.t), line.level, _words(line.event)) for line in lines if not _repeated(line.event)]


def _repeated(event: Event) -> bool:
    if isinstance(event, Phase):
        return event.name in ("train", "preview", "save", "validate")
    return isinstance(event, Checkpoint) and event.kind == "state"


def _words(event: Event) -> str:
    match event:
        case Phase():
            return phase_word(event.name)
        case Checkpoint(kind="epoch"):
            name = PurePosixPath(event.path).name
            return _("epoch {epoch}: {file}").format(epoch=event.epoch, file=name)
        case Tagged():
            return states.tagged(event)
        case Tested():
            return states.tested(event)
        case Warning():
            info = ErrorInfo(code=event.code, message=event.message, hint=event.hint, args=event.args)
            return " ".join(part for part in told(info) if part)
        case Error():
            return " ".join(part for part in told(event.error) if part)
        case Paused():
            return _("paused after step {step}").format(step=event.step)
        case Resumed():
            return _("going on from step {step}").format(step=event.step)
        case Changed():
            values = ", ".join(f"{name} = {value:g}" for name, value in event.values.items())
            return _("from step {step} on: {values}").format(step=event.step + 1, values=values)
        case Ack():
            return ack_text(event)
        case Finished():
            hint = " ".join(part for part in told(event.hint) if part) if event.hint else ""
            return " · ".join(part for part in (_(states.look(event.reason).word), hint) if part)
        case _:
            return ""


def previews(root: str, view: RunView, epoch: int) -> list[Item]:
    """The previews of an epoch (0: the untrained base) as pictures, by index."""
    name = epoch_name(epoch)
    row = view.previews.get(epoch, {})
    return [Item(root, row[index].path, f"{name} #{index}", row[index].seq) for index in sorted(row)]


def epoch_name(epoch: int) -> str:
    """`baseline`, `epoch 3`."""
    return _("epoch {epoch}").format(epoch=epoch) if epoch else _("baseline")
