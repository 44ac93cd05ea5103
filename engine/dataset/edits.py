"""Changes of a dataset's files that can be taken back: the journal `.lorabake/edits.jsonl` and the trash beside it.

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
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.dataset.names import inside, printable, to_name
from engine.dataset.sidecar import FOLDER
from engine.protocol.errors import EngineError
from engine.protocol.files import Lock, fsync_dir, make_private_dir

TRASH = "trash"
JOURNAL = "edits.jsonl"

# A POSIX lock keeps other processes out, this one the other threads of ours.
_threads = threading.Lock()


class Edit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file changed: `file` was, `made` is there now ("" for a dropped one) with content `sha256`; both are paths
    in the dataset as bytes of the file system, `name` is for people. `undone` marks a batch as taken back."""

    batch: str
    t: float
    name: str = ""
    fixes: list[str] = []
    file: bytes = b""
    made: bytes = b""
    sha256: str = ""
    undone: bool = False


class Edits:
    """The journal of one dataset, open for one batch of changes or for undoing one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.batch = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(2)

    def replace(self, path: Path, data: bytes | None, target: Path, fixes: list[str]) -> None:
        """Put `data` (None: the bytes of `path` itself) at `target` in place of `path`, which goes to the trash.

        Raises EngineError `file_exists` when something else stands at `target`, or OSError.
        """
        if target != path and os.path.lexists(target):
            raise EngineError("file_exists", file=printable(target.name))
        self._keep(path)
        self._note(path, fixes, target, _sha256(path) if data is None else hashlib.sha256(data).hexdigest())
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

    def last(self) -> list[Edit]:
        """The edits of the youngest batch that was not undone, youngest first."""
        batches: dict[str, list[Edit]] = {}
        for edit in self._read():
            if edit.undone:
                batches.pop(edit.batch, None)
            else:
                batches.setdefault(edit.batch, []).append(edit)
        return list(reversed(batches.popitem()[1])) if batches else []

    def undo(self, edit: Edit) -> bool:
        """Bring back the original of one edit; False when there is nothing to do.

        Raises EngineError `file_changed` when what stands there is neither what the edit made nor what it found.
        """
        path, kept = self._path(edit.file), self._trashed(edit)
        if not os.path.lexists(kept):
            return False
        made = self._path(edit.made) if edit.made else None
        ours = (edit.sha256, _sha256(kept))
        for present in (path, made):
            if present is not None and os.path.lexists(present) and _sha256(present) not in ours:
                raise EngineError("file_changed", file=printable(present.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(kept, path)
        kept.unlink(missing_ok=True)  # two links to one file: the rename did nothing
        if made is not None and made != path:
            made.unlink(missing_ok=True)
        fsync_dir(path.parent)
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
            Edit(
                batch=self.batch,
                t=time.time(),
                name=to_name(str(relative)),
                fixes=fixes,
                file=os.fsencode(relative),
                made=os.fsencode(made.relative_to(self.root)) if made else b"",
                sha256=sha256,
            )
        )

    def _append(self, edit: Edit) -> None:
        fd = os.open(self.folder / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.write(fd, b"\n" * torn + msgspec.json.encode(edit) + b"\n")
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
def editing(root: Path) -> Iterator[Edits]:
    """The journal of `root`, for one writer at a time.

    Raises EngineError `dataset_busy`, `path_outside` when the journal's folder is a link that leads elsewhere, or
    `dataset_unwritable`.
    """
    edits = Edits(root)
    lock = Lock(edits.folder / "edits.lock")
    for part in (edits.folder, edits.folder / JOURNAL, edits.folder / TRASH, lock.path):
        if not inside(root, part):
            raise EngineError("path_outside", path=printable(str(part)), root=printable(str(root)))
    if not _threads.acquire(blocking=False):
        raise EngineError("dataset_busy", path=printable(str(root)))
    try:
        make_private_dir(edits.folder)
        if not lock.acquire():
            raise EngineError("dataset_busy", path=printable(str(root)))
        yield edits
    except OSError as error:
        raise EngineError(
            "dataset_unwritable", path=printable(str(root)), reason=error.strerror or str(error)
        ) from None
    finally:
        lock.release()
        _threads.release()


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


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
