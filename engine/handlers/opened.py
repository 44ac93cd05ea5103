"""The datasets this host has opened, scanned once and kept fresh. Reading folders is `engine.dataset`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.protocol.errors import EngineError

if TYPE_CHECKING:
    from engine.dataset.scan import Dataset, Reading

RECENT_SECONDS = 3.0


class _Scan(NamedTuple):
    dataset: Dataset
    time: float
    stale: bool = False


class Opened:
    """Path → last scan. Files that did not change are not read again; nobody waits for a scan not asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scans: dict[Path, _Scan] = {}
        self._readings: dict[Path, Reading] = {}
        self._at_work: dict[Path, threading.Lock] = {}
        self._refreshing: set[Path] = set()

    def begin(self, path: str) -> Reading:
        """List a folder and begin to read it; raises the EngineErrors of `scan` that concern the folder itself."""
        from engine.dataset.scan import Reading

        root = absolute(path)
        before = self._scans.get(root)
        reading = Reading(root, before.dataset if before else None)
        with self._lock:
            self._readings[root] = reading
        reading.start(lambda dataset: self._settle(root, reading, before, dataset))
        return reading

    def reading(self, path: str) -> Reading | None:
        """The scan at work on a folder, if there is one."""
        return self._readings.get(absolute(path))

    def open(self, path: str) -> Dataset:
        """Scan a folder, or scan it again; raises the EngineErrors of `scan`."""
        from engine.dataset.scan import scan

        root = absolute(path)
        with self._lock:
            at_work = self._at_work.setdefault(root, threading.Lock())
        with at_work:
            while True:
                before = self._scans.get(root)
                dataset = scan(root, previous=before.dataset if before else None)
                with self._lock:
                    # An edit made meanwhile may have been read half: then once more.
                    if self._scans.get(root) is before:
                        self._scans[root] = _Scan(dataset, time.monotonic())
                        return dataset

    def _settle(self, root: Path, reading: Reading, before: _Scan | None, dataset: Dataset | None) -> None:
        with self._lock:
            if self._readings.get(root) is not reading:
                return  # a later one is at work, or the files changed meanwhile
            del self._readings[root]
            if dataset is not None and self._scans.get(root) is before:
                self._scans[root] = _Scan(dataset, time.monotonic())

    def get(self, path: str) -> Dataset:
        """The last scan of a folder; one that was not opened yet is opened, one at work waited for."""
        reading = self._readings.get(absolute(path))
        if reading is not None:
            reading.dataset()
        known = self._scans.get(absolute(path))
        return self.open(path) if known is None or known.stale else known.dataset

    def recent(self, path: str) -> Dataset:
        """The last scan, for a form that asks at every key: one older than `RECENT_SECONDS` is renewed behind its
        back, so that the next answer is fresh and none is late."""
        root = absolute(path)
        known = self._scans.get(root)
        if known is None or known.stale:
            return self.get(path)
        if time.monotonic() - known.time >= RECENT_SECONDS:
            with self._lock:
                idle = root not in self._refreshing
                self._refreshing.add(root)
            if idle:
                threading.Thread(target=self._refresh, args=(root,), name="rescan", daemon=True).start()
        return known.dataset

    def reread(self, path: str, names: list[str]) -> Dataset:
        """The dataset after an edit of the named images."""
        from engine.dataset.scan import reread

        root = absolute(path)
        self.get(path)
        with self._lock:
            known = self._scans[root]
            dataset = reread(known.dataset, names)
            self._scans[root] = _Scan(dataset, known.time)
            return dataset

    def recaption(self, path: str, captions: Mapping[str, str | None], changed: list[str]) -> Dataset:
        """The dataset after an edit that gave images these captions; those of `changed` are read again."""
        from engine.dataset.scan import reread
        from engine.dataset.tag_edit import with_captions

        root = absolute(path)
        self.get(path)
        with self._lock:
            known = self._scans[root]
            dataset = with_captions(known.dataset, captions)
            if changed:
                dataset = reread(dataset, changed)
            self._scans[root] = _Scan(dataset, known.time)
            return dataset

    def forget(self, path: str) -> None:
        """The files were changed by ourselves: whoever asks next gets a new scan."""
        with self._lock:
            self._readings.pop(absolute(path), None)
            known = self._scans.get(absolute(path))
            if known is not None:
                self._scans[absolute(path)] = known._replace(stale=True)

    def contains(self, root: Path) -> bool:
        """Whether `root` is an opened dataset; does not wait for a scan at work."""
        return root in self._scans or root in self._readings

    def _refresh(self, root: Path) -> None:
        try:
            self.open(str(root))
        except EngineError:
            with self._lock:  # gone or unreadable: whoever asks next is told
                self._scans.pop(root, None)
        finally:
            with self._lock:
                self._refreshing.discard(root)


def absolute(path: str) -> Path:
    """`path` without `~` and `..`, links left as they are; the host's working directory is the viewer's.

    Raises EngineError `dataset_missing` for no path at all, which is not the working directory.
    """
    if not path:
        raise EngineError("dataset_missing", path='""')
    return Path(os.path.abspath(os.path.expanduser(path)))
