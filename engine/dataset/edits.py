"""Changes of a dataset that can be taken back: the journal `.lorabake/edits.jsonl` and the trash beside it.

The original goes to the trash first, then the journal says what will happen, then it happens by one rename. A crash
between any two of these leaves every file whole, old or new, and the undo finds its way from what it meets.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.dataset import sidecar
from engine.dataset.names import inside, printable, to_name
from engine.dataset.sidecar import FOLDER
from engine.protocol.datasets import ChangeKind
from engine.protocol.errors import EngineError
from engine.protocol.files import Lock, fsync_dir, make_private_dir

TRASH = "trash"
JOURNAL = "edits.jsonl"

# A POSIX lock keeps other processes out, these the other threads of ours.
_threads: dict[Path, threading.Lock] = {}


class Edit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file changed: `file` was ("" for a new one), `made` is there now ("" for a dropped one) with content
    `sha256`; both are paths in the dataset as bytes of the file system, `name` is for people. Or `facts` of the sidecar
    changed, and this is what they were. `undone` marks a batch as taken back."""

    batch: str
    t: float
    kind: ChangeKind = "fix"
    name: str = ""
    fixes: list[str] = []
    file: bytes = b""
    made: bytes = b""
    sha256: str = ""
    facts: dict[str, dict[str, Any]] = {}
    undone: bool = False


