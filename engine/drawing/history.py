"""What was drawn on demand, kept by test: a folder each with its settings and pictures. Torch-free.

The worker writes a test's progress into its `test.json`; whoever asks reads it back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine import home
from engine.protocol.drawing import Drawn
from engine.protocol.errors import EngineError, describe
from engine.protocol.files import atomic_write, make_private_dir

_FILE = "test.json"
_SHOWN = 200


def root() -> Path:
    """The folder of all tests."""
    return make_private_dir(home.home() / "tests")


def create(drawn: Drawn) -> Drawn:
    """Give a test its identifier and folder and write it down."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(drawn.created))
    ident = f"{stamp}-{os.urandom(2).hex()}"
    folder = make_private_dir(root() / ident)
    drawn = msgspec.structs.replace(drawn, id=ident, dir=str(folder))
    write(drawn)
    return drawn


def write(drawn: Drawn) -> None:
    """Replace what is kept of a test."""
    atomic_write(Path(drawn.dir) / _FILE, msgspec.json.format(msgspec.json.encode(drawn), indent=1) + b"\n")


def load(ident: str) -> Drawn:
    """The test with exactly this identifier; raises EngineError `test_unknown`."""
    path = root() / ident / _FILE
    try:
        drawn = msgspec.json.decode(path.read_bytes(), type=Drawn)
    except (OSError, msgspec.DecodeError):
        raise EngineError("test_unknown", test=ident) from None
    # A home that was moved holds its tests elsewhere than they say.
    return msgspec.structs.replace(drawn, dir=str(path.parent))


def find(ident: str) -> Drawn:
    """The test a person means: its identifier, the beginning of one, or `last`; raises EngineError `test_unknown`."""
    names = sorted(entry.name for entry in os.scandir(root()) if entry.is_dir())
    found = [name for name in names if ident and name.startswith(ident)]
    if ident == "last" and names:
        found = names[-1:]
    if len(found) != 1:
        raise EngineError("test_unknown", test=ident)
    return load(found[0])


def tests() -> Iterator[Drawn]:
    """The newest tests, newest first; folders that are none are passed over."""
    names = sorted((entry.name for entry in os.scandir(root()) if entry.is_dir()), reverse=True)
    for name in names[:_SHOWN]:
        try:
            yield load(name)
        except EngineError:
            continue


def settled(drawn: Drawn, live: set[str]) -> Drawn:
    """The test as it stands, given the runs that live or wait: one whose worker is gone has failed."""
    if drawn.state in ("waiting", "drawing") and drawn.run not in live:
        return msgspec.structs.replace(drawn, state="failed", error=drawn.error or describe("test_lost", test=drawn.id))
    return drawn


def picture_file(drawn: Drawn, place: int) -> Path:
    """Where the picture of a shot, from 0, lies."""
    return Path(drawn.dir) / f"{place + 1:02d}.png"
