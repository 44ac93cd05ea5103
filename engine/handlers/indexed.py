"""The indexes of the datasets this host has been asked to search: made at the first question, following every edit."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.dataset.query_index import Index
    from engine.dataset.scan import Dataset


class Indexed:
    """Path → index; one question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}
        self._indexes: dict[Path, Index] = {}

    @contextlib.contextmanager
    def of(self, dataset: Dataset) -> Iterator[Index]:
        """The index of a dataset as it is now."""
        from engine.dataset.query_index import Index

        with self._lock:
            lock = self._locks.setdefault(dataset.path, threading.Lock())
        with lock:
            index = self._indexes.get(dataset.path)
            if index is None:
                index = self._indexes[dataset.path] = Index(dataset)
            else:
                index.follow(dataset)
            yield index
