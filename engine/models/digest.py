"""The hashes by which WebUIs know a single-file base model, worked out beside the training and remembered."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from pathlib import Path

import msgspec

from engine import home
from engine.protocol.files import atomic_write

_LEGACY_START, _LEGACY_BYTES = 0x100000, 0x10000


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was when it was hashed, and its hashes."""

    bytes: int
    changed: int
    legacy: str
    sha256: str


class FileHashes:
    """Hashes the file `path` in a thread of its own; for a folder there is nothing to do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: tuple[str, str] | None = None
        self._thread = threading.Thread(target=self._work, name="hash", daemon=True)
        if path.is_file():
            self._thread.start()

    def get(self) -> tuple[str, str] | None:
        """A1111's old hash (8 digits) and the sha256 of all bytes; waits for the thread. None for a folder or a file
        that can no longer be read."""
        if self._thread.ident is not None:
            self._thread.join()
        return self._found

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            facts = self._path.stat()
            store = home.cache_dir() / "hashes" / f"{hashlib.sha256(str(self._path).encode()).hexdigest()[:32]}.json"
            with contextlib.suppress(OSError, msgspec.DecodeError):
                known = msgspec.json.decode(store.read_bytes(), type=Known)
                if (known.bytes, known.changed) == (facts.st_size, facts.st_mtime_ns):
                    self._found = known.legacy, known.sha256
                    return
            with open(self._path, "rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
                handle.seek(_LEGACY_START)
                legacy = hashlib.sha256(handle.read(_LEGACY_BYTES)).hexdigest()[:8]
            self._found = legacy, digest
            known = Known(bytes=facts.st_size, changed=facts.st_mtime_ns, legacy=legacy, sha256=digest)
            store.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(store, msgspec.json.encode(known))
