"""What was published of a run, kept in its folder: what is out in the world is never thrown away unasked."""

from __future__ import annotations

import msgspec

from engine.protocol.files import atomic_write
from engine.protocol.publishing import Published
from engine.runs import queue
from engine.runs.folder import RunFolder

_FILE = "published.json"


def published(run: RunFolder) -> list[Published]:
    """Everything, oldest first; a ledger that cannot be read counts as empty."""
    try:
        return msgspec.json.decode((run.path / _FILE).read_bytes(), type=list[Published])
    except (OSError, msgspec.DecodeError):
        return []


def note(run: RunFolder, entry: Published) -> None:
    """Add an entry; one for the same place and name takes the earlier one's place."""
    with queue.locked():
        rows = [row for row in published(run) if (row.to, row.name) != (entry.to, entry.name)]
        data = msgspec.json.format(msgspec.json.encode([*rows, entry]), indent=1)
        atomic_write(run.path / _FILE, data + b"\n")
