"""A new bake made from an old one: the same again, from the weights of one of its epochs, or from its saved state.

Everything else of submitting is `submit`; what a state is the trainer's business, here it is copied.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.files import make_private_dir
from engine.protocol.messages import Branch, Submit
from engine.protocol.records import Job, ManifestEntry
from engine.runs import submit, tuning
from engine.runs.folder import RunFolder, free_name
from engine.runs.tail import Tail

_TRIES = 5
"""A live bake may replace a state while it is copied."""


class _Progress(msgspec.Struct, frozen=True):
    fingerprint: str = ""
    closed: int = 0
    changes: list[tuning.Change] = []


class _Generation(msgspec.Struct, frozen=True):
    progress: _Progress = _Progress()


Fill = Callable[[RunFolder], None]


def prepare(run: RunFolder, asked: Branch, open_dataset: submit.Open) -> tuple[Job, list[ManifestEntry], Fill | None]:
    """The job, its images, and what has to lie in its folder besides.

    Without an epoch and not from the state the dataset is read anew; a state goes with the images it was made of.
    Raises EngineError `branch_no_epoch`, `branch_no_state`, and whatever `submit.prepare` raises.
    """
    old = run.read_job()
    if asked.state:
        return _from_state(run, old, asked)
    params = {**msgspec.to_builtins(old.params), **asked.params}
    if asked.epoch:
        params["network_weights"] = str(_file_of(run, old, asked.epoch))
    again = Submit(
        dataset=old.dataset,
        reg=old.reg,
        base=old.base,
        params=params,
        name=asked.name or old.name,
        out=asked.out,
        kind="fake" if old.kind == "fake" else "bake",
    )
    job, manifest = submit.prepare(again, open_dataset)
    lineage = {"parent": run.id, "parent_epoch": asked.epoch or 0} if asked.epoch else {}
    return msgspec.structs.replace(job, preset=old.preset, **lineage), manifest, None


def _file_of(run: RunFolder, job: Job, epoch: int) -> Path:
    path = run.lora_file(epoch, job.name)
    if not path.is_file():
        raise EngineError("branch_no_epoch", run=run.id, epoch=epoch)
    return path


def _from_state(run: RunFolder, old: Job, asked: Branch) -> tuple[Job, list[ManifestEntry], Fill]:
    generation = _latest(run)
    params = tuning.applied(old.params, generation.progress.changes)
    params = fields.build(msgspec.to_builtins(params), asked.params)
    if params.epochs <= generation.progress.closed:
        reason = f"epoch {generation.progress.closed} is closed in the state"
        raise EngineError("set_refused", name="epochs", reason=reason, names=f"epochs > {generation.progress.closed}")
    name = free_name(asked.name or old.name)
    job = msgspec.structs.replace(
        old,
        id="",
        name=name,
        created=time.time(),
        out=submit.out_folder(asked.out, name),
        params=params,
        parent=run.id,
        parent_epoch=Tail(run.journal).refresh().epoch,
        branched=generation.progress.fingerprint,
    )
    return job, run.read_manifest(), lambda staged: _copy_state(run, staged)


def _latest(run: RunFolder) -> _Generation:
    """What the newest state says of itself; the scripted bake's says nothing."""
    if (run.state_dir / "fake.json").exists():
        return _Generation()
    for path in sorted(run.state_dir.glob("state-*.json"), reverse=True):
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Generation)
        except (OSError, msgspec.DecodeError):
            continue
    raise EngineError("branch_no_state", run=run.id)


def _copy_state(run: RunFolder, staged: RunFolder) -> None:
    for left in reversed(range(_TRIES)):
        shutil.rmtree(staged.state_dir, ignore_errors=True)
        make_private_dir(staged.state_dir)
        try:
            for path in sorted(run.state_dir.iterdir()):
                if not path.name.startswith("."):
                    shutil.copyfile(path, staged.state_dir / path.name)
            return
        except FileNotFoundError:
            if not left:
                raise EngineError("branch_no_state", run=run.id) from None
