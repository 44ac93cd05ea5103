"""The journal of caption edits, `.lorabake/tags.jsonl`: undo and redo without end, over restarts and crashes.

An edit is first written down whole in a file of its own, its intent (`tag_intent`), and flushed; then each caption is
replaced by one rename; then a line of the journal says what was done. Whoever opens the journal next completes what was
interrupted. What an edit is, `tag_edit` knows, how little of a text a line keeps, `tag_patch`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.dataset.caption_files import CaptionFile, CaptionFolder, Writer
from engine.dataset.caption_swap import Old, Swapper, Wanted, unfit
from engine.dataset.names import inside, printable
from engine.dataset.sidecar import FOLDER
from engine.dataset.tag_intent import Intent, intent_head, new_token, this_boot, torn, whole_intent
from engine.dataset.tag_patch import NO_FILE, FileChange, Row, checksum, other_side, row_of
from engine.dataset.workshop import folders, sweep
from engine.protocol.errors import EngineError
from engine.protocol.files import Lock, atomic_write, make_private_dir
from engine.protocol.tags import TagOp

JOURNAL = "tags.jsonl"
_INTENT = "tags-"
_PART = "tags.part"
_WORKSHOP = "tags.new"
_KEPT_SECONDS = 120.0
"""How long an intent outlives its edit: within this time the disk has the captions themselves."""
_FLUSHED = 8
"""Edits of up to this many captions are flushed file by file; for larger ones the intent stands in."""

# A POSIX lock keeps other processes out, these the other threads of ours.
_threads: dict[Path, threading.Lock] = {}
_journals: dict[Path, TagJournal] = {}
"""What was read stays read: a journal grows only at its end."""


Read = Mapping[str, CaptionFile | None]
"""What was read of the files just before: when a stamp is still the same, it need not be read again."""


class _Line(msgspec.Struct, omit_defaults=True):
    """A line of the journal: an edit with its rows, or the number of one that was undone or redone."""

    token: str
    t: float
    edit: int = 0
    op: TagOp | None = None
    count: int = 0
    undo: int = 0
    redo: int = 0
    rows: list[Row] = []


class _Head(msgspec.Struct):
    token: str
    t: float
    edit: int = 0
    op: TagOp | None = None
    count: int = 0
    undo: int = 0
    redo: int = 0


class Entry(NamedTuple):
    """An edit in the journal: where its line stands, and what it says beside its rows."""

    edit: int
    t: float
    op: TagOp
    count: int
    start: int
    length: int


class Outcome(NamedTuple):
    """What became of a round of changes: files that are changed now, and those that somebody else had changed."""

    edit: int
    done: list[FileChange]
    refused: list[str]


_head = msgspec.json.Decoder(_Head)
_line = msgspec.json.Decoder(_Line)


class TagJournal:
    """One dataset's journal, open for one writer; made by `opened`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.path = self.folder / JOURNAL
        self.files = CaptionFolder(root)
        self.done: list[Entry] = []
        self.undone: list[Entry] = []
        self.recovered = 0
        self._tokens: set[str] = set()
        self._inode = 0
        self._end = 0
        self._last = 0
        self._olds: dict[str, Old] = {}
        self._tidying: threading.Thread | None = None
        self.catch_up()

    # -- reading ----------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Take what the file has beyond what is known."""
        try:
            with open(self.path, "rb") as file:
                facts = os.fstat(file.fileno())
                if facts.st_ino != self._inode or facts.st_size < self._end:
                    self._inode, self._end, self._last = facts.st_ino, 0, 0
                    self.done, self.undone, self._tokens = [], [], set()
                file.seek(self._end)
                data = file.read()
        except FileNotFoundError:
            self._inode = self._end = self._last = 0
            self.done, self.undone, self._tokens = [], [], set()
            return
        at = 0
        while (end := data.find(b"\n", at)) >= 0:  # a line without its end is torn; the intent completes it
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                self._take(_head.decode(memoryview(data)[at:end]), self._end + at, end - at)
            at = end + 1
        self._end += at

    def _take(self, head: _Head, start: int, length: int) -> None:
        self._tokens.add(head.token)
        if head.undo and self.done and self.done[-1].edit == head.undo:
            self.undone.append(self.done.pop())
        elif head.redo and self.undone and self.undone[-1].edit == head.redo:
            self.done.append(self.undone.pop())
        elif head.edit and head.op is not None:
            self._last = max(self._last, head.edit)
            self.done.append(Entry(head.edit, head.t, head.op, head.count, start, length))
            self.undone.clear()

    def rows(self, entry: Entry) -> list[Row]:
        """What an edit did, file by file."""
        with open(self.path, "rb") as file:
            file.seek(entry.start)
            return _line.decode(file.read(entry.length)).rows

    # -- changing ---------------------------------------------------------------------------------------------

    def commit(self, op: TagOp, changes: Sequence[FileChange], read: Read) -> Outcome:
        """Do an edit; files that no longer say what `before` says are left alone."""
        intent = Intent(token=new_token(), t=time.time(), boot=this_boot(), files=list(changes), op=op)
        return self._carry_out(intent, read)

    def undo(self) -> Outcome | None:
        """Take back the youngest edit; None when there is none."""
        if not self.done:
            return None
        entry = self.done[-1]
        files, refused, read = self._there(entry, back=True)
        intent = Intent(token=new_token(), t=time.time(), boot=this_boot(), files=files, undo=entry.edit)
        return self._with(self._carry_out(intent, read), entry, refused)

    def redo(self) -> Outcome | None:
        """Do again what was undone last; None when nothing was."""
        if not self.undone:
            return None
        entry = self.undone[-1]
        files, refused, read = self._there(entry, back=False)
        intent = Intent(token=new_token(), t=time.time(), boot=this_boot(), files=files, redo=entry.edit)
        return self._with(self._carry_out(intent, read), entry, refused)

    @staticmethod
    def _with(outcome: Outcome, entry: Entry, refused: list[str]) -> Outcome:
        return Outcome(entry.edit, outcome.done, refused + outcome.refused)

    def _there(self, entry: Entry, *, back: bool) -> tuple[list[FileChange], list[str], Read]:
        """The changes that lead to the other side of an edit, from what stands in the files now."""
        files: list[FileChange] = []
        refused: list[str] = []
        read: dict[str, CaptionFile | None] = {}
        for row in self.rows(entry):
            try:
                found = self.files.read(row.file)
            except EngineError:
                refused.append(row.file)
                continue
            text = found.text if found is not None else None
            wanted = row.sum_new if back else row.sum_old
            if checksum(text) != wanted:
                if checksum(text) != (row.sum_old if back else row.sum_new):
                    refused.append(row.file)
                continue
            other = other_side(text or "", row, back=back)
            after = None if (row.sum_old if back else row.sum_new) == NO_FILE else other
            files.append(FileChange(row.file, text, after))
            read[row.file] = found
        return files, refused, read

    def _carry_out(self, intent: Intent, read: Read) -> Outcome:
        path = self.folder / f"{_INTENT}{intent.token}.json"
        done: list[FileChange] = []
        refused: list[str] = []
        try:
            if len(intent.files) > _FLUSHED:
                self._swap(intent, path, done, refused, read)
            elif intent.files:
                atomic_write(path, msgspec.json.encode(intent))
                self._replace(intent, done, refused, read)
        except OSError:
            if intent.op is not None:  # what was done can be undone; an undo is completed by whoever opens next
                if done:
                    self._append(intent, done)
                path.unlink(missing_ok=True)
            raise
        if done or intent.op is None:
            self._append(intent, done)
        if not done or len(intent.files) <= _FLUSHED:
            path.unlink(missing_ok=True)
        edit = self.done[-1].edit if intent.op is not None and done else intent.undo or intent.redo
        return Outcome(edit, done, refused)

    def _swap(self, intent: Intent, path: Path, done: list[FileChange], refused: list[str], read: Read) -> None:
        """Put many files into place without waiting for the disk."""
        slow: list[FileChange] = []
        if intent.op is not None:
            self._tidy()
        swapper, olds = Swapper(self.files, self.folder / _WORKSHOP), self._olds
        self._olds = swapper.olds
        wanted = [Wanted(change.file, change.after, read[change.file]) for change in intent.files]
        try:
            swapper.prepare(wanted, olds, lambda: atomic_write(path, msgspec.json.encode(intent)))
        except OSError:  # no caption is touched yet, so nothing need be completed
            path.unlink(missing_ok=True)
            raise
        for number, change in enumerate(intent.files):
            try:
                kept = swapper.put(number)
            except EngineError:
                kept = False
            except OSError as error:
                if not unfit(error):
                    raise
                slow.append(change)
                continue
            if kept:
                done.append(change)
            else:
                refused.append(change.file)
        if slow:
            self._replace(msgspec.structs.replace(intent, files=slow), done, refused, read)

    def _replace(self, intent: Intent, done: list[FileChange], refused: list[str], read: Read | None) -> None:
        """Put every file into place; without `read`, after a crash, what is there already counts as done."""
        flushed = len(intent.files) <= _FLUSHED
        broken_power = read is None and intent.boot != this_boot()
        with Writer(self.files, self.folder / _PART, flush=flushed) as writer:
            for change in intent.files:
                try:
                    found = (read or {}).get(change.file)
                    if read is None or self.files.stamp(change.file) != (found.stamp if found else None):
                        found = self.files.read(change.file)
                except EngineError:
                    found = CaptionFile(text="\0", mode=0o644)  # bytes that are no text: a disk's, or somebody's
                text = found.text if found is not None else None
                if text == change.after and text != change.before:
                    done.append(change)
                elif text == change.before or (broken_power and torn(text)):
                    writer.put(change.file, change.after, found.mode if found is not None else 0o644)
                    done.append(change)
                else:
                    refused.append(change.file)

    def _append(self, intent: Intent, done: Sequence[FileChange]) -> None:
        line = _Line(token=intent.token, t=intent.t, undo=intent.undo, redo=intent.redo)
        if intent.op is not None:
            line.edit, line.op, line.count = self._last + 1, intent.op, len(done)
            line.rows = [row_of(change) for change in done]
        data = msgspec.json.encode(line)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            start = os.lseek(fd, 0, os.SEEK_END)
            if start and os.pread(fd, 1, start - 1) != b"\n":
                os.write(fd, b"\n")
                start += 1
            view = memoryview(data + b"\n")
            while view:
                view = view[os.write(fd, view) :]
            if len(intent.files) <= _FLUSHED:
                os.fsync(fd)  # a flush after many renames waits for all of them; the intent knows as much
        finally:
            os.close(fd)
        self._inode = self._inode or self.path.stat().st_ino
        self._end = start + len(data) + 1
        self._take(_head.decode(data), start, len(data))

    def _tidy(self) -> None:
        """Take away what the edits before have left, behind the next one's back."""
        workshop = self.folder / _WORKSHOP
        self._olds = {}
        left = folders(workshop)
        if left:
            self._tidying = threading.Thread(target=sweep, args=(workshop, left), name="sweep")
            self._tidying.start()

    def settle(self) -> None:
        """Wait until nothing is done any more; before that nobody else may write."""
        if self._tidying is not None:
            self._tidying.join()
            self._tidying = None

    # -- after a crash ----------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Complete what was interrupted, mend what a power cut tore, and forget intents that are no longer needed."""
        for path in sorted(self.folder.glob(f"{_INTENT}*.json")):
            try:
                raw = path.read_bytes()
                head = intent_head.decode(raw)
                known = head.token in self._tokens
                if known and head.boot == this_boot():
                    if time.time() - head.t > _KEPT_SECONDS:
                        path.unlink(missing_ok=True)
                    continue
                intent = whole_intent.decode(raw)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                path.unlink(missing_ok=True)  # renamed into place whole, so it was never ours
                continue
            done: list[FileChange] = []
            self._replace(intent, done, [], None)
            self._tidy()
            self.recovered += len(done) if not known else 0
            if not known and (done or intent.op is None):
                self._append(intent, done)
            os.sync()
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(root: Path) -> Iterator[TagJournal]:
    """The journal of `root` for one writer at a time, with everything that was interrupted completed.

    Raises EngineError `dataset_busy`, `path_outside` when its folder is a link that leads elsewhere, or
    `dataset_unwritable`.
    """
    folder = root / FOLDER
    lock = Lock(folder / "tags.lock")
    for part in (folder, folder / JOURNAL, lock.path):
        if not inside(root, part):
            raise EngineError("path_outside", path=printable(str(part)), root=printable(str(root)))
    ours = _threads.setdefault(root, threading.Lock())
    if not ours.acquire(timeout=_PATIENCE):
        raise EngineError("dataset_busy", path=printable(str(root)))
    journal: TagJournal | None = None
    try:
        make_private_dir(folder)
        deadline = time.monotonic() + _PATIENCE
        while not lock.acquire():
            if time.monotonic() > deadline:
                raise EngineError("dataset_busy", path=printable(str(root)))
            time.sleep(0.02)
        journal = _journals.get(root)
        if journal is None:
            journal = _journals[root] = TagJournal(root)
        else:
            journal.catch_up()
        journal.recover()
        yield journal
    except OSError as error:
        raise EngineError(
            "dataset_unwritable", path=printable(str(root)), reason=error.strerror or str(error)
        ) from None
    finally:
        if journal is not None:
            journal.settle()
        lock.release()
        ours.release()


_PATIENCE = 5.0
