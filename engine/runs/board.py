"""A run's numbers and previews as TensorBoard event files, written on request from its journal. Torch-free.

The writer is tensorboardX, an optional library; nothing of a bake depends on it.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from engine.protocol import events
from engine.protocol.errors import EngineError
from engine.protocol.events import Event
from engine.protocol.journal import JournalReader
from engine.runs.folder import RunFolder


def write(run: RunFolder, folder: Path) -> int:
    """Write an event file of the whole journal into `folder`; returns how many numbers and pictures it holds.

    A step that was taken again after a resume is written once, with its last value. Raises EngineError
    `tensorboard_missing` or `out_unwritable`.
    """
    try:
        library = importlib.import_module("tensorboardX")
    except ImportError:
        raise EngineError("tensorboard_missing") from None
    rows = _last_words(JournalReader(run.journal).read_all())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = library.SummaryWriter(str(folder))
        try:
            return sum(_add(writer, row, run) for row in rows)
        finally:
            writer.close()
    except OSError as error:
        raise EngineError("out_unwritable", path=folder, reason=error.strerror or error) from None


def _last_words(rows: list[Event]) -> list[Event]:
    """Without the steps that a resume took back."""
    last: dict[int, int] = {row.step: row.seq for row in rows if isinstance(row, events.Step)}
    return [row for row in rows if not isinstance(row, events.Step) or last[row.step] == row.seq]


def _add(writer, row: Event, run: RunFolder) -> int:  # type: ignore[no-untyped-def]
    numbers: dict[str, float | None] = {}
    match row:
        case events.Step():
            numbers = {"loss/train": row.loss, "gradient norm": row.grad_norm, "speed/steps per second": row.it_s}
            numbers |= {f"lr/{group}": value for group, value in row.lr.items()}
        case events.Validation():
            numbers = {"loss/validation": row.loss}
        case events.Preview():
            return _picture(writer, row, run)
        case _:
            return 0
    known = {name: value for name, value in numbers.items() if value is not None}
    for name, value in known.items():
        writer.add_scalar(name, value, row.step, walltime=row.t)
    return len(known)


def _picture(writer, row: events.Preview, run: RunFolder) -> int:  # type: ignore[no-untyped-def]
    import numpy as np
    from PIL import Image

    try:
        with Image.open(run.path / row.path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except OSError:
        return 0
    writer.add_image(f"preview/{row.index}", pixels, row.step, walltime=row.t, dataformats="HWC")
    return 1