class Edits:
    """The journal of one dataset, open for one batch of changes or for undoing one."""

    def __init__(self, root: Path, kind: ChangeKind = "fix") -> None:
        self.root = root
        self.folder = root / FOLDER
        self.kind = kind
        self.batch = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(2)

    def replace(self, path: Path, data: bytes | None, target: Path, fixes: list[str]) -> None:
        """Put `data` (None: the bytes of `path` itself) at `target` in place of `path`, which goes to the trash.

        Raises EngineError `file_exists` when something else stands at `target`, or OSError.
        """
        if target != path and os.path.lexists(target):
            raise EngineError("file_exists", file=printable(target.name))
        self._keep(path)
        self._note(path, fixes, target, _digest(path) if data is None else hashlib.sha256(data).hexdigest())
        if data is not None:
            self._put(data, target, path.stat().st_mode & 0o7777)
        else:
            _link(path, target)
        if target != path:
            path.unlink()
        fsync_dir(path.parent)

    def drop(self, path: Path, fixes: list[str]) -> None:
        """Move `path` to the trash; raises OSError."""
        self._keep(path)
        self._note(path, fixes, None, "")
        path.unlink()
        fsync_dir(path.parent)

    def create(self, made: Sequence[tuple[Path, Path]]) -> None:
        """Put new files, written and flushed at the first path of each pair, at the second, where nothing may stand.

        Raises EngineError `file_exists` before anything is done, or OSError, and nothing is done then either.
        """
        for _, target in made:
            if os.path.lexists(target):
                raise EngineError("file_exists", file=printable(target.name))
        self._append(
            *(
                self._edit(
                    name=to_name(str(target.relative_to(self.root))),
                    made=os.fsencode(target.relative_to(self.root)),
                    sha256=_digest(source),
                )
                for source, target in made
            )
        )
        placed: list[Path] = []
        try:
            for source, target in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(source, target)
                placed.append(target)
        except OSError:
            for target in placed:  # all of them or none: no caption without its picture
                target.unlink()
            raise
        for folder in {target.parent for _, target in made}:
            fsync_dir(folder)

    def staging(self) -> Path:
        """A folder on the dataset's disk for files that are not whole yet; the scan never looks there."""
        return make_private_dir(self.folder / TRASH / self.batch)

    def set_facts(self, facts: sidecar.Facts) -> None:
        """Change the sidecar; raises EngineErrors as `sidecar.set_repeat` does."""

        def changed(before: sidecar.Sidecar) -> sidecar.Sidecar:
            after = sidecar.with_facts(before, facts)
            if after != before:
                old = msgspec.to_builtins(sidecar.current(before, facts))
                self._append(self._edit(facts=old))
            return after

        sidecar.change(self.root, changed)

    def history(self) -> list[list[Edit]]:
        """The batches that were not undone, oldest first."""
        batches: dict[str, list[Edit]] = {}
        for edit in self._read():
            if edit.undone:
                batches.pop(edit.batch, None)
            else:
                batches.setdefault(edit.batch, []).append(edit)
        return list(batches.values())

    def undo(self, edit: Edit) -> bool:
        """Bring back the original of one edit, or put what it made into the trash; False when there is nothing to do.

        Raises EngineError `file_changed` when what stands there is neither what the edit made nor what it found.
        """
        if edit.facts:
            sidecar.change(self.root, lambda before: sidecar.with_facts(before, edit.facts))
            return True
        if not edit.file:
            return self._unmake(edit)
        path, kept = self._path(edit.file), self._trashed(edit)
        if not os.path.lexists(kept):
            return False
        made = self._path(edit.made) if edit.made else None
        ours = (edit.sha256, _digest(kept))
        for present in (path, made):
            if present is not None and os.path.lexists(present) and _digest(present) not in ours:
                raise EngineError("file_changed", file=printable(present.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(kept, path)
        kept.unlink(missing_ok=True)  # two links to one file: the rename did nothing
        if made is not None and made != path:
            made.unlink(missing_ok=True)
        fsync_dir(path.parent)
        return True

    def _unmake(self, edit: Edit) -> bool:
        made = self._path(edit.made)
        if not os.path.lexists(made):
            return False
        if _digest(made) != edit.sha256:
            raise EngineError("file_changed", file=printable(made.name))
        kept = self.folder / TRASH / edit.batch / os.fsdecode(edit.made)
        make_private_dir(kept.parent)
        os.rename(made, kept)
        fsync_dir(made.parent)
        # Folders that came with it go with it; those that hold anything else stay.
        for folder in made.parents:
            if folder == self.root:
                break
            try:
                folder.rmdir()
            except OSError:
                break
        return True

    def close_undone(self, batch: str) -> None:
        """Note that a batch was taken back."""
        self._append(Edit(batch=batch, t=time.time(), undone=True))

    def _keep(self, path: Path) -> None:
        kept = self.folder / TRASH / self.batch / path.relative_to(self.root)
        make_private_dir(kept.parent)
        _link(path, kept)
        fsync_dir(kept.parent)

    def _put(self, data: bytes, target: Path, mode: int) -> None:
        """As `files.atomic_write`, but what a crash leaves behind lies in the trash and not among the images."""
        temporary = self.folder / TRASH / self.batch / f".{secrets.token_hex(6)}.part"
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def _note(self, path: Path, fixes: list[str], made: Path | None, sha256: str) -> None:
        relative = path.relative_to(self.root)
        self._append(
            self._edit(
                name=to_name(str(relative)),
                fixes=fixes,
                file=os.fsencode(relative),
                made=os.fsencode(made.relative_to(self.root)) if made else b"",
                sha256=sha256,
            )
        )

    def _edit(self, **what: Any) -> Edit:
        return Edit(batch=self.batch, t=time.time(), kind=self.kind, **what)

    def _append(self, *edits: Edit) -> None:
        fd = os.open(self.folder / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.write(fd, b"\n" * torn + b"".join(msgspec.json.encode(edit) + b"\n" for edit in edits))
            os.fsync(fd)
        finally:
            os.close(fd)

    def _read(self) -> Iterator[Edit]:
        try:
            lines = (self.folder / JOURNAL).read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # a torn line did nothing yet
                yield msgspec.json.decode(line, type=Edit)

    def _path(self, relative: bytes) -> Path:
        path = self.root / os.fsdecode(relative)
        if os.path.isabs(relative) or b".." in relative.split(b"/") or not inside(self.root, path.parent):
            raise EngineError("path_outside", path=printable(str(path)), root=printable(str(self.root)))
        return path

    def _trashed(self, edit: Edit) -> Path:
        return self._path(os.fsencode(Path(FOLDER, TRASH, edit.batch)) + b"/" + edit.file)


@contextlib.contextmanager
def editing(root: Path, kind: ChangeKind = "fix") -> Iterator[Edits]:
    """The journal of `root`, for one writer of files at a time.

    Raises EngineError `dataset_busy`, `path_outside` when the journal's folder is a link that leads elsewhere, or
    `dataset_unwritable`.
    """
    edits = Edits(root, kind)
    lock = Lock(edits.folder / "edits.lock")
    _check_folder(edits, lock.path)
    ours = _threads.setdefault(root, threading.Lock())
    if not ours.acquire(blocking=False):
        raise EngineError("dataset_busy", path=printable(str(root)))
    try:
        make_private_dir(edits.folder)
        if not lock.acquire():
            raise EngineError("dataset_busy", path=printable(str(root)))
        _sweep(edits.folder / TRASH)
        yield edits
    except OSError as error:
        raise _unwritable(root, error) from None
    finally:
        lock.release()
        ours.release()


def set_facts(root: Path, kind: ChangeKind, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Change the sidecar as one round that can be taken back; no need to wait for those who change files.

    Raises EngineErrors as `sidecar.set_repeat` does.
    """
    edits = Edits(root, kind)
    _check_folder(edits)
    try:
        make_private_dir(edits.folder)
        edits.set_facts(facts)
    except OSError as error:
        raise _unwritable(root, error) from None


def _sweep(trash: Path) -> None:
    """Remove what a writer that was killed had not made whole yet; we hold the lock, so nobody is at it."""
    with contextlib.suppress(OSError):
        for batch in os.scandir(trash):
            for left in os.scandir(batch.path) if batch.is_dir(follow_symlinks=False) else ():
                if left.name.endswith((".part", ".words")) and not left.is_dir(follow_symlinks=False):
                    os.unlink(left.path)


def _check_folder(edits: Edits, *more: Path) -> None:
    for part in (edits.folder, edits.folder / JOURNAL, edits.folder / TRASH, *more):
        if not inside(edits.root, part):
            raise EngineError("path_outside", path=printable(str(part)), root=printable(str(edits.root)))


def _unwritable(root: Path, error: OSError) -> EngineError:
    return EngineError("dataset_unwritable", path=printable(str(root)), reason=error.strerror or str(error))


def _link(path: Path, target: Path) -> None:
    """The same bytes under a second name: a link where the disk knows links, else a copy. Never replaces a file."""
    try:
        os.link(path, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        temporary = target.with_name(f".{secrets.token_hex(6)}.part")
        shutil.copy2(path, temporary, follow_symlinks=False)
        if not temporary.is_symlink():
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.rename(temporary, target)


def _digest(path: Path) -> str:
    """The hash of a file's bytes; of a link, where it leads."""
    if path.is_symlink():
        return hashlib.sha256(b"link:" + os.fsencode(os.readlink(path))).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
