"""The datasets this host has opened, scanned once and kept fresh. Reading folders is `engine.dataset`."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.dataset.scan import Dataset

RECENT_SECONDS = 3.0


class Opened:
    """Path → last scan. Files that did not change are not read again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._scans: dict[Path, Dataset] = {}
        self._times: dict[Path, float] = {}

    def open(self, path: str) -> Dataset:
        """Scan a folder, or scan it again; raises the EngineErrors of `scan`."""
        from engine.dataset.scan import scan

        root = absolute(path)
        with self._lock:
            dataset = scan(root, previous=self._scans.get(root))
            self._scans[root] = dataset
            self._times[root] = time.monotonic()
            return dataset

    def get(self, path: str) -> Dataset:
        """The last scan of a folder; one that was not opened yet is opened."""
        with self._lock:
            return self._scans.get(absolute(path)) or self.open(path)

    def recent(self, path: str) -> Dataset:
        """A scan at most `RECENT_SECONDS` old: for a form that asks at every key."""
        root = absolute(path)
        with self._lock:
            age = time.monotonic() - self._times.get(root, -RECENT_SECONDS)
            return self._scans[root] if age < RECENT_SECONDS else self.open(path)

    def reread(self, path: str, names: list[str]) -> Dataset:
        """The dataset after an edit of the named images."""
        from engine.dataset.scan import reread

        with self._lock:
            dataset = reread(self.get(path), names)
            self._scans[absolute(path)] = dataset
            return dataset

    def contains(self, root: Path) -> bool:
        """Whether `root` is an opened dataset."""
        with self._lock:
            return root in self._scans


def absolute(path: str) -> Path:
    """`path` without `~` and `..`, links left as they are; the host's working directory is the viewer's."""
    return Path(os.path.abspath(Path(path).expanduser()))
