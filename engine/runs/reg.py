"""From what a person asked for to a job that draws regularisation images; everything is checked here first."""

from __future__ import annotations

import os
import time
from pathlib import Path

from engine.models.catalogue import locate
from engine.protocol import fields
from engine.protocol.datasets import RegParams
from engine.protocol.errors import EngineError
from engine.protocol.records import Job, ModelRow
from engine.runs.folder import free_name

MOST = 10_000


def prepare(asked: RegParams) -> Job:
    """The job, its id still empty.

    Raises EngineError `reg_prompts`, `param_invalid`, `model_unknown`, `preset_unknown` or `out_unwritable`.
    """
    from engine.presets import resolve

    prompts = [prompt.strip() for prompt in asked.prompts if prompt.strip()]
    if not prompts:
        raise EngineError("reg_prompts")
    if not 1 <= asked.count <= MOST:
        raise EngineError("param_invalid", name="count", value=asked.count, allowed=f"1 … {MOST}")
    located = locate(asked.base)
    layers = [asked.params]
    if asked.preset:
        row = located.row or ModelRow(name=asked.base, kind="base", family=located.family)
        layers.insert(0, resolve(asked.preset, row, asked.count).params)
    out = Path(os.path.abspath(os.path.expanduser(asked.out)))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError("out_unwritable", path=out, reason=error.strerror or error) from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise EngineError("out_unwritable", path=out, reason="permission denied")
    return Job(
        id="",
        kind="reg",
        name=free_name(asked.name or out.name),
        created=time.time(),
        dataset="",
        base=asked.base if located.row is not None else str(located.path),
        preset=asked.preset,
        out=str(out),
        params=fields.build(*layers),
        prompts=prompts,
        count=asked.count,
    )
