"""LoRABake's own facts about a dataset, in `<dataset>/.lorabake/dataset.json`: repeats and crops of single images.

Every change is one atomic write under a lock, so two viewers never lose each other's work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from engine.dataset.names import inside, printable
from engine.protocol.errors import EngineError
from engine.protocol.files import Lock, atomic_write, make_private_dir
from engine.protocol.records import Crop

FOLDER = ".lorabake"
MAX_REPEAT = 5000

# A POSIX lock keeps other processes out, this one the other threads of ours.
_threads = threading.Lock()


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """By image name: `repeats`, its own repeat (0 leaves the image out of bakes), and `crops`, the part that trains."""

    version: int = 1
    repeats: dict[str, Annotated[int, msgspec.Meta(ge=0, le=MAX_REPEAT)]] = {}
    crops: dict[str, Crop] = {}


# Worked out here, under the import lock: two threads doing that at once bring the process down (msgspec).
msgspec.json.Decoder(Sidecar)


def sidecar_path(dataset: Path) -> Path:
    """Where the facts of a dataset are kept."""
    return dataset / FOLDER / "dataset.json"


def read_sidecar(dataset: Path) -> Sidecar:
    """The facts kept for a dataset, empty ones when there are none; raises EngineError `sidecar_unreadable`."""
    path = sidecar_path(dataset)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sidecar)
    except FileNotFoundError:
        return Sidecar()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from None


def set_repeat(dataset: Path, images: list[str], repeat: int | None) -> None:
    """Give the named images their own repeat (0 leaves them out), or take it away with None.

    Raises EngineError `param_invalid`, `dataset_unwritable`, `path_outside` when the sidecar is a link that leads
    elsewhere, or `sidecar_unreadable` (the broken file is kept).
    """
    if repeat is not None and not 0 <= repeat <= MAX_REPEAT:
        raise EngineError("param_invalid", name="repeat", value=repeat, allowed=f"0 … {MAX_REPEAT}")

    def changed(before: Sidecar) -> Sidecar:
        repeats = {**before.repeats}
        for name in images:
            if repeat is None:
                repeats.pop(name, None)
            else:
                repeats[name] = repeat
        return msgspec.structs.replace(before, repeats=dict(sorted(repeats.items())))

    _change(dataset, changed)


def set_crops(dataset: Path, crops: Mapping[str, Crop | None]) -> None:
    """Give the named images these crops, or take them away with None; raises EngineErrors as `set_repeat` does."""

    def changed(before: Sidecar) -> Sidecar:
        after = {name: crop for name, crop in {**before.crops, **crops}.items() if crop is not None}
        return msgspec.structs.replace(before, crops=dict(sorted(after.items())))

    _change(dataset, changed)


def move(dataset: Path, old: str, new: str) -> None:
    """What is known of the image `old` is known of `new` from now on; raises EngineErrors as `set_repeat` does."""

    def changed(before: Sidecar) -> Sidecar:
        return msgspec.structs.replace(
            before,
            repeats={new if name == old else name: repeat for name, repeat in before.repeats.items()},
            crops={new if name == old else name: crop for name, crop in before.crops.items()},
        )

    _change(dataset, changed)


def _change(dataset: Path, changed: Callable[[Sidecar], Sidecar]) -> None:
    path = sidecar_path(dataset)
    lock = Lock(path.parent / "lock")
    for part in (path.parent, path, lock.path):
        if not inside(dataset, part):
            raise EngineError("path_outside", path=printable(str(part)), root=printable(str(dataset)))
    try:
        with _threads:
            make_private_dir(path.parent)
            with lock:
                before = read_sidecar(dataset)
                after = changed(before)
                if after != before:
                    atomic_write(path, msgspec.json.format(msgspec.json.encode(after), indent=1) + b"\n")
    except OSError as error:
        raise EngineError(
            "dataset_unwritable", path=printable(str(dataset)), reason=error.strerror or str(error)
        ) from None


def _unreadable(path: Path, reason: str) -> EngineError:
    return EngineError("sidecar_unreadable", path=printable(str(path)), reason=reason)
