"""From what a person asked for to a job that can be queued: everything is checked here, before anything is written.

The rules of parameters, presets, bases and datasets are their own packages'; this puts them in order.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.optimizers import check_installed
from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.messages import Submit
from engine.protocol.notices import Setting, refuse
from engine.protocol.params import BakeParams
from engine.protocol.records import Forecast, Job, ManifestEntry, ModelRow
from engine.runs.folder import free_name

if TYPE_CHECKING:
    from engine.dataset.plan import BakePlan
    from engine.dataset.scan import Dataset

Open = Callable[[str], "Dataset"]


def prepare(asked: Submit, open_dataset: Open) -> tuple[Job, list[ManifestEntry]]:
    """The job (its id still empty) and its frozen images.

    Raises whatever is wrong as EngineError: parameters, preset, base model, dataset, output folder, an optimizer that
    is not installed, and `nothing_to_train` or `timesteps_empty` for a bake that could learn nothing.
    """
    if asked.kind == "fake":
        return _fake(asked), []
    from engine.dataset.manifest import freeze
    from engine.dataset.plan import make_plan
    from engine.models.adapter import read_start
    from engine.models.catalogue import locate

    located = locate(asked.base)
    dataset = open_dataset(asked.dataset)
    reg = open_dataset(asked.reg) if asked.reg else None
    layers = [asked.params]
    if asked.preset:
        from engine.presets import resolve

        # A base named by path has no line in the catalogue, but it has a family.
        row = located.row or ModelRow(name=asked.base, kind="base", family=located.family)
        layers.insert(0, resolve(asked.preset, row, len(dataset.usable)).params)
    params = _rooted(fields.build(*layers))
    refuse(params, Setting(family=located.family))
    check_installed(params.optimizer)
    if params.network_weights:
        start = read_start(Path(_absolute(params.network_weights)), located.family, params).path
        params = msgspec.structs.replace(params, network_weights=str(start))
    plan = make_plan(dataset, reg, params, open_dataset(params.validation_dir) if params.validation_dir else None)
    # A probe leaves the name to the bake that it measures.
    name = free_name((asked.name or dataset.path.name) + "-probe" * (asked.kind == "probe"))
    known = located.row.name if located.row is not None else str(located.path)
    job = Job(
        id="",
        kind=asked.kind,
        name=name,
        created=time.time(),
        dataset=str(dataset.path),
        reg=str(reg.path) if reg else "",
        base=known,
        preset=asked.preset,
        out=out_folder(asked.out, name),
        params=params,
        parent=asked.parent,
        forecast=_forecast(plan, params, known),
    )
    return job, freeze(plan)


def _forecast(plan: BakePlan, params: BakeParams, base: str) -> Forecast:
    """The estimate, frozen with the job so that the truth can be held against it."""
    from engine.estimate import of_plan

    found = of_plan(plan, params, base=base)
    return Forecast(seconds=found.seconds or 0.0, memory_bytes=found.memory_bytes or 0, source=found.source)


def _fake(asked: Submit) -> Job:
    params = fields.build(asked.params)
    name = free_name(asked.name or Path(asked.dataset).name or asked.kind)
    return Job(
        id="",
        kind="fake",
        name=name,
        created=time.time(),
        dataset=_absolute(asked.dataset),
        reg=_absolute(asked.reg),
        base=asked.base,
        preset=asked.preset,
        out=out_folder(asked.out, name),
        params=params,
        parent=asked.parent,
    )


def _rooted(params: BakeParams) -> BakeParams:
    """Folders as seen from here: the worker runs in another."""
    return msgspec.structs.replace(
        params, mask_dir=_absolute(params.mask_dir), validation_dir=_absolute(params.validation_dir)
    )


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path)) if path else ""


def out_folder(wanted: str, name: str) -> str:
    """The folder for copies of the finished epochs: made, found writable, and free of files of this name."""
    if not wanted:
        return ""
    out = Path(_absolute(wanted))
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK | os.X_OK):
            raise EngineError("out_unwritable", path=out, reason="permission denied")
        present = sorted(os.listdir(out))
    except OSError as error:
        raise EngineError("out_unwritable", path=out, reason=error.strerror or error) from None
    own = re.compile(re.escape(name) + r"-e\d+[-.]")
    taken = next((file for file in present if own.match(file)), None)
    if taken is not None:
        raise EngineError("out_exists", path=out, file=taken)
    return str(out)
