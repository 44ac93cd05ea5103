"""What a run has to show: its epochs with their figures, where its parameters come from, and its relatives."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine import presets
from engine.drawing.sources import epoch_files
from engine.measure import outcome_of
from engine.models.adapter import read_adapter
from engine.models.catalogue import list_models
from engine.protocol import fields
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.events import Event, Finished, Phase, Plan, Step, Validation
from engine.protocol.journal import JournalReader
from engine.protocol.params import BakeParams
from engine.protocol.publishing import EpochFacts, ParamFact, RunResults
from engine.protocol.records import Job
from engine.publish import judged, ledger
from engine.runs.folder import RunFolder, all_runs


def results(run: RunFolder) -> RunResults:
    """Everything about a bake; raises EngineError `draw_no_bake`, or `params_unreadable` for a torn job."""
    job = run.read_job()
    if job.kind not in ("bake", "fake"):
        raise EngineError("draw_no_bake", run=run.id)
    events = JournalReader(run.journal).read_all()
    files = epoch_files(run, job)
    epochs, best, hints, overtrained = _epochs(run, files, events)
    return RunResults(
        run=run.id,
        name=job.name,
        dir=str(run.path),
        dataset=job.dataset,
        base=job.base,
        preset=job.preset,
        reg=job.reg,
        epochs=epochs,
        params=_params(job, run),
        derived=_derived(job, events),
        parent=job.parent,
        children=[other.id for other in all_runs() if other.id != run.id and _parent(other) == run.id],
        bytes=size_of(run.path),
        state_bytes=size_of(run.state_dir),
        trigger=_trigger(files),
        best=best,
        hints=hints,
        overtrained=overtrained,
        outcome=outcome_of(run),
    )


def _epochs(
    run: RunFolder, files: dict[int, Path], events: list[Event]
) -> tuple[list[EpochFacts], int, list[ErrorInfo], int]:
    losses: dict[int, list[float]] = {}
    beginning: list[float] = []
    held: dict[int, float] = {}
    best, hints = 0, []
    for event in events:
        if isinstance(event, Step) and event.loss is not None:
            losses.setdefault(event.epoch, []).append(event.loss)
            beginning.append(event.loss)
        elif isinstance(event, Validation) and event.loss is not None:
            held[event.epoch] = event.loss
        elif isinstance(event, Finished):
            best = event.best
            hints = [event.hint] if event.hint is not None else []
    seen = judged.read(run)
    means = {epoch: sum(some) / len(some) for epoch, some in losses.items()}
    start = beginning[: judged.BEGINNING]
    known = judged.Losses(trained=means, held=held, beginning=sum(start) / len(start) if start else 0.0)
    verdict = judged.verdict(seen, known, sorted(files))
    if verdict is not None:
        best, hints = verdict.best or best, [*hints, *verdict.hints]
    out: dict[int, list[str]] = {}
    for entry in ledger.published(run):
        out.setdefault(entry.epoch, []).append(entry.url or entry.to)
    rows = []
    for epoch in sorted({*files, *out, *_previewed(run)}):
        one = seen.epochs.get(epoch) if seen is not None else None
        rows.append(
            EpochFacts(
                epoch=epoch,
                present=epoch in files,
                bytes=size_of(run.epoch_dir(epoch)),
                best=bool(epoch) and epoch == best,
                published=out.get(epoch, []),
                loss=means.get(epoch),
                held_out=held.get(epoch),
                likeness=one.likeness if one is not None else None,
                obedience=one.obedience if one is not None else None,
                path=str(files.get(epoch, "")),
            )
        )
    return rows, best, hints, verdict.overtrained if verdict is not None else 0


def _previewed(run: RunFolder) -> set[int]:
    return {int(path.name) for path in run.path.glob("epochs/*") if path.name.isdigit()}


def _params(job: Job, run: RunFolder) -> list[ParamFact]:
    """Each parameter with its origin: what a person set, what the preset set, what is usual."""
    preset = BakeParams()
    if job.preset:
        row = next((row for row in list_models() if row.kind == "base" and row.name == job.base), None)
        images = len([entry for entry in run.read_manifest() if not entry.reg and not entry.validation])
        try:
            preset = fields.build(presets.resolve(job.preset, row, images).params)
        except EngineError:
            preset = BakeParams()  # a preset of the person's own that is gone by now
    standard, rows = BakeParams(), []
    for name in fields.fields():
        value = getattr(job.params, name)
        if value != getattr(preset, name):
            source = "set"
        else:
            source = "preset" if value != getattr(standard, name) else "default"
        rows.append(ParamFact(name=name, value=_text(value), source=source, standard=_text(getattr(preset, name))))  # type: ignore[arg-type]
    return rows


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _derived(job: Job, events: list[Event]) -> dict[str, str]:
    """What the trainer worked out of parameters, dataset and machine."""
    plan = next((e.plan for e in reversed(events) if isinstance(e, Phase) and e.plan is not None), Plan())
    facts = {name: value for name, value in msgspec.to_builtins(plan).items() if value not in ("", 0)}
    rates = next((event.lr for event in reversed(events) if isinstance(event, Step) and event.lr), {})
    facts |= {f"last learning rate ({part})": f"{rate:.3g}" for part, rate in rates.items()}
    return {name: str(value) for name, value in facts.items()}


def _trigger(files: dict[int, Path]) -> str:
    try:
        return read_adapter(files[max(files)]).metadata.get("modelspec.trigger_phrase", "") if files else ""
    except EngineError:
        return ""


def _parent(run: RunFolder) -> str:
    try:
        return run.read_job().parent
    except EngineError:
        return ""


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder; 0 where there is none."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total
