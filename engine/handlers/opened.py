"""The datasets this host has opened, scanned once and kept fresh. Reading folders is `engine.dataset`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.dataset.scan import Dataset


class Opened:
    """Path → last scan. Files that did not change are not read again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._scans: dict[Path, Dataset] = {}

    def open(self, path: str) -> Dataset:
        """Scan a folder, or scan it again; raises the EngineErrors of `scan`."""
        from engine.dataset.scan import scan

        root = absolute(path)
        with self._lock:
            dataset = scan(root, previous=self._scans.get(root))
            self._scans[root] = dataset
            return dataset

    def get(self, path: str) -> Dataset:
        """The last scan of a folder; one that was not opened yet is opened."""
        with self._lock:
            return self._scans.get(absolute(path)) or self.open(path)

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
    """`path` without `~`, `..` and symbolic guesswork; the host's working directory is the viewer's."""
    import os

    return Path(os.path.abspath(Path(path).expanduser()))
