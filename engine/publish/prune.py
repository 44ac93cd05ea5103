"""Makes room: epochs of a run, its state, or all of it go to the trash of this home, and can come back.

What was published is never taken, nor what is alive; the best epoch by the hint and the last one stay as well.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from engine import home
from engine.drawing.sources import epoch_files
from engine.protocol.errors import EngineError
from engine.protocol.files import fsync_dir, lock_holder, make_private_dir
from engine.protocol.publishing import Pruned, PruneParams, Trash, TrashParams
from engine.publish import ledger
from engine.publish.results import results, size_of
from engine.runs import queue
from engine.runs.folder import RunFolder, find


def prune(asked: PruneParams) -> Pruned:
    """Do it, or with `dry_run` tell what would go.

    Raises EngineError `run_live`, `prune_published`, `epoch_missing`, `restore_nothing`, `home_unwritable`.
    """
    try:
        if asked.restore:
            with queue.locked():
                return _restore(asked.run)
        run = find(asked.run)
        if lock_holder(run.lock) is not None or any(item.run.id == run.id for item in queue.waiting()):
            raise EngineError("run_live", run=run.id)
        return _whole(run, asked) if asked.whole else _part(run, asked)
    except OSError as error:
        raise EngineError("home_unwritable", path=home.home(), reason=error.strerror or error) from None


def trash() -> Path:
    """Where pruned files wait; can be emptied at any time."""
    return make_private_dir(home.home() / "trash")


def held(asked: TrashParams) -> Trash:
    """What is in the trash, thrown away for good where that is asked for.

    Raises EngineError `restore_nothing` where nothing of the named run is there, `run_unknown`, `home_unwritable`.
    """
    bins = _bins(asked.run)
    runs: dict[str, int] = {}
    files = 0
    for path in bins:
        run = path.name.partition("@")[0]
        runs[run] = runs.get(run, 0) + size_of(path)
        files += sum(len(names) for _, _, names in os.walk(path))
    found = Trash(runs=runs, files=files, bytes=sum(runs.values()), path=str(trash()), emptied=asked.empty)
    if asked.empty:
        try:
            # A restore works under the same lock: a file is brought back or gone, never half of both.
            with queue.locked():
                for path in bins:
                    shutil.rmtree(path)
        except OSError as error:
            raise EngineError("home_unwritable", path=trash(), reason=error.strerror or error) from None
    return found


def _part(run: RunFolder, asked: PruneParams) -> Pruned:
    files = epoch_files(run, run.read_job())
    published = {entry.epoch for entry in ledger.published(run)}
    kept: dict[int, str] = {}
    if asked.epochs:
        for epoch in asked.epochs:
            if epoch not in files:
                there = ", ".join(map(str, files)) or "–"
                raise EngineError("epoch_missing", run=run.id, epoch=epoch, epochs=there)
            if epoch in published:
                raise EngineError("prune_published", run=run.id, epoch=epoch)
        gone = sorted(set(asked.epochs))
    elif asked.state:
        gone = []
    else:
        best = results(run).best
        for epoch in files:
            reasons = [
                ("published", epoch in published),
                ("best", epoch == best),
                ("last", epoch == max(files)),
                ("every", bool(asked.every) and epoch % asked.every == 0),
            ]
            reason = next((name for name, holds in reasons if holds), "")
            if reason:
                kept[epoch] = reason
        gone = [epoch for epoch in files if epoch not in kept]
    paths = [files[epoch] for epoch in gone]
    if not asked.keep_previews:
        paths += [path for epoch in gone for path in sorted(run.epoch_dir(epoch).glob("*.png"))]
    if asked.state:
        paths += [path for path in sorted(run.state_dir.rglob("*")) if path.is_file()]
    freed = sum(path.stat().st_size for path in paths)
    if not asked.dry_run and paths:
        where = _bin(run)
        for path in paths:
            target = where / path.relative_to(run.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        fsync_dir(where)
    told = str(trash()) if paths else ""
    return Pruned(run=run.id, epochs=gone, bytes=freed, kept=kept, dry_run=asked.dry_run, trash=told)


def _whole(run: RunFolder, asked: PruneParams) -> Pruned:
    if rows := ledger.published(run):
        raise EngineError("prune_published", run=run.id, epoch=rows[-1].epoch)
    freed = size_of(run.path)
    epochs = sorted(epoch_files(run, run.read_job()))
    if not asked.dry_run:
        # One rename: the run is there or in the trash, never in both.
        with queue.locked():
            os.rename(run.path, _bin(run) / "whole")
    return Pruned(run=run.id, epochs=epochs, bytes=freed, whole=True, dry_run=asked.dry_run, trash=str(trash()))


def _bin(run: RunFolder) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = trash() / f"{run.id}@{stamp}-{os.urandom(2).hex()}"
    return make_private_dir(path)


def _bins(word: str) -> list[Path]:
    """The folders of the trash, of one run where it is named; raises EngineError `restore_nothing`, `run_unknown`."""
    bins = sorted(path for path in trash().iterdir() if path.is_dir())
    if not word:
        return bins
    named = {path.name.partition("@")[0] for path in bins}
    # A run that lies in the trash as a whole is known by its identifier alone.
    ident = word if word in named else find(word).id
    if ident not in named:
        raise EngineError("restore_nothing", run=word)
    return [path for path in bins if path.name.partition("@")[0] == ident]


def _restore(word: str) -> Pruned:
    """Bring everything of a run back that is in the trash; a file that is there again stays as it is."""
    bins = _bins(word)
    ident = bins[0].name.partition("@")[0]
    run = RunFolder(home.runs_dir() / ident)
    count = 0
    for where in bins:
        if (where / "whole").is_dir() and not run.path.exists():
            os.rename(where / "whole", run.path)
            count += 1
        for path in sorted(where.rglob("*")):
            target = run.path / path.relative_to(where)
            if path.is_file() and path.parts[len(where.parts)] != "whole" and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                count += 1
        _sweep(where)
    return Pruned(run=ident, epochs=sorted(epoch_files(run, run.read_job())), bytes=0, restored=count)


def _sweep(where: Path) -> None:
    """Take away folders that are empty now."""
    for parent, _, _names in os.walk(where, topdown=False):
        if not os.listdir(parent):
            os.rmdir(parent)
