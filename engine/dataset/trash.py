"""The dataset's trash: what fixes and removals put away, how much room it takes, and emptying it for good.

Rounds whose originals are thrown away can no longer be taken back, and the journal says so; all others still can.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.dataset.edits import TRASH, Edit, Edits, editing
from engine.dataset.names import printable
from engine.dataset.sidecar import FOLDER
from engine.protocol.datasets import TrashReport
from engine.protocol.errors import EngineError


def look(root: Path) -> TrashReport:
    """What lies in the trash of a dataset; raises EngineError `dataset_unreadable`."""
    files, size = _weight(root / FOLDER / TRASH)
    try:
        rounds = sum(_kept(batch) for batch in Edits(root).history())
    except OSError as error:
        raise EngineError("dataset_unreadable", path=printable(str(root)), reason=error.strerror or error) from None
    return TrashReport(path=printable(str(root)), files=files, bytes=size, rounds=rounds if files else 0)


def empty(root: Path) -> TrashReport:
    """Throw everything in the trash away; answers with what it was.

    Raises EngineError `dataset_busy`, `path_outside` or `dataset_unwritable`.
    """
    with editing(root) as edits:
        before = look(root)
        # First the journal: a crash between the two leaves files that nobody needs, never a promise nobody can keep.
        for batch in edits.history():
            if _kept(batch):
                edits.close_undone(batch[0].batch)
        trash = edits.folder / TRASH
        if trash.exists():
            shutil.rmtree(trash)
    return before


def _kept(batch: Sequence[Edit]) -> bool:
    """Whether taking the round back needs a file of the trash."""
    return any(edit.file for edit in batch)


def _weight(trash: Path) -> tuple[int, int]:
    """How many files lie in a folder, and how many bytes they have."""
    files = size = 0
    for folder, _folders, names in os.walk(trash):
        for name in names:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size
            except OSError:  # gone meanwhile
                continue
            files += 1
    return files, size
