"""Takes back the rounds of changes of a dataset, the youngest first, and tells which there are.

How one change is recorded and reversed, `edits` knows.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.dataset import captions, sidecar
from engine.dataset.edits import Edit, Edits, editing
from engine.dataset.names import printable, to_name
from engine.dataset.tell import Tell, silent
from engine.protocol.datasets import Change
from engine.protocol.errors import EngineError
from engine.protocol.records import Finding


def history(root: Path) -> list[Change]:
    """The rounds that can be taken back, the youngest first; raises EngineError `dataset_unreadable`."""
    try:
        batches = Edits(root).history()
    except OSError as error:
        raise EngineError("dataset_unreadable", path=printable(str(root)), reason=error.strerror or error) from None
    return [_change(batch) for batch in reversed(batches)]


def take_back(root: Path, kind: str = "", tell: Tell = silent) -> tuple[Change, list[Edit], list[Finding]]:
    """Undo the youngest round (of `kind`, if any is named): what it was, what was undone, and what could not be.

    Files changed since are left alone. Raises EngineError `undo_nothing`, `dataset_busy`, `path_outside`,
    `dataset_unwritable` or `sidecar_unreadable`.
    """
    done: list[Edit] = []
    failed: list[Finding] = []
    with editing(root) as edits:
        batches = [batch for batch in edits.history() if not kind or batch[0].kind == kind]
        if not batches:
            raise EngineError("undo_nothing", path=printable(str(root)))
        batch = batches[-1]
        for number, edit in enumerate(reversed(batch), 1):
            try:
                if edits.undo(edit):
                    follow(root, edit.made, edit.file)
                    done.append(edit)
            except EngineError as error:
                info = error.info
                failed.append(
                    Finding(file=edit.name, code=info.code, message=info.message, hint=info.hint, args=info.args)
                )
            tell(number, len(batch))
        edits.close_undone(batch[0].batch)
    return _change(batch), done, failed


def follow(root: Path, before: bytes, after: bytes) -> None:
    """An image's facts follow it to its new name."""
    old, new = to_name(os.fsdecode(before)), to_name(os.fsdecode(after))
    if before and after and old != new:
        sidecar.move(root, old, new)


def _change(batch: list[Edit]) -> Change:
    names = {edit.name for edit in batch if edit.name}
    names = {name for name in names if not name.endswith(captions.EXTENSIONS)} or names
    # What is remembered of an image beside a change of its file is no second change.
    facts = {name for edit in batch for table in edit.facts.values() for name in table} if not names else set()
    return Change(batch=batch[0].batch, kind=batch[0].kind, t=batch[0].t, count=len(names | facts))
