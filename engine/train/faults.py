"""What can go wrong in a bake, as sentences: memory, disk, and the stage it happened in. Journals before it unwinds."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator

import torch

from engine.protocol import events
from engine.protocol.errors import EngineError
from engine.protocol.files import DISK_FULL
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.runs.folder import RunFolder

_ADVICE = "batch_size, gradient_checkpointing = true, resolution, optimizer"
_MEMORY = ("not enough memory", "can't allocate memory", "std::bad_alloc", "out of memory", "STATUS_ALLOC_FAILED")
"""How torch, CUDA and its libraries say it in errors of no class of their own."""


class Stage:
    """The phase a bake is in, told to the journal."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self.name = "prepare"
        self.device = "CPU"
        self.advice: Callable[[], str] = lambda: _ADVICE
        """What to change when memory runs out, in one line; known better once there is a plan."""

    def enter(self, name: str, plan: events.Plan | None = None) -> None:
        """Begin the phase `name` (one of `events.Phase`)."""
        self.name = name
        self._journal.emit(events.Phase, name=name, plan=plan)


@contextlib.contextmanager
def journaled(run: RunFolder, job: Job, journal: JournalWriter, stage: Stage) -> Iterator[None]:
    """Inside, a failure becomes an `error` event and an EngineError; what is no known failure passes unchanged."""
    try:
        yield
    except Exception as error:
        told = known(error, run, job, stage)
        if told is None:
            raise
        if told is not error or error.__cause__ is not None:
            traceback.print_exception(error)
        # A full disk may refuse this line too; the worker then tells it by its exit status.
        with contextlib.suppress(OSError):
            journal.emit(events.Error, error=told.info)
            journal.sync()
        raise told from None


def known(error: Exception, run: RunFolder, job: Job, stage: Stage) -> EngineError | None:
    """The failure as a sentence, None for one that nobody foresaw."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return EngineError("disk_full", recoverable=True, path=run.path, run=run.id)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY)
    ):
        return EngineError(
            "out_of_memory", recoverable=True, device=stage.device, phase=stage.name, advice=_advice(stage), run=run.id
        )
    return None


def _advice(stage: Stage) -> str:
    try:
        return stage.advice() or _ADVICE
    except MemoryError:  # so little is left that not even the sum can be done
        return _ADVICE
